//! Reads the records of a table as rows of a model.

use crate::unknown_labels::UnknownLabels;
use anyhow::{Result, bail};
use cli_io::{
    encoding,
    printable::{MOST_QUOTED, printable, quoted, shell_word},
};
use csv::ByteRecord;
use model::{Categorical, Feature, ModelCard, Values};
use std::collections::HashMap;

/// How a table's format is given, by flags or in a scenario. Messages name the flag or the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    /// By flags.
    CommandLine,
    /// By fields of a scenario.
    Scenario,
}

/// The true class or number of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Label {
    /// The position of the true class.
    Class(usize),
    /// The true number, which is finite.
    Number(f64),
}

/// What the columns of a table are matched with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schema<'a> {
    features: &'a [Feature],
    /// The classes; `None` if there is a number in place of a class, or no model.
    classes: Option<&'a [String]>,
    /// Whether leading and trailing spaces of texts count.
    keep_spaces: bool,
    owner: Owner<'a>,
}

/// Whose columns they are. Messages differ, because flags can change the columns of a reference table.
#[derive(Debug, Clone, Copy)]
enum Owner<'a> {
    Model,
    /// A reference table. These columns were left out of it.
    Table(&'a [String]),
}

impl<'a> Schema<'a> {
    /// Returns the columns of a model.
    pub(crate) fn of_model(card: &'a ModelCard) -> Self {
        Self {
            features: &card.features,
            classes: (!card.predicts_number()).then_some(&card.classes),
            // A model that was trained elsewhere gets texts unchanged.
            keep_spaces: card.is_profile(),
            owner: Owner::Model,
        }
    }

    /// Returns the columns of a reference table, from which the columns `left_out` were left out.
    pub(crate) fn of_table(features: &'a [Feature], left_out: &'a [String]) -> Self {
        Self { features, classes: None, keep_spaces: false, owner: Owner::Table(left_out) }
    }
}

/// How the cells of one feature are read.
enum Cells {
    Numeric,
    Categorical {
        /// The categories as the reference writes them.
        known: HashMap<Vec<u8>, f64>,
        /// The other ways in which they may be written.
        own: Categorical,
        /// Whether the model gets texts unchanged, with leading and trailing spaces.
        keep_spaces: bool,
    },
}

/// Why a cell cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unreadable {
    NotANumber,
    /// If the text was read as a category, it would be counted as an unknown one, and look like drift.
    NotUtf8,
}

/// Reads records whose columns are those of a header.
pub(crate) struct RecordReader {
    interface: Interface,
    /// Whether the types of the columns can be changed by flags.
    is_typed_by_flags: bool,
    /// Texts that stand for a missing value.
    missing: Vec<String>,
    /// The names of the table's columns.
    names: Vec<String>,
    /// The column of each feature.
    columns: Vec<usize>,
    /// How the cells of each feature are read.
    cells: Vec<Cells>,
    /// The column with the true class or number.
    target: Option<usize>,
    /// The classes; `None` if the model predicts a number.
    classes: Option<HashMap<Vec<u8>, usize>>,
}

impl RecordReader {
    /// Matches a header with the columns of a model or of a reference table by name. Also returns notes on what may be a mistake in the header. `target` is
    /// the column with the true class or number, which the table may lack.
    ///
    /// # Errors
    /// Returns an error, which begins with the table's name `place`, if the header is not UTF-8, lacks a column or has one twice.
    pub(crate) fn new(
        header: &ByteRecord,
        schema: Schema,
        target: Option<&str>,
        missing: Vec<String>,
        place: &str,
        interface: Interface,
    ) -> Result<(Self, Vec<String>)> {
        if let Some(at) = header.iter().position(|name| str::from_utf8(name).is_err()) {
            let name = String::from_utf8_lossy(&header[at]);
            let (field, name) = (at + 1, quoted(name.trim()));
            bail!("{place}:1: field {field} of the header, {name}, is not UTF-8; {}", encoding::REMEDY);
        }
        let names: Vec<String> = header.iter().map(header_name).collect();
        let (columns, notes) = columns(&names, target, schema, place, interface)?;
        let reader = Self {
            interface,
            is_typed_by_flags: matches!(schema.owner, Owner::Table(_)),
            missing,
            columns,
            cells: schema.features.iter().map(|feature| Cells::new(feature, schema.keep_spaces)).collect(),
            target: target.and_then(|target| names.iter().position(|name| name == target)),
            classes: schema
                .classes
                .map(|classes| classes.iter().map(|class| class.clone().into_bytes()).zip(0..).collect()),
            names,
        };
        Ok((reader, notes))
    }

    /// Returns whether the table has the column with the true class or number.
    pub(crate) fn has_target(&self) -> bool {
        self.target.is_some()
    }

    /// Reads the values of a record into `row`, which has one element per feature.
    pub(crate) fn read(&self, record: &ByteRecord, row: &mut [Option<f64>]) -> Result<(), String> {
        if record.len() != self.names.len() {
            return Err(format!(
                "expected {} fields as in the header, got {}",
                self.names.len(),
                record.len()
            ));
        }
        for ((value, &column), cells) in row.iter_mut().zip(&self.columns).zip(&self.cells) {
            let cell = &record[column];
            *value = cells.value(cell, &self.missing).map_err(|problem| {
                let (name, cell) = (&self.names[column], String::from_utf8_lossy(cell.trim_ascii()));
                let flag = match self.interface {
                    Interface::CommandLine => "--missing",
                    Interface::Scenario => "`missing`",
                };
                let problem = match problem {
                    Unreadable::NotANumber => {
                        let or = if self.is_typed_by_flags {
                            format!("; --categorical {} reads the column as categories", shell_word(name))
                        } else {
                            String::new()
                        };
                        format!(
                            "expected a finite number, got {} ({flag} makes it a missing value{or})",
                            quoted(&cell)
                        )
                    }
                    Unreadable::NotUtf8 => format!("{} is not UTF-8; {}", quoted(&cell), encoding::REMEDY),
                };
                format!("column {}: {problem}", quoted(name))
            })?;
        }
        Ok(())
    }

    /// Returns the text of a feature in a record, as the model gets it; `None` if it is not UTF-8.
    pub(crate) fn text<'a>(&self, record: &'a ByteRecord, feature: usize) -> Option<&'a str> {
        let written = &record[self.columns[feature]];
        let is_unchanged = matches!(self.cells[feature], Cells::Categorical { keep_spaces: true, .. });
        str::from_utf8(if is_unchanged { written } else { written.trim_ascii() }).ok()
    }

    /// Returns the true class or number of a record that [`RecordReader::read`] has read, if it has a valid one. Any other text in the
    /// column is counted in `unknown`.
    pub(crate) fn label(&self, record: &ByteRecord, unknown: &mut UnknownLabels) -> Option<Label> {
        let text = record[self.target?].trim_ascii();
        let label = match &self.classes {
            Some(classes) => classes.get(text).copied().map(Label::Class),
            None => number(text).map(Label::Number),
        };
        if label.is_none() {
            unknown.add(text);
        }
        label
    }
}

impl Cells {
    fn new(feature: &Feature, keep_spaces: bool) -> Self {
        match &feature.values {
            Values::Numeric(_) => Self::Numeric,
            Values::Categorical(own) => {
                let known = own.categories.iter().chain(&own.weighted);
                let known =
                    known.map(|name| (name.clone().into_bytes(), own.value_of_unchanged(name))).collect();
                Self::Categorical { known, own: own.clone(), keep_spaces }
            }
        }
    }

    /// Returns the value of a cell, or an error if it is not a number but should be. A category may have spaces around it, unless the
    /// model gets texts unchanged.
    fn value(&self, written: &[u8], missing: &[String]) -> Result<Option<f64>, Unreadable> {
        let cell = written.trim_ascii();
        if cell.is_empty() || missing.iter().any(|token| token.as_bytes() == cell) {
            return Ok(None);
        }
        match self {
            Self::Categorical { known, own, keep_spaces } => {
                if let Some(&value) = known.get(written) {
                    return Ok(Some(value));
                }
                if *keep_spaces {
                    let text = str::from_utf8(written).map_err(|_| Unreadable::NotUtf8)?;
                    return Ok(Some(own.value_of_unchanged(text)));
                }
                if let Some(&value) = known.get(cell) {
                    return Ok(Some(value));
                }
                let text = str::from_utf8(cell).map_err(|_| Unreadable::NotUtf8)?;
                Ok(Some(own.value(text)))
            }
            Self::Numeric => number(cell).map(Some).ok_or(Unreadable::NotANumber),
        }
    }
}

/// Returns the number in a cell, if it is a finite one.
fn number(cell: &[u8]) -> Option<f64> {
    str::from_utf8(cell).ok()?.parse().ok().filter(|number: &f64| number.is_finite())
}

fn header_name(field: &[u8]) -> String {
    let text = String::from_utf8_lossy(field);
    text.trim_start_matches('\u{feff}').trim().to_owned()
}

/// The greatest number of names in a list.
const LISTED: usize = 20;

/// Returns names as a list, of which the first [`LISTED`] are shown. A name that is empty or contains a space or a comma is quoted, so
/// that its ends are visible.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let shown = names.by_ref().take(LISTED).map(name).collect::<Vec<_>>().join(", ");
    match names.count() {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Returns a name as it stands in a list or a sentence.
pub(crate) fn name(name: &str) -> String {
    let is_plain =
        !name.is_empty() && !name.contains(|character: char| character == ',' || character.is_whitespace());
    if is_plain { printable(name, MOST_QUOTED) } else { quoted(name) }
}

/// Returns the column of each feature, and notes on what may be a mistake in the header.
fn columns(
    names: &[String],
    target: Option<&str>,
    schema: Schema,
    place: &str,
    interface: Interface,
) -> Result<(Vec<usize>, Vec<String>)> {
    let (owner, left_out) = match schema.owner {
        Owner::Model => ("model", &[][..]),
        Owner::Table(left_out) => ("reference", left_out),
    };
    let known: Vec<&str> = schema.features.iter().map(|feature| feature.name.as_str()).collect();
    let lacking: Vec<&str> =
        known.iter().copied().filter(|known| !names.iter().any(|name| name == known)).collect();
    if !lacking.is_empty() {
        let have: Vec<&str> = names.iter().map(String::as_str).collect();
        // A single column with a usual separator in its name means that the file has another separator.
        let separator = [(';', ";"), ('\t', "\\t"), (',', ","), ('|', "|")];
        let separator = separator.iter().find(|(mark, _)| have.len() == 1 && have[0].contains(*mark));
        let remedy = match (separator, schema.owner) {
            (Some((_, mark)), Owner::Model) => match interface {
                Interface::CommandLine => format!("; try --separator '{mark}'"),
                Interface::Scenario => format!("; try separator: '{mark}'"),
            },
            (Some((_, mark)), Owner::Table(_)) => {
                format!(
                    "; its separator seems to be '{mark}', which is not that of the reference; write both tables with the same separator"
                )
            }
            (None, Owner::Model) => String::new(),
            (None, Owner::Table(_)) if lacking.len() == known.len() => {
                "; give two tables with the same columns".to_owned()
            }
            (None, Owner::Table(_)) => {
                let flags: Vec<_> =
                    lacking.iter().map(|name| format!("--drop {}", shell_word(name))).collect();
                let what = if flags.len() == 1 { "it" } else { "them" };
                format!("; leave {what} out of the comparison with {}", flags.join(" "))
            }
        };
        bail!(
            "{place}:1: the table lacks {} of the {owner}'s columns: {}; it has {}{remedy}",
            lacking.len(),
            listed(lacking),
            listed(have.iter().copied()),
        );
    }
    if let Some(twice) = known.iter().find(|known| names.iter().filter(|name| name == *known).count() > 1) {
        bail!("{place}:1: column {} occurs twice; rename one of them", quoted(twice));
    }
    let columns: Vec<usize> =
        known.iter().filter_map(|known| names.iter().position(|name| name == known)).collect();
    let mut notes = Vec::new();
    if !columns.is_sorted() {
        notes.push(format!(
            "the columns are in another order than those of the {owner}; they are matched by name"
        ));
    }
    let others: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !known.contains(name) && target != Some(name))
        .filter(|name| !left_out.iter().any(|own| own == name))
        .collect();
    if !others.is_empty() {
        notes.push(format!("columns that the {owner} does not have are ignored: {}", listed(others)));
    }
    Ok((columns, notes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_shows_the_first_twenty_names() {
        let names: Vec<String> = (0..22).map(|at| format!("c{at}")).collect();
        let list = |count: usize| listed(names[..count].iter().map(String::as_str));
        assert_eq!(list(2), "c0, c1");
        assert!(list(20).ends_with(", c18, c19"), "{}", list(20));
        assert!(list(22).ends_with(", c18, c19 and 2 more"), "{}", list(22));
    }

    #[test]
    fn categories_are_read_as_the_service_reads_them() {
        let rows: String =
            (0..80).map(|row| format!("{},{},{}\n", row % 2 == 0, row % 7, row / 3 % 2)).collect();
        let text = format!("paid,number,class\n{rows}");
        let table = model::read_csv(text.as_bytes(), "t", &model::CsvOptions::new("class")).unwrap().table;
        let card = model::train(&table, &model::TrainOptions::new("t")).unwrap().card;
        let own = card.features[0].categorical().unwrap();
        let cells = Cells::new(&card.features[0], false);
        for text in ["true", "FALSE", "True", "maybe"] {
            assert_eq!(cells.value(text.as_bytes(), &[]), Ok(Some(own.value(text))), "{text}");
        }
        assert_ne!(own.value("True"), own.value("maybe"));
    }

    #[test]
    fn spaces_around_categories_count_if_the_model_gets_texts_unchanged() {
        let rows: String =
            (0..80).map(|row| format!("{},{row},{}\n", ["a", "b"][row % 2], row / 3 % 2)).collect();
        let text = format!("letter,number,class\n{rows}");
        let table = model::read_csv(text.as_bytes(), "t", &model::CsvOptions::new("class")).unwrap().table;
        let feature = &model::train(&table, &model::TrainOptions::new("t")).unwrap().card.features[0];
        for (keep_spaces, padded) in [(false, 1.0), (true, 2.0)] {
            let cells = Cells::new(feature, keep_spaces);
            for (text, expected) in
                [("b", Some(1.0)), ("b ", Some(padded)), (" b", Some(padded)), ("c", Some(2.0)), (" ", None)]
            {
                assert_eq!(cells.value(text.as_bytes(), &[]), Ok(expected), "{text:?}");
            }
        }
    }

    #[test]
    fn the_text_of_a_cell_has_its_spaces_if_the_model_gets_texts_unchanged() {
        let mut card = crate::fixtures::regression().card;
        let header = ["city", "area", "floor"].map(str::as_bytes).to_vec().into();
        let text = |card: &ModelCard| {
            let (reader, _) = RecordReader::new(
                &header,
                Schema::of_model(card),
                None,
                Vec::new(),
                "t.csv",
                Interface::CommandLine,
            )
            .unwrap();
            let record = ByteRecord::from(vec![b" Bonn ".as_slice(), b" 50", b"\xff"]);
            [2, 0, 1].map(|feature| reader.text(&record, feature).map(str::to_owned))
        };
        assert!(card.is_profile());
        assert_eq!(text(&card), [Some(" Bonn ".into()), Some("50".into()), None]);
        card.training.alpha = Some(0.1);
        assert_eq!(text(&card)[0].as_deref(), Some("Bonn"));
    }

    #[test]
    fn texts_in_another_encoding_are_not_read_as_unknown_categories() {
        let rows: String =
            (0..80).map(|row| format!("{},{row},{}\n", ["ä", "b"][row % 2], row / 3 % 2)).collect();
        let text = format!("größe,number,class\n{rows}");
        let table = model::read_csv(text.as_bytes(), "t", &model::CsvOptions::new("class")).unwrap().table;
        let card = model::train(&table, &model::TrainOptions::new("t")).unwrap().card;
        let new = |header: &[&[u8]]| {
            RecordReader::new(
                &header.to_vec().into(),
                Schema::of_model(&card),
                None,
                Vec::new(),
                "t.csv",
                Interface::CommandLine,
            )
        };
        let (reader, _) = new(&["größe".as_bytes(), b"number"]).unwrap();
        let mut row = [None; 2];
        let error = reader.read(&ByteRecord::from(vec![b"\xe4".as_slice(), b"1"]), &mut row).unwrap_err();
        assert!(error.starts_with("column \"größe\": ") && error.contains(" is not UTF-8; save"), "{error}");
        assert!(reader.read(&ByteRecord::from(vec!["ö".as_bytes(), b"1"]), &mut row).is_ok());
        let error = new(&[b"number", b"gr\xf6\xdfe"]).err().unwrap().to_string();
        let expected = "t.csv:1: field 2 of the header, \"gr\u{fffd}\u{fffd}e\", is not UTF-8; save";
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn names_with_spaces_or_commas_are_quoted_in_lists() {
        assert_eq!(listed(["a", "", "b c", "d,e", "f.g", "\t"]), r#"a, "", "b c", "d,e", f.g, "\t""#);
    }
}
