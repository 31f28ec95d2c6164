//! Counts the rows of a table, bin by bin, in constant memory.

use super::{
    Reference,
    blocks::{Block, Blocks},
    parallel::map_reduce,
};
use crate::{
    records::{Interface, Label, RecordReader},
    unknown_labels::UnknownLabels,
};
use anyhow::{Context, Result, bail, ensure};
use cli_io::printable::quoted;
use csv::{ByteRecord, ReaderBuilder};
use model::{Batch, BatchRows, EngineError};
use std::{io::Read, iter};

/// The greatest number of problems that are described; further ones are only counted.
const NAMED: usize = 10;

/// The counts of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableCounts {
    /// The number of rows that were counted.
    pub rows: u64,
    /// The number of rows that could not be read, and are not counted.
    pub unreadable: u64,
    /// The first problems of rows that could not be read, with line, column and what was expected.
    pub problems: Vec<String>,
    /// Counts per bin, signal by signal; empty for a signal that was not checked.
    pub counts: Vec<Vec<u64>>,
    /// Sentences about what may be a mistake in the table.
    pub notes: Vec<String>,
    /// The number of rows with a class of the model in the target column, and how many of those the model classifies correctly.
    pub labelled: [u64; 2],
}

/// Options for reading a table.
pub struct Reading<'a> {
    /// The table's name in messages.
    pub place: &'a str,
    /// Texts that stand for a missing value, in addition to those of the model's own table, if the reference is a model.
    pub missing: &'a [String],
    /// The byte that separates the fields.
    pub separator: u8,
    /// The column with the true class or number, which the table must have. If `None`, it is the target column that the model was
    /// trained on, which the table may lack. Must be `None` if the reference is a table.
    pub target: Option<&'a str>,
}

impl TableCounts {
    /// Counts the rows of a table, on all cores. The result does not depend on the number of cores.
    ///
    /// # Errors
    /// If the table cannot be read, or its header lacks a feature of the model or names one twice.
    pub fn count(input: impl Read, reading: &Reading, reference: &Reference) -> Result<Self> {
        let place = reading.place;
        let mut blocks = Blocks::new(input, place, reading.separator);
        let (rows, mut notes, first) = Rows::new(&mut blocks, reading, reference)?;
        let blocks = iter::once(Ok(first)).chain(blocks);
        let target = rows.target;
        let PartCounts { rows, unreadable, problems, mut signals, labelled, unknown } =
            map_reduce(blocks, |block| rows.count(&block), PartCounts::default, PartCounts::merge)?;
        notes
            .extend(target.zip(reference.card()).and_then(|(target, card)| unknown.note(rows, target, card)));
        if reference.card().is_some() && reference.predictor().is_none() {
            signals[reference.features().len()..].iter_mut().for_each(Vec::clear);
            notes.push(
                "the reference is a model card without the model, so the signals of its output are not checked".into(),
            );
        }
        let problems = problems.into_iter().map(|(line, problem)| format!("{place}:{line}: {problem}"));
        Ok(Self { rows, unreadable, problems: problems.collect(), counts: signals, notes, labelled })
    }
}

/// What is needed to count the rows of a table.
struct Rows<'a> {
    separator: u8,
    reference: &'a Reference,
    reader: RecordReader,
    /// The column with the true class or number, which the table may lack.
    target: Option<&'a str>,
}

/// The counts of a part of a table.
#[derive(Default)]
struct PartCounts {
    rows: u64,
    unreadable: u64,
    /// The first rows that could not be read: the line and what was expected.
    problems: Vec<(u64, String)>,
    signals: Vec<Vec<u64>>,
    labelled: [u64; 2],
    unknown: UnknownLabels,
}

impl<'a> Rows<'a> {
    /// Reads the header. Also returns notes on what may be a mistake in it, and the rest of the first block.
    fn new(
        blocks: &mut Blocks<'_, impl Read>,
        reading: &'a Reading,
        reference: &'a Reference,
    ) -> Result<(Self, Vec<String>, Block)> {
        let place = reading.place;
        let mut block = blocks.next().transpose()?.with_context(|| format!("{place}: the file is empty"))?;
        let mut records = records(&block, reading.separator);
        let mut header = ByteRecord::new();
        ensure!(records.read_byte_record(&mut header)?, "{place}: the file is empty");
        let end = records.position().byte() as usize;
        block.remove_before(end);
        let notation = reference.card().map(|card| &card.notation);
        let target = reading.target.or(notation.and_then(|own| own.target.as_deref()));
        let own_missing = notation.map_or(&[][..], |own| &own.missing);
        let missing = own_missing.iter().chain(reading.missing).cloned().collect();
        let schema = reference.schema();
        let (reader, notes) =
            RecordReader::new(&header, schema, target, missing, place, Interface::CommandLine)?;
        if let (Some(flag), false) = (reading.target, reader.has_target()) {
            bail!("{place}:1: --target: there is no column {}", quoted(flag));
        }
        let rows = Self { separator: reading.separator, reference, reader, target };
        Ok((rows, notes, block))
    }

    /// Counts the rows of a block.
    fn count(&self, block: &Block) -> PartCounts {
        let mut counts = PartCounts::default();
        let signals = self.reference.signals();
        counts.signals.extend(signals.iter().map(|signal| vec![0; signal.bins.len()]));
        let mut records = records(block, self.separator);
        let mut record = ByteRecord::new();
        let mut row = vec![None; self.reference.features().len()];
        // Reading from memory does not fail.
        while let Ok(true) = records.read_byte_record(&mut record) {
            if let Err(problem) =
                self.reader.read(&record, &mut row).and_then(|()| self.add(&row, &record, &mut counts))
            {
                counts.unreadable += 1;
                if counts.problems.len() < NAMED {
                    let start = record.position().map_or(0, csv::Position::byte) as usize;
                    counts.problems.push((block.line_of(start), problem));
                }
            }
        }
        counts
    }

    /// Scores a row and counts its values and what the model makes of them.
    fn add(&self, row: &[Option<f64>], record: &ByteRecord, counts: &mut PartCounts) -> Result<(), String> {
        let batch = Batch { rows: BatchRows::one(row), others: &[] };
        let predictions = self.reference.predictor().map(|predictor| predictor.predict(batch));
        let prediction = predictions.transpose().map(|own| own.and_then(|mut own| own.pop()));
        let prediction = prediction.map_err(|error| match error {
            EngineError::Value { feature, problem, .. } => {
                format!("column {}: {problem}", quoted(&self.reference.features()[feature].name))
            }
            EngineError::Row { problem, .. } => format!("the model cannot score the row: {problem}"),
            EngineError::Failed(_) => error.to_string(),
        })?;
        let outputs = prediction.iter().flat_map(|prediction| prediction.signal_values().map(Some));
        let values = row.iter().copied().chain(outputs);
        for ((signal, bins), value) in self.reference.signals().iter().zip(&mut counts.signals).zip(values) {
            bins[signal.bins.index(value)] += 1;
        }
        let label = self.reader.label(record, &mut counts.unknown);
        if let (Some(Label::Class(class)), Some(prediction)) = (label, &prediction) {
            counts.labelled[0] += 1;
            counts.labelled[1] += u64::from(prediction.class() == Some(class));
        }
        counts.rows += 1;
        Ok(())
    }
}

impl PartCounts {
    /// Adds up the counts of two parts of a table, in any order.
    fn merge(mut self, other: Self) -> Self {
        if self.signals.is_empty() {
            return other;
        }
        self.rows += other.rows;
        self.unreadable += other.unreadable;
        self.problems.extend(other.problems);
        self.problems.sort_unstable();
        self.problems.truncate(NAMED);
        for (own, other) in self.signals.iter_mut().flatten().zip(other.signals.iter().flatten()) {
            *own += other;
        }
        self.labelled[0] += other.labelled[0];
        self.labelled[1] += other.labelled[1];
        self.unknown.merge(&other.unknown);
        self
    }
}

/// Reads the records of a block.
fn records(block: &Block, separator: u8) -> csv::Reader<&[u8]> {
    ReaderBuilder::new().has_headers(false).flexible(true).delimiter(separator).from_reader(&block.text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Predictor, TrainOptions};

    fn iris() -> Reference {
        let file = model::train(&model::iris::table(), &TrainOptions::new("iris")).unwrap();
        let predictor = Predictor::built_in(&file).map(Box::new);
        Reference::Model { predictor, card: Box::new(file.card) }
    }

    fn count(text: &str, reference: &Reference) -> Result<TableCounts> {
        let missing = ["NA".to_owned()];
        let reading = Reading { place: "t.csv", missing: &missing, separator: b',', target: None };
        TableCounts::count(text.as_bytes(), &reading, reference)
    }

    #[test]
    fn every_row_is_counted_once_in_every_signal() {
        let reference = iris();
        let rows: String = model::iris::table()
            .rows()
            .map(|row| {
                format!("x,{},{},{},{}\n", row[3].unwrap(), row[0].unwrap(), row[1].unwrap(), row[2].unwrap())
            })
            .collect();
        let table_counts = count(
            &format!("\u{feff}note,petal_width,sepal_length,sepal_width, petal_length\n{rows}"),
            &reference,
        )
        .unwrap();
        assert_eq!((table_counts.rows, table_counts.unreadable), (147, 0));
        let features = reference.features().len();
        for (counts, signal) in table_counts.counts[..features].iter().zip(reference.signals()) {
            assert_eq!(*counts, signal.counts, "{}", signal.name);
        }
        assert!(table_counts.counts.iter().all(|counts| counts.iter().sum::<u64>() == 147));
        assert_eq!(table_counts.notes.len(), 2, "{:?}", table_counts.notes);
    }

    #[test]
    fn rows_that_cannot_be_read_are_reported_and_counted_separately() {
        let header = "sepal_length,sepal_width,petal_length,petal_width\n";
        let table_counts = count(
            &format!("{header}5,3,1,0.2\n5,x,1,0.2\n5,3,1\n5,NA,,0.2\n1e300,3,1e200,2\n5,3,inf,1\n"),
            &iris(),
        )
        .unwrap();
        assert_eq!((table_counts.rows, table_counts.unreadable), (2, 4));
        let expected = [
            "t.csv:3: column \"sepal_width\": expected a finite number, got \"x\"",
            "t.csv:4: expected 4 fields as in the header, got 3",
            "t.csv:6: column \"sepal_length\": must be small enough to be scored without overflow, got 1e300",
            "t.csv:7: column \"petal_length\": expected a finite number, got \"inf\"",
        ];
        for (problem, expected) in table_counts.problems.iter().zip(expected) {
            assert!(problem.starts_with(expected), "{problem}");
        }
    }

    /// The text is longer than a few blocks, so that several threads count.
    #[test]
    fn a_long_table_is_counted_exactly_and_its_first_problems_are_named_in_order() {
        let mut text = "note,sepal_length,sepal_width,petal_length,petal_width\r\n".to_owned();
        let mut line = 2;
        let mut bad = Vec::new();
        for row in 0..60_000 {
            // Every third row has a quoted note with a line end.
            text += if row % 3 == 0 { "\"two \"\"lines\"\"\r\n, one note\"" } else { "plain" };
            text += if row % 4_000 == 3_999 { ",5.1,3.5,none,0.2\r\n" } else { ",5.1,3.5,1.4,0.2\r\n" };
            if row % 4_000 == 3_999 {
                bad.push(line);
            }
            line += 1 + usize::from(row % 3 == 0);
            if row % 7 == 0 {
                text += "\r\n";
                line += 1;
            }
        }
        assert!(text.len() > 1 << 20);
        let table_counts = count(&text, &iris()).unwrap();
        assert_eq!((table_counts.rows, table_counts.unreadable), (60_000 - 15, 15));
        for counts in &table_counts.counts {
            assert_eq!(counts.iter().filter(|&&count| count > 0).collect::<Vec<_>>(), [&table_counts.rows]);
        }
        assert_eq!(table_counts.problems.len(), NAMED);
        for (problem, line) in table_counts.problems.iter().zip(bad) {
            assert!(problem.starts_with(&format!("t.csv:{line}: column \"petal_length\"")), "{problem}");
        }
    }

    #[test]
    fn a_table_that_lacks_columns_of_the_model_is_refused() {
        let message = |text: &str| count(text, &iris()).unwrap_err().to_string();
        assert_eq!(
            message("sepal_length,sepal_width,petals\n1,2,3\n"),
            "t.csv:1: the table lacks 2 of the model's columns: petal_length, petal_width; it has sepal_length, sepal_width, petals"
        );
        let tabs = "sepal_length\tsepal_width\tpetal_length\tpetal_width\n";
        assert!(message(tabs).ends_with("; try --separator '\\t'"), "{}", message(tabs));
        assert_eq!(message("\n\n"), "t.csv: the file is empty");
        let twice = "sepal_length,sepal_width,petal_length,petal_width,petal_width\n";
        assert_eq!(message(twice), "t.csv:1: column \"petal_width\" occurs twice; rename one of them");
    }

    #[test]
    fn labels_that_are_not_classes_are_noted() {
        let notes = |labels: &[&str]| {
            let rows: String = labels.iter().map(|label| format!("5,3,1,0.2,{label}\n")).collect();
            let header = "sepal_length,sepal_width,petal_length,petal_width,species\n";
            count(&format!("{header}{rows}"), &iris()).unwrap().notes
        };
        assert!(notes(&["setosa", " virginica "]).is_empty());
        assert_eq!(
            notes(&["Setosa", "Virginica", "Setosa"]),
            [
                "column species has no class of the model: it has Setosa, Virginica; the model's are setosa, versicolor, virginica"
            ]
        );
        assert_eq!(
            notes(&["setosa", "", "rose"]),
            [r#"2 rows have no class of the model in column species: they have "", rose"#]
        );
    }

    #[test]
    fn names_of_ignored_columns_are_quoted_if_their_ends_are_unclear() {
        let text = "sepal_length,sepal_width,petal_length,petal_width,,\"a, b\",the id\n5,3,1,0.2,,1,2\n";
        assert_eq!(
            count(text, &iris()).unwrap().notes,
            [r#"columns that the model does not have are ignored: "", "a, b", "the id""#]
        );
    }

    #[test]
    fn with_a_card_alone_only_the_features_are_counted() {
        let card = Box::new(iris().card().unwrap().clone());
        let reference = Reference::Model { predictor: None, card };
        let table_counts =
            count("sepal_length,sepal_width,petal_length,petal_width\n5,3,1,0.2\n", &reference).unwrap();
        assert_eq!(
            table_counts.counts.iter().map(|counts| counts.iter().sum::<u64>()).collect::<Vec<_>>(),
            [1, 1, 1, 1, 0, 0, 0]
        );
        assert!(table_counts.notes[0].contains("not checked"));
    }
}
