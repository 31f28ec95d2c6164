//! The tables that a scenario takes rows from.

use super::{Payload, Scenario, Source};
use cli_io::printable::{MOST_QUOTED, printable};
use driftsim::{DriftSpec, TableOptions, TableRows};
use model::ModelCard;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// A table to take rows from, and what happens to them.
#[derive(Debug, Clone, PartialEq)]
pub struct TableSource {
    /// The CSV file.
    pub file: PathBuf,
    /// The column with the true class, if it is called otherwise than where the model was trained.
    pub target: Option<String>,
    /// Texts that stand for a missing value, if they are others than where the model was trained.
    pub missing: Option<Vec<String>>,
    /// What separates the fields.
    pub separator: u8,
    /// The drift of the rows.
    pub drift: DriftSpec,
    /// The rows, once [`Scenario::read_tables`] has read them.
    pub rows: Option<Arc<TableRows>>,
}

impl TableSource {
    /// Returns the rows of a file as they are, written like the table that the model was trained on.
    pub fn of_file(file: PathBuf) -> Self {
        Self { file, target: None, missing: None, separator: b',', drift: DriftSpec::steady(), rows: None }
    }

    fn options(&self, card: &ModelCard) -> TableOptions {
        let mut options = TableOptions { separator: self.separator, ..TableOptions::of(card) };
        options.notation.target = self.target.clone().or(options.notation.target);
        options.notation.missing = self.missing.clone().unwrap_or(options.notation.missing);
        options
    }
}

impl Scenario {
    /// Takes the rows of all payloads that draw them from the model from a table instead; their drift stays.
    pub fn take_rows_from(&mut self, file: &Path) {
        for payload in &mut self.payloads {
            let drift = match &payload.source {
                Source::Model => DriftSpec::steady(),
                Source::Drift(spec) => spec.clone(),
                Source::Table(_) | Source::Malformed(_) | Source::Fixed(_) => continue,
            };
            payload.source = Source::Table(TableSource { drift, ..TableSource::of_file(file.to_owned()) });
        }
    }

    /// Reads the tables of all payloads for a model, and returns what is remarkable about them. Paths in the scenario are
    /// relative to its own `folder`.
    ///
    /// # Errors
    /// Names the first table that cannot be read or lacks what its payload needs.
    pub fn read_tables(&mut self, folder: Option<&Path>, card: &ModelCard) -> anyhow::Result<Vec<String>> {
        let mut read: Vec<(TableSource, Arc<TableRows>)> = Vec::new();
        let mut notes = Vec::new();
        for payload in &mut self.payloads {
            let Source::Table(source) = &mut payload.source else { continue };
            let like = TableSource { drift: DriftSpec::steady(), rows: None, ..source.clone() };
            let rows = match read.iter().find(|(known, _)| *known == like) {
                Some((_, rows)) => Arc::clone(rows),
                None => {
                    let file = folder.map_or(source.file.clone(), |folder| folder.join(&source.file));
                    let rows = TableRows::open("table", &file, &source.options(card), card);
                    let rows = Arc::new(rows.map_err(|error| located(&payload.name, error))?);
                    notes.extend(rows.notes.iter().map(|note| format!("{}: {note}", rows.place)));
                    read.push((like, Arc::clone(&rows)));
                    rows
                }
            };
            if payload.feedback.is_some() && rows.labelled() == 0 {
                let column = source.options(card).notation.target;
                let column = column.map_or("a column with the true class".to_owned(), |name| {
                    format!("a column {} with classes of the model", printable(&name, MOST_QUOTED))
                });
                let error =
                    anyhow::anyhow!("{}: feedback needs {column}, which this table lacks", rows.place);
                return Err(located(&payload.name, error));
            }
            source.rows = Some(rows);
        }
        Ok(notes)
    }
}

fn located(payload: &str, error: anyhow::Error) -> anyhow::Error {
    error.context(format!("payloads.{payload}.source"))
}

/// Returns whether a payload's bodies are rows of the model's features.
pub fn sends_rows(payload: &Payload) -> bool {
    matches!(payload.source, Source::Model | Source::Drift(_) | Source::Table(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn iris() -> ModelCard {
        model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap().card
    }

    fn scenario(payload: &str) -> Scenario {
        let text = format!(
            "name: x\npayloads: {{ a: {payload}, b: {{ source: {{ drift: {{ preset: giant }} }} }} }}\n\
             phases: [ {{ name: p, executor: constant-arrival-rate, rate: 10, duration: 1s }} ]"
        );
        Scenario::parse(&text, "x").unwrap()
    }

    fn table(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    const HEADER: &str = "sepal_length,sepal_width,petal_length,petal_width";

    #[test]
    fn one_table_stands_in_for_the_model_and_is_read_once() {
        let file = table(&format!("{HEADER},species\n1,2,3,4,setosa\n"));
        let mut scenario = scenario("{ source: { model: {} }, feedback: {} }");
        scenario.take_rows_from(file.path());
        assert!(scenario.read_tables(None, &iris()).unwrap().is_empty());
        let rows = |at: usize| match &scenario.payloads[at].source {
            Source::Table(source) => source.rows.clone().unwrap(),
            other => panic!("{other:?}"),
        };
        assert!(Arc::ptr_eq(&rows(0), &rows(1)));
        let Source::Table(drifted) = &scenario.payloads[1].source else { panic!() };
        assert_eq!(drifted.drift, DriftSpec::preset("giant").unwrap());
    }

    #[test]
    fn paths_are_relative_to_the_scenario_and_feedback_needs_classes() {
        let file = table(&format!("{HEADER}\n1,2,3,4\n"));
        let (folder, name) = (file.path().parent().unwrap(), file.path().file_name().unwrap());
        let source = format!("{{ source: {{ table: {name:?} }} }}");
        assert!(scenario(&source).read_tables(Some(folder), &iris()).is_ok());
        let error = scenario(&source).read_tables(Some(&folder.join("none")), &iris()).unwrap_err();
        assert!(format!("{error:#}").starts_with("payloads.a.source: table "), "{error:#}");
        let mut needy = scenario(&source.replace("} }", "}, feedback: {} }"));
        let error = format!("{:#}", needy.read_tables(Some(folder), &iris()).unwrap_err());
        assert!(
            error.ends_with(
                "feedback needs a column species with classes of the model, which this table lacks"
            ),
            "{error}"
        );
    }
}
