//! Reads the tables that a scenario takes rows from.

use super::{Payload, Problem, Scenario, Source};
use anyhow::anyhow;
use cli_io::{
    printable::{MOST_QUOTED, printable},
    table_file::TableFile,
};
use driftsim::{DriftSpec, Interface, TableOptions, TableRows, source::has_true_classes};
use model::ModelCard;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A table to take rows from, and the drift of these rows.
#[derive(Debug, Clone, PartialEq)]
pub struct TableSource {
    /// The CSV file.
    pub file: PathBuf,
    /// The column with the true class or number, if its name differs from that in the training table.
    pub target: Option<String>,
    /// Texts that stand for a missing value, if they differ from those of the training table.
    pub missing: Option<Vec<String>>,
    /// Further texts that stand for a missing value.
    pub more_missing: Vec<String>,
    /// The field separator.
    pub separator: u8,
    /// Whether the scenario or the command line names the file.
    pub interface: Interface,
    /// The drift of the rows.
    pub drift: DriftSpec,
    /// The rows, once [`Scenario::read_tables`] has read them.
    pub rows: Option<Arc<TableRows>>,
}

impl TableSource {
    /// Creates the source of rows for a file that a scenario names. It has no drift, and the format of the training table.
    pub fn of_file(file: PathBuf) -> Self {
        Self {
            file,
            target: None,
            missing: None,
            more_missing: Vec::new(),
            separator: b',',
            interface: Interface::Scenario,
            drift: DriftSpec::steady(),
            rows: None,
        }
    }

    /// Returns the name of the flag or field that names the file.
    fn field(&self) -> &'static str {
        match self.interface {
            Interface::CommandLine => "--table",
            Interface::Scenario => "table",
        }
    }

    fn path(&self, folder: Option<&Path>) -> PathBuf {
        folder.map_or(self.file.clone(), |folder| folder.join(&self.file))
    }

    fn options(&self, card: &ModelCard) -> TableOptions {
        let mut options =
            TableOptions { separator: self.separator, interface: self.interface, ..TableOptions::of(card) };
        options.notation.target = self.target.clone().or(options.notation.target);
        options.notation.missing = self.missing.clone().unwrap_or(options.notation.missing);
        options.notation.missing.extend_from_slice(&self.more_missing);
        options
    }

    /// Adds the place to an error: the payload, or the flag if the table is that of the command line.
    fn located(&self, payload: &str, error: anyhow::Error) -> anyhow::Error {
        match self.interface {
            Interface::CommandLine => error,
            Interface::Scenario => located(payload, error),
        }
    }

    /// Returns the error that feedback cannot be sent, because no row has a class of the model, or a number if it predicts numbers.
    fn without_labels(&self, rows: &TableRows, card: &ModelCard) -> anyhow::Error {
        let place = &rows.place;
        let [one, several, truth] = if card.predicts_number() {
            ["a true number", "true numbers", "true number"]
        } else {
            ["a class of the model", "classes of the model", "true class"]
        };
        if let Some(labels) = &rows.unknown_labels {
            return anyhow!("{place}: feedback needs rows with {one}, but {labels}");
        }
        match self.options(card).notation.target {
            Some(name) => {
                let column = printable(&name, MOST_QUOTED);
                anyhow!("{place}: feedback needs a column {column} with {several}, which this table lacks")
            }
            None => anyhow!(
                "{place}: feedback needs a column with the {truth}, but the model card names none; name it in `target` \
                 (table: {{ file: FILE.csv, target: COLUMN }})"
            ),
        }
    }
}

impl Scenario {
    /// Replaces the generated rows of all payloads by rows of a table; their drift stays the same.
    pub fn take_rows_from(&mut self, table: &TableSource) {
        for payload in &mut self.payloads {
            let drift = match &payload.source {
                Source::Model => DriftSpec::steady(),
                Source::Drift(spec) => spec.clone(),
                Source::Table(_) | Source::Malformed(_) | Source::Fixed(_) => continue,
            };
            payload.source = Source::Table(TableSource { drift, ..table.clone() });
        }
    }

    /// Checks that the tables of all payloads can be opened, as far as that is possible without a model. Paths are relative to
    /// the scenario's own `folder`.
    ///
    /// # Errors
    /// If a table cannot be opened; the error names the first one.
    pub fn check_tables(&self, folder: Option<&Path>) -> anyhow::Result<()> {
        for payload in &self.payloads {
            let Source::Table(source) = &payload.source else { continue };
            TableFile::open(source.field(), &source.path(folder))
                .map_err(|error| source.located(&payload.name, error))?;
        }
        Ok(())
    }

    /// Checks that the true classes or numbers of all rows with feedback are known.
    ///
    /// # Errors
    /// If they are not known for simulated rows; the error names the first such payload.
    pub fn check_feedback(&self, card: &ModelCard) -> anyhow::Result<()> {
        let simulated = |source: &Source| matches!(source, Source::Model | Source::Drift(_));
        let unknown = |payload: &&Payload| payload.feedback.is_some() && simulated(&payload.source);
        let Some(payload) = self.payloads.iter().find(unknown).filter(|_| !has_true_classes(card)) else {
            return Ok(());
        };
        let (why, truth) = if card.predicts_number() {
            ("predicts a number, and the true numbers of simulated rows are not known", "numbers")
        } else {
            ("has a reference without true classes, so those of simulated rows are not known", "classes")
        };
        let problem = format!(
            "model {} {why}; take rows from a table with the true {truth} (source: {{ table: FILE.csv }}, \
             or loadgen run --table FILE.csv for all payloads)",
            printable(&card.name, MOST_QUOTED)
        );
        Err(Problem::new(format!("payloads.{}.feedback", payload.name), problem).into())
    }

    /// Reads the tables of all payloads for a model, and returns notes about them, such as rows that are left out. Paths in the
    /// scenario are relative to its own `folder`.
    ///
    /// # Errors
    /// If a table cannot be read, or lacks what its payload needs; the error names the first one.
    pub fn read_tables(&mut self, folder: Option<&Path>, card: &ModelCard) -> anyhow::Result<Vec<String>> {
        let mut read: Vec<(TableSource, Arc<TableRows>)> = Vec::new();
        let mut notes = Vec::new();
        for payload in &mut self.payloads {
            let Source::Table(source) = &mut payload.source else { continue };
            let like = TableSource { drift: DriftSpec::steady(), rows: None, ..source.clone() };
            let rows = match read.iter().find(|(known, _)| *known == like) {
                Some((_, rows)) => Arc::clone(rows),
                None => {
                    let file = source.path(folder);
                    let rows = TableRows::open(source.field(), &file, &source.options(card), card);
                    let rows = Arc::new(rows.map_err(|error| source.located(&payload.name, error))?);
                    notes.extend(rows.notes.iter().map(|note| format!("{}: {note}", rows.place)));
                    read.push((like, Arc::clone(&rows)));
                    rows
                }
            };
            if payload.feedback.is_some() && rows.labelled() == 0 {
                return Err(located(&payload.name, source.without_labels(&rows, card)));
            }
            source.rows = Some(rows);
        }
        Ok(notes)
    }
}

fn located(payload: &str, error: anyhow::Error) -> anyhow::Error {
    let causes = || error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    let is_absent = causes().any(|cause| cause.kind() == io::ErrorKind::NotFound);
    let remedy = if is_absent { "; the path is relative to the folder of the scenario" } else { "" };
    Problem::new(format!("payloads.{payload}.source"), format!("{error:#}{remedy}")).into()
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
    fn a_table_of_the_command_line_replaces_generated_rows_and_is_read_once() {
        let file = table(&format!("{HEADER},species\n1,2,3,4,setosa\n"));
        let mut scenario = scenario("{ source: { model: {} }, feedback: {} }");
        scenario.take_rows_from(&TableSource::of_file(file.path().to_owned()));
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

    #[test]
    fn feedback_about_numbers_needs_a_column_of_numbers() {
        let mut card = iris();
        card.classes.clear();
        let error = |text: &str, target: Option<&str>| {
            let card = ModelCard {
                notation: model::Notation { target: target.map(str::to_owned), ..card.notation.clone() },
                ..card.clone()
            };
            let file = table(text);
            let source = format!("{{ source: {{ table: {:?} }}, feedback: {{}} }}", file.path());
            scenario(&source).read_tables(None, &card).map_err(|error| format!("{error:#}"))
        };
        let numbers = format!("{HEADER},weight\n1,2,3,4,5.5\n1,2,3,4,\n");
        assert_eq!(error(&numbers, Some("weight")).unwrap().len(), 1, "a note on the row without a number");
        let lacking = error(&numbers, Some("price")).unwrap_err();
        assert!(
            lacking.ends_with("feedback needs a column price with true numbers, which this table lacks"),
            "{lacking}"
        );
        let texts = error(&format!("{HEADER},weight\n1,2,3,4,heavy\n"), Some("weight")).unwrap_err();
        assert!(
            texts.ends_with(
                "feedback needs rows with a true number, but column weight has no number: it has heavy"
            ),
            "{texts}"
        );
        let unnamed = error(&numbers, None).unwrap_err();
        assert!(
            unnamed.contains(
                "a column with the true number, but the model card names none; name it in `target`"
            ),
            "{unnamed}"
        );
    }

    #[test]
    fn feedback_needs_rows_with_known_true_classes_or_numbers() {
        let mut without_truth = iris();
        without_truth.reference.accuracy = None;
        let mut regression = without_truth.clone();
        regression.classes.clear();
        for source in ["model: {}", "drift: { preset: giant }"] {
            let scenario = scenario(&format!("{{ source: {{ {source} }}, feedback: {{}} }}"));
            let error = |card: &ModelCard| scenario.check_feedback(card).map_err(|error| error.to_string());
            assert_eq!(error(&iris()), Ok(()));
            let number = error(&regression).unwrap_err();
            assert!(number.starts_with("payloads.a.feedback: model iris predicts a number, and"), "{number}");
            assert!(number.contains("true numbers (source: { table: FILE.csv }, or"), "{number}");
            let class = error(&without_truth).unwrap_err();
            assert!(class.contains("has a reference without true classes"), "{class}");
            assert!(class.contains("true classes (source: { table: FILE.csv }, or"), "{class}");
        }
        for payload in ["{ source: { model: {} } }", "{ source: { table: t.csv }, feedback: {} }"] {
            assert!(scenario(payload).check_feedback(&regression).is_ok(), "{payload}");
        }
    }

    #[test]
    fn an_error_about_a_column_without_classes_of_the_model_lists_its_values() {
        let file = table(&format!("{HEADER},species\n1,2,3,4,Setosa\n1,2,3,4,\n"));
        let source = format!("{{ source: {{ table: {:?} }}, feedback: {{}} }}", file.path());
        let error = format!("{:#}", scenario(&source).read_tables(None, &iris()).unwrap_err());
        let expected = "feedback needs rows with a class of the model, but column species has no class of the model: \
            it has \"\", Setosa; the model's are setosa, versicolor, virginica";
        assert!(error.ends_with(expected), "{error}");
    }

    #[test]
    fn flags_set_the_separator_and_missing_values_of_a_table() {
        let file = table(&format!("{}\n1;?;3;-\n1;2;3;4\n", HEADER.replace(',', ";")));
        let mut card = iris();
        card.notation.missing = vec!["-".into()];
        let read = |missing: &[&str], separator| {
            let mut scenario = scenario("{ source: { model: {} } }");
            scenario.take_rows_from(&TableSource {
                more_missing: missing.iter().map(|&token| token.to_owned()).collect(),
                separator,
                interface: Interface::CommandLine,
                ..TableSource::of_file(file.path().to_owned())
            });
            scenario.read_tables(None, &card).map_err(|error| format!("{error:#}"))
        };
        let place = file.path().display();
        let error = read(&[], b',').unwrap_err();
        assert!(error.starts_with(&format!("{place}:1: the table lacks")), "{error}");
        assert!(error.ends_with("; try --separator ';'"), "{error}");
        let error = read(&[], b';').unwrap_err();
        assert!(error.contains("got \"?\" (--missing makes it a missing value)"), "{error}");
        assert_eq!(read(&["?"], b';').unwrap().len(), 2, "a note for each column with missing values");
    }

    #[test]
    fn tables_are_checked_without_a_model() {
        let file = table("not even the right columns\n");
        let (folder, name) = (file.path().parent(), file.path().file_name().unwrap());
        let scenario = scenario(&format!("{{ source: {{ table: {name:?} }} }}"));
        assert!(scenario.check_tables(folder).is_ok());
        let error = scenario.check_tables(Some(Path::new("/nowhere"))).unwrap_err();
        let expected = format!(
            "payloads.a.source: table {}: cannot be read",
            Path::new("/nowhere").join(name).display()
        );
        assert!(format!("{error:#}").starts_with(&expected), "{error:#}");
    }
}
