//! The rows of a table, held in memory so that rows can be drawn from them.

use crate::{
    records::{Interface, Label, RecordReader, Schema},
    unknown_labels::UnknownLabels,
};
use anyhow::{Context, Result, ensure};
use cli_io::{
    printable::{MOST_QUOTED, printable},
    table_file::TableFile,
    table_lines::LineCounter,
};
use csv::{ByteRecord, ReaderBuilder};
use model::{Feature, ModelCard, Notation, simulator::pick_class};
use rand::{Rng, RngExt};
use std::{collections::HashMap, fmt::Write, io::Read, path::Path};

/// The greatest number of problems that an error describes; further ones are only counted.
const NAMED: usize = 10;

/// Rows of a model's features, with their true classes or numbers where the table has them.
#[derive(Debug, Clone, PartialEq)]
pub struct TableRows {
    /// The table's name, for messages.
    pub place: String,
    features: usize,
    /// Row by row; NaN is missing.
    values: Vec<f64>,
    others: OtherTexts,
    labels: Vec<Option<Label>>,
    /// The rows of each class, by position; empty if the model predicts a number.
    classes: Vec<Vec<usize>>,
    /// The share of each class among the rows with a label; empty if the model predicts a number.
    shares: Vec<f64>,
    /// How many rows have a label.
    labelled: usize,
    /// Describes the labels that are not classes of the model, or not numbers if the model predicts one; `None` if there are none.
    pub unknown_labels: Option<String>,
    /// Sentences about what may be a mistake in the table.
    pub notes: Vec<String>,
}

/// The texts of categories that are rare in the reference of the model, or not in it. The model counts them alike, but the servers of
/// models that were made elsewhere may not, so they are sent as they are.
#[derive(Debug, Clone, PartialEq)]
struct OtherTexts {
    /// For each categorical feature, the value of a category without a value of its own, and the first value of such a text. The values
    /// before that one are defined by the card.
    values: Vec<Option<[f64; 2]>>,
    texts: Vec<Vec<String>>,
    /// The position of each text in `texts`.
    positions: Vec<HashMap<String, usize>>,
}

impl OtherTexts {
    fn new(card: &ModelCard) -> Self {
        let values = |feature: &Feature| {
            let own = feature.categorical()?;
            Some([own.categories.len() as f64, own.unseen_value() + 1.0])
        };
        let features = card.features.len();
        Self {
            values: card.features.iter().map(values).collect(),
            texts: vec![Vec::new(); features],
            positions: vec![HashMap::new(); features],
        }
    }

    /// Replaces the value of a category without a value of its own by one that stands for its text.
    fn replace<'a>(
        &mut self,
        feature: usize,
        value: &mut Option<f64>,
        text: impl FnOnce() -> Option<&'a str>,
    ) {
        let Some([other, first]) = self.values[feature] else { return };
        if *value != Some(other) {
            return;
        }
        let Some(text) = text() else { return };
        let texts = &mut self.texts[feature];
        let position = match self.positions[feature].get(text) {
            Some(&known) => known,
            None => {
                texts.push(text.to_owned());
                self.positions[feature].insert(text.to_owned(), texts.len() - 1);
                texts.len() - 1
            }
        };
        *value = Some(first + position as f64);
    }

    fn text(&self, feature: usize, value: f64) -> Option<&str> {
        let [_, first] = self.values[feature]?;
        let position = (value >= first).then_some((value - first) as usize)?;
        self.texts[feature].get(position).map(String::as_str)
    }
}

/// Options for reading a table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableOptions {
    /// The column with the true class or number and the texts that stand for a missing value.
    pub notation: Notation,
    /// The byte that separates the fields.
    pub separator: u8,
    /// Whether these options are flags or fields of a scenario, which messages name.
    pub interface: Interface,
}

impl TableOptions {
    /// Returns the options for a table of a scenario that has the target column and the missing values of the table that the model
    /// was trained on, and commas.
    pub fn of(card: &ModelCard) -> Self {
        Self { notation: card.notation.clone(), separator: b',', interface: Interface::Scenario }
    }
}

impl TableRows {
    /// Reads a CSV file, plain or compressed with gzip. Columns are matched by name; a table may lack the column with the true
    /// class or number.
    /// `field` names the flag or field that the path is from.
    ///
    /// # Errors
    /// If the file cannot be read, lacks a feature, has no row, or has cells that cannot be read: the first of them are named by
    /// line and column.
    pub fn open(field: &'static str, path: &Path, options: &TableOptions, card: &ModelCard) -> Result<Self> {
        let mut file = TableFile::open(field, path)?;
        let place = file.place.clone();
        Self::read(file.text(), &place, options, card).map_err(|error| file.explain(error))
    }

    fn read(mut input: impl Read, place: &str, options: &TableOptions, card: &ModelCard) -> Result<Self> {
        let mut text = Vec::new();
        input.read_to_end(&mut text).with_context(|| format!("{place}: cannot be read"))?;
        let mut records = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(options.separator)
            .from_reader(text.as_slice());
        let mut record = ByteRecord::new();
        ensure!(records.read_byte_record(&mut record)?, "{place}: the file is empty");
        let Notation { target, missing } = &options.notation;
        let schema = Schema::of_model(card);
        let (reader, mut notes) =
            RecordReader::new(&record, schema, target.as_deref(), missing.clone(), place, options.interface)?;
        let mut rows = Self {
            place: place.to_owned(),
            features: card.features.len(),
            values: Vec::new(),
            others: OtherTexts::new(card),
            labels: Vec::new(),
            classes: vec![Vec::new(); card.classes.len()],
            shares: Vec::new(),
            labelled: 0,
            unknown_labels: None,
            notes: Vec::new(),
        };
        let (mut problems, mut unread, mut unknown) = (Vec::new(), 0_u64, UnknownLabels::default());
        let mut row = vec![None; rows.features];
        let mut lines = LineCounter::new(&text);
        while records.read_byte_record(&mut record)? {
            if let Err(problem) = reader.read(&record, &mut row) {
                unread += 1;
                if problems.len() < NAMED {
                    let start = record.position().map_or(0, csv::Position::byte);
                    problems.push(format!("{place}:{}: {problem}", lines.line_of(start)));
                }
                continue;
            }
            for (feature, value) in row.iter_mut().enumerate() {
                rows.others.replace(feature, value, || reader.text(&record, feature));
            }
            rows.values.extend(row.iter().map(|value| value.unwrap_or(f64::NAN)));
            rows.label(reader.label(&record, &mut unknown));
        }
        ensure!(unread == 0, "{}", unreadable(place, unread, &problems));
        ensure!(!rows.labels.is_empty(), "{place}: the table has a header, but no rows");
        rows.unknown_labels =
            target.as_ref().and_then(|target| unknown.note(rows.rows() as u64, target, card));
        notes.extend(rows.unknown_labels.clone());
        notes.extend(rows.refused(card));
        rows.notes = notes;
        Ok(rows.counted())
    }

    fn label(&mut self, label: Option<Label>) {
        if let Some(Label::Class(class)) = label {
            self.classes[class].push(self.labels.len());
        }
        self.labelled += usize::from(label.is_some());
        self.labels.push(label);
    }

    fn counted(mut self) -> Self {
        let labelled = self.labelled.max(1) as f64;
        self.shares = self.classes.iter().map(|rows| rows.len() as f64 / labelled).collect();
        self
    }

    /// Returns a note for each feature that must not be missing and is missing in some rows.
    fn refused(&self, card: &ModelCard) -> Vec<String> {
        let lacking = |at: &usize| {
            let missing = self.values.iter().skip(*at).step_by(self.features).filter(|value| value.is_nan());
            missing.count()
        };
        let required = (0..self.features).filter(|&at| !card.features[at].may_be_missing());
        required
            .map(|at| (at, lacking(&at)))
            .filter(|(_, lacking)| *lacking > 0)
            .map(|(at, lacking)| {
                let name = printable(&card.features[at].name, MOST_QUOTED);
                match lacking {
                    1 => format!("1 row lacks {name}, which no row of the reference lacks: the service refuses it"),
                    _ => format!(
                        "{lacking} rows lack {name}, which no row of the reference lacks: the service refuses them"
                    ),
                }
            })
            .collect()
    }

    /// Returns the text of a categorical value, if it is in the table but has no value of its own in the model.
    pub fn other_text(&self, feature: usize, value: f64) -> Option<&str> {
        self.others.text(feature, value)
    }

    /// Returns the number of rows, which is above 0.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Returns how many rows have a true class or number.
    pub fn labelled(&self) -> usize {
        self.labelled
    }

    /// Returns the share of each class among the rows with a label; all are 0 if no row has one, and there are none if the model
    /// predicts a number.
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// Draws a row with replacement. With `shares`, which must be 0 for classes without rows, it first draws the class by them. It uses
    /// two uniform numbers in both cases, so that row n of a seed is made from the same numbers in every drift.
    pub(crate) fn draw(
        &self,
        shares: Option<&[f64]>,
        rng: &mut impl Rng,
        values: &mut Vec<Option<f64>>,
    ) -> Option<Label> {
        let row = self.pick(shares, rng);
        values.clear();
        values.extend(self.row(row).iter().map(|&value| present(value)));
        self.labels[row]
    }

    /// Draws a row and returns the value of one of its features.
    pub(crate) fn draw_one(&self, shares: Option<&[f64]>, feature: usize, rng: &mut impl Rng) -> Option<f64> {
        present(self.row(self.pick(shares, rng))[feature])
    }

    fn pick(&self, shares: Option<&[f64]>, rng: &mut impl Rng) -> usize {
        let (class, row): (f64, f64) = (rng.random(), rng.random());
        let among = |count: usize| ((row * count as f64) as usize).min(count - 1);
        match shares {
            None => among(self.rows()),
            Some(shares) => {
                let own = &self.classes[pick_class(shares, class)];
                own[among(own.len())]
            }
        }
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.features..(row + 1) * self.features]
    }
}

fn present(value: f64) -> Option<f64> {
    (!value.is_nan()).then_some(value)
}

fn unreadable(place: &str, unread: u64, problems: &[String]) -> String {
    let mut text = match unread {
        1 => format!("{place}: 1 row cannot be read"),
        _ => format!("{place}: {unread} rows cannot be read"),
    };
    text.push(':');
    for problem in problems {
        let _ = write!(text, "\n  {problem}");
    }
    if unread as usize > problems.len() {
        text += "\n  …";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use std::collections::BTreeMap;

    const HEADER: &str = "species,petal_width,petal_length,sepal_width,sepal_length\n";

    fn iris() -> ModelCard {
        model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap().card
    }

    fn read(text: &str) -> Result<TableRows> {
        let card = iris();
        TableRows::read(text.as_bytes(), "t.csv", &TableOptions::of(&card), &card)
    }

    #[test]
    fn classes_are_drawn_as_often_as_they_occur_in_the_table() {
        let rows =
            read(&format!("{HEADER}setosa,1,2,3,4\nrose,5,6,7,8\nvirginica,9,10,11,12\nsetosa,1,2,3,4\n"))
                .unwrap();
        assert_eq!((rows.rows(), rows.labelled()), (4, 3));
        assert_eq!(rows.shares(), [2.0 / 3.0, 0.0, 1.0 / 3.0]);
        assert!(
            rows.notes.iter().any(|note| note.ends_with("in column species: it has rose")),
            "{:?}",
            rows.notes
        );
        let mut drawn: BTreeMap<(String, Option<usize>), u32> = BTreeMap::new();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut values = Vec::new();
        let class_of = |label: Option<Label>| match label {
            Some(Label::Class(class)) => Some(class),
            Some(Label::Number(_)) | None => None,
        };
        for _ in 0..4000 {
            let class = class_of(rows.draw(None, &mut rng, &mut values));
            *drawn.entry((format!("{values:?}"), class)).or_default() += 1;
        }
        let share =
            |values: [f64; 4], class| f64::from(drawn[&(format!("{:?}", values.map(Some)), class)]) / 4000.0;
        // Four standard deviations, √(p (1 − p) / 4000) each, are at most 0.032.
        assert!((share([4.0, 3.0, 2.0, 1.0], Some(0)) - 0.5).abs() < 0.032);
        assert!((share([8.0, 7.0, 6.0, 5.0], None) - 0.25).abs() < 0.032);
        assert!((share([12.0, 11.0, 10.0, 9.0], Some(2)) - 0.25).abs() < 0.032);
        assert_eq!(drawn.len(), 3);
        let label = rows.draw(Some(&[0.0, 0.0, 1.0]), &mut rng, &mut values);
        assert_eq!((label, values[0]), (Some(Label::Class(2)), Some(12.0)));
    }

    #[test]
    fn rows_of_a_table_without_a_class_column_have_no_labels() {
        let rows = read("petal_width,petal_length,sepal_width,sepal_length\n1,2,3,4\n").unwrap();
        assert_eq!((rows.rows(), rows.labelled()), (1, 0));
    }

    #[test]
    fn the_target_of_a_model_that_predicts_a_number_is_read_as_a_number() {
        let card = fixtures::regression().card;
        let read =
            |text: &str| TableRows::read(text.as_bytes(), "t.csv", &TableOptions::of(&card), &card).unwrap();
        let rows =
            read("area,floor,city,price\n50,1,Bonn, 155.5\n60,2,Bonn,\n70,3,Celle,NaN\n70,3,Celle,1e999\n");
        assert_eq!((rows.rows(), rows.labelled()), (4, 1));
        assert_eq!(rows.shares(), [0.0; 0]);
        assert_eq!(rows.notes, ["3 rows have no number in column price: they have \"\", 1e999, NaN"]);
        let (mut rng, mut values, mut seen) = (ChaCha8Rng::seed_from_u64(1), Vec::new(), Vec::new());
        for _ in 0..100 {
            let label = rows.draw(None, &mut rng, &mut values);
            assert_eq!(label, (values[0] == Some(50.0)).then_some(Label::Number(155.5)));
            seen.push(label.is_some());
        }
        assert!(seen.contains(&true) && seen.contains(&false));
        let none = read("area,floor,city,price\n50,1,Bonn,much\n60,2,Bonn,much\n");
        assert_eq!(
            (none.labelled(), none.notes),
            (0, vec!["column price has no number: it has much".to_owned()])
        );
        assert_eq!(read("area,floor,city\n50,1,Bonn\n").labelled(), 0);
    }

    #[test]
    fn every_kind_of_unreadable_row_has_an_error_with_its_line() {
        let error = read(&format!("{HEADER}setosa,1,2,3,4\nsetosa,x,2,3,4\nsetosa,1,2\nsetosa,1,inf,3,4\n"));
        let expected = "t.csv: 3 rows cannot be read:\n  \
            t.csv:3: column \"petal_width\": expected a finite number, got \"x\" (`missing` makes it a missing value)\n  \
            t.csv:4: expected 5 fields as in the header, got 3\n  \
            t.csv:5: column \"petal_length\": expected a finite number, got \"inf\" (`missing` makes it a missing value)";
        assert_eq!(error.unwrap_err().to_string(), expected);
        let crlf = format!("{HEADER}setosa,1,2,3,4\n\nsetosa,x,2,3,4\n").replace('\n', "\r\n");
        let error = read(&crlf).unwrap_err().to_string();
        assert!(error.contains("t.csv:4: column"), "{error}");
        let options = TableOptions { interface: Interface::CommandLine, ..TableOptions::of(&iris()) };
        let flags = TableRows::read(crlf.as_bytes(), "t.csv", &options, &iris()).unwrap_err().to_string();
        assert!(flags.contains("(--missing makes it a missing value)"), "{flags}");
        assert_eq!(read(HEADER).unwrap_err().to_string(), "t.csv: the table has a header, but no rows");
    }

    #[test]
    fn a_note_counts_missing_values_that_the_service_refuses() {
        let rows = read(&format!("{HEADER}setosa,,2,3,4\n")).unwrap();
        assert_eq!(rows.notes.len(), 2, "{:?}", rows.notes);
        assert_eq!(
            rows.notes[1],
            "1 row lacks petal_width, which no row of the reference lacks: the service refuses it"
        );
        let rows = read(&format!("{HEADER}setosa,,2,3,4\nsetosa,,2,3,4\n")).unwrap();
        assert_eq!(
            rows.notes[1],
            "2 rows lack petal_width, which no row of the reference lacks: the service refuses them"
        );
    }

    #[test]
    fn categories_without_a_value_of_their_own_keep_their_texts() {
        let card = fixtures::regression().card;
        let [city, area] = ["city", "area"]
            .map(|name| card.features.iter().position(|feature| feature.name == name).unwrap());
        let text = "city,area,floor\nBonn,50,1\nBonn ,50,1\nParis,50,1\n,50,1\nParis,50,1\nCelle,50,1\n";
        let rows = TableRows::read(text.as_bytes(), "t.csv", &TableOptions::of(&card), &card).unwrap();
        let texts = |row: usize| rows.other_text(city, rows.row(row)[city]);
        let expected = [None, Some("Bonn "), Some("Paris"), None, Some("Paris"), None];
        assert_eq!([0, 1, 2, 3, 4, 5].map(texts), expected);
        let own = card.features[city].categorical().unwrap();
        assert_eq!([0, 5].map(|row| own.text(rows.row(row)[city])), ["Bonn", "Celle"]);
        assert_eq!(rows.other_text(area, 1e9), None, "a number is not a text");
    }
}
