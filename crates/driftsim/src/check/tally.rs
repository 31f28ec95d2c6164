//! Counts the rows of a table, bin by bin, in constant memory.

use super::Reference;
use anyhow::{Context, Result, bail};
use cli_io::printable::{MOST_QUOTED, printable, quoted};
use csv::{ByteRecord, ReaderBuilder};
use model::{Feature, Values};
use std::{collections::HashMap, io::Read};

/// Problems that are kept in words; further ones are only counted.
const NAMED: usize = 10;

/// What was counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    /// Rows that were counted.
    pub rows: u64,
    /// Rows that could not be read, and are not counted.
    pub unreadable: u64,
    /// The first of them, with line, column and what was expected.
    pub problems: Vec<String>,
    /// Counts per bin, signal by signal; empty for a signal that was not checked.
    pub counts: Vec<Vec<u64>>,
    /// What is remarkable about the columns.
    pub notes: Vec<String>,
    /// How many of the rows have a class of the model in the target column, and how many of those the model classifies correctly.
    pub labelled: [u64; 2],
}

/// How a table is read.
pub struct Reading<'a> {
    /// The table's name in messages.
    pub place: &'a str,
    /// Texts that stand for a missing value.
    pub missing: &'a [String],
    /// What separates the fields.
    pub separator: u8,
    /// The column with the true class.
    pub target: Option<&'a str>,
}

/// How the cells of one feature are read.
enum Cells {
    Numeric,
    Categorical(HashMap<Vec<u8>, f64>),
}

impl Tally {
    /// Counts the rows of a table.
    ///
    /// # Errors
    /// If the header lacks a feature of the model or names one twice, or the file is not CSV.
    pub fn count(input: impl Read, reading: &Reading, reference: &Reference) -> Result<Self> {
        let &Reading { place, missing, separator, target } = reading;
        let card = &reference.card;
        let mut reader = ReaderBuilder::new()
            .flexible(true)
            .delimiter(separator)
            .buffer_capacity(1 << 18)
            .from_reader(input);
        let header = reader.byte_headers().with_context(|| format!("{place}:1: cannot read the header"))?;
        let width = header.len();
        let names: Vec<String> = header.iter().map(name).collect();
        let (columns, notes) = columns(&names, target, &card.features, place)?;
        let target = target.map(|target| {
            let found = names.iter().position(|name| name == target);
            found.with_context(|| format!("{place}:1: --target: no column {target:?}"))
        });
        let target = target.transpose()?;
        let classes: HashMap<&[u8], usize> =
            card.classes.iter().map(|class| class.as_bytes()).zip(0..).collect();
        let cells: Vec<Cells> = card.features.iter().map(Cells::new).collect();
        let signals = &card.reference.signals;
        let mut tally = Self {
            rows: 0,
            unreadable: 0,
            problems: Vec::new(),
            counts: signals.iter().map(|signal| vec![0; signal.bins.len()]).collect(),
            notes,
            labelled: [0; 2],
        };
        let mut record = ByteRecord::new();
        let mut row: Vec<Option<f64>> = vec![None; columns.len()];
        while reader.read_byte_record(&mut record).with_context(|| format!("{place}: cannot read a row"))? {
            let line = || record.position().map_or(0, csv::Position::line);
            if record.len() != width {
                let problem = format!("{} fields, but the header has {width}", record.len());
                tally.unreadable(|| format!("{place}:{}: {problem}", line()));
                continue;
            }
            let mut odd = None;
            for ((value, &column), cells) in row.iter_mut().zip(&columns).zip(&cells) {
                let cell = record[column].trim_ascii();
                match cells.value(cell, missing) {
                    Ok(read) => *value = read,
                    Err(()) => odd = odd.or(Some((column, cell))),
                }
            }
            if let Some((column, cell)) = odd {
                tally.unreadable(|| {
                    format!(
                        "{place}:{}: column {}: expected a finite number, got {} (--missing makes it a missing value)",
                        line(),
                        quoted(&names[column]),
                        quoted(&String::from_utf8_lossy(cell))
                    )
                });
                continue;
            }
            let label = target.and_then(|target| classes.get(record[target].trim_ascii()).copied());
            tally.add(&row, label, reference, || format!("{place}:{}", line()));
        }
        if reference.classifier.is_none() {
            tally.counts[columns.len()..].iter_mut().for_each(Vec::clear);
            tally.notes.push(
                "the reference is a card without the model: prediction, confidence and distance are not checked".into(),
            );
        }
        Ok(tally)
    }

    fn unreadable(&mut self, problem: impl FnOnce() -> String) {
        self.unreadable += 1;
        if self.problems.len() < NAMED {
            self.problems.push(problem());
        }
    }

    fn add(
        &mut self,
        row: &[Option<f64>],
        label: Option<usize>,
        reference: &Reference,
        place: impl Fn() -> String,
    ) {
        let card = &reference.card;
        let outputs = match reference.classifier.as_ref().map(|classifier| classifier.predict(row)) {
            None => None,
            Some(Ok(prediction)) => {
                if let Some(label) = label {
                    self.labelled[0] += 1;
                    self.labelled[1] += u64::from(prediction.class == label);
                }
                Some([prediction.class as f64, prediction.confidence, prediction.distance].map(Some))
            }
            Some(Err(too_large)) => {
                let name = &card.features[too_large.feature].name;
                return self.unreadable(|| {
                    format!(
                        "{}: column {}: {:e} is too large to score",
                        place(),
                        quoted(name),
                        too_large.value
                    )
                });
            }
        };
        self.rows += 1;
        let values = row.iter().copied().chain(outputs.into_iter().flatten());
        for ((signal, counts), value) in card.reference.signals.iter().zip(&mut self.counts).zip(values) {
            counts[signal.bins.index(value)] += 1;
        }
    }
}

impl Cells {
    fn new(feature: &Feature) -> Self {
        match &feature.values {
            Values::Numeric(_) => Self::Numeric,
            Values::Categorical(own) => {
                let known = own.categories.iter().enumerate();
                Self::Categorical(known.map(|(at, name)| (name.clone().into_bytes(), at as f64)).collect())
            }
        }
    }

    /// Returns the value of a cell; an error if it should be a number and is not.
    fn value(&self, cell: &[u8], missing: &[String]) -> Result<Option<f64>, ()> {
        if cell.is_empty() || missing.iter().any(|token| token.as_bytes() == cell) {
            return Ok(None);
        }
        match self {
            Self::Categorical(known) => Ok(Some(known.get(cell).copied().unwrap_or(known.len() as f64))),
            Self::Numeric => {
                let number = str::from_utf8(cell).ok().and_then(|text| text.parse::<f64>().ok());
                number.filter(|number| number.is_finite()).map(Some).ok_or(())
            }
        }
    }
}

fn name(field: &[u8]) -> String {
    let text = String::from_utf8_lossy(field);
    text.trim_start_matches('\u{feff}').trim().to_owned()
}

/// Returns the column of each feature, and what is remarkable about the columns.
fn columns(
    names: &[String],
    target: Option<&str>,
    features: &[Feature],
    place: &str,
) -> Result<(Vec<usize>, Vec<String>)> {
    let listed =
        |names: &[&str]| names.iter().map(|name| printable(name, MOST_QUOTED)).collect::<Vec<_>>().join(", ");
    let known: Vec<&str> = features.iter().map(|feature| feature.name.as_str()).collect();
    let lacking: Vec<&str> =
        known.iter().copied().filter(|known| !names.iter().any(|name| name == known)).collect();
    if !lacking.is_empty() {
        let have: Vec<&str> = names.iter().map(String::as_str).collect();
        bail!(
            "{place}:1: the table lacks {} of the model's columns: {}; it has {}",
            lacking.len(),
            listed(&lacking),
            listed(&have)
        );
    }
    if let Some(twice) = known.iter().find(|known| names.iter().filter(|name| name == *known).count() > 1) {
        bail!("{place}:1: column {} occurs twice; rename one of them", quoted(twice));
    }
    let columns: Vec<usize> =
        known.iter().filter_map(|known| names.iter().position(|name| name == known)).collect();
    let mut notes = Vec::new();
    if !columns.is_sorted() {
        notes.push("the columns are in another order than the model's; they are matched by name".to_owned());
    }
    let others: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !known.contains(name) && target != Some(name))
        .collect();
    if !others.is_empty() {
        notes.push(format!("columns that the model does not have are ignored: {}", listed(&others)));
    }
    Ok((columns, notes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Classifier, TrainOptions};

    fn iris() -> Reference {
        let file = model::train(&model::iris::table(), &TrainOptions::new("iris")).unwrap();
        Reference { classifier: Some(Classifier::new(&file)), card: file.card }
    }

    fn count(text: &str, reference: &Reference) -> Result<Tally> {
        let missing = ["NA".to_owned()];
        let reading = Reading { place: "t.csv", missing: &missing, separator: b',', target: None };
        Tally::count(text.as_bytes(), &reading, reference)
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
        let tally = count(
            &format!("\u{feff}note,petal_width,sepal_length,sepal_width, petal_length\n{rows}"),
            &reference,
        )
        .unwrap();
        assert_eq!((tally.rows, tally.unreadable), (147, 0));
        let features = reference.card.features.len();
        for (counts, signal) in tally.counts[..features].iter().zip(&reference.card.reference.signals) {
            assert_eq!(*counts, signal.counts, "{}", signal.name);
        }
        assert!(tally.counts.iter().all(|counts| counts.iter().sum::<u64>() == 147));
        assert_eq!(tally.notes.len(), 2, "{:?}", tally.notes);
    }

    #[test]
    fn rows_that_cannot_be_read_are_named_and_counted_apart() {
        let header = "sepal_length,sepal_width,petal_length,petal_width\n";
        let tally = count(
            &format!("{header}5,3,1,0.2\n5,x,1,0.2\n5,3,1\n5,NA,,0.2\n1e300,3,1e200,2\n5,3,inf,1\n"),
            &iris(),
        )
        .unwrap();
        assert_eq!((tally.rows, tally.unreadable), (2, 4));
        let expected = [
            "t.csv:3: column \"sepal_width\": expected a finite number, got \"x\"",
            "t.csv:4: 3 fields, but the header has 4",
            "t.csv:6: column \"sepal_length\": 1e300 is too large to score",
            "t.csv:7: column \"petal_length\": expected a finite number, got \"inf\"",
        ];
        for (problem, expected) in tally.problems.iter().zip(expected) {
            assert!(problem.starts_with(expected), "{problem}");
        }
    }

    #[test]
    fn a_table_without_the_models_columns_is_refused() {
        let message = |text: &str| count(text, &iris()).unwrap_err().to_string();
        assert_eq!(
            message("sepal_length,sepal_width,petals\n1,2,3\n"),
            "t.csv:1: the table lacks 2 of the model's columns: petal_length, petal_width; it has sepal_length, sepal_width, petals"
        );
        let twice = "sepal_length,sepal_width,petal_length,petal_width,petal_width\n";
        assert_eq!(message(twice), "t.csv:1: column \"petal_width\" occurs twice; rename one of them");
    }

    #[test]
    fn a_card_alone_checks_the_features() {
        let reference = Reference { classifier: None, ..iris() };
        let tally =
            count("sepal_length,sepal_width,petal_length,petal_width\n5,3,1,0.2\n", &reference).unwrap();
        assert_eq!(
            tally.counts.iter().map(|counts| counts.iter().sum::<u64>()).collect::<Vec<_>>(),
            [1, 1, 1, 1, 0, 0, 0]
        );
        assert!(tally.notes[0].contains("not checked"));
    }
}
