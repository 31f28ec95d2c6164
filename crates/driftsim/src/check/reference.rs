//! The reference that rows are judged against: a model, or a table.

use crate::records::Schema;
use anyhow::{Context, Result, bail, ensure};
use cli_io::{
    file_kind::{self, FileKind, Wanted},
    printable::quoted,
    table_file::TableFile,
};
use csv::ReaderBuilder;
use drift::SignalReference;
use model::{
    CsvOptions, Feature, ModelCard, ModelFile, Predictor, read_reference, reference_features,
    reference_signals,
};
use std::io::Read;

/// The seed of the correction for rare categories, so that the same table always gives the same reference.
const SEED: u64 = 42;

/// The reference that rows are judged against.
pub enum Reference {
    /// A model.
    Model {
        /// The model's card.
        card: Box<ModelCard>,
        /// The model, if the file contains it. Without it, a table has no values of the signals of its output, and no accuracy.
        predictor: Option<Box<Predictor>>,
    },
    /// A table. It has no model, so there are only the signals of its columns.
    Table(TableReference),
}

/// A table as a reference.
pub struct TableReference {
    /// The table's name.
    pub place: String,
    /// The number of its rows.
    pub rows: u64,
    /// Its columns.
    pub features: Vec<Feature>,
    /// The reference of each column, in their order.
    pub signals: Vec<SignalReference>,
    /// The columns that were left out of it.
    pub left_out: Vec<String>,
    /// Sentences about what may be a mistake in the table.
    pub notes: Vec<String>,
}

impl Reference {
    /// Reads a model file, a profile, a model card or a table, which are distinguished by their content. `options` are for a table,
    /// whose target column is left out; without them, a table is refused.
    ///
    /// # Errors
    /// If the file is none of these, or has a fault.
    pub fn read(file: &mut TableFile, options: Option<&CsvOptions>) -> Result<Self> {
        let place = file.place.clone();
        let mut bytes = Vec::new();
        file.text()
            .read_to_end(&mut bytes)
            .with_context(|| format!("--reference {place}: cannot be read"))?;
        match FileKind::guess(&bytes) {
            Some(FileKind::Model | FileKind::Json) => Self::of_json(&bytes, &place),
            Some(kind @ FileKind::Empty) => {
                bail!("--reference {place}: seems to be {kind}; {}", kind.remedy(Wanted::Reference))
            }
            Some(kind) if kind.is_certain() => {
                bail!("--reference {place}: seems to be {kind}; {}", kind.remedy(Wanted::Reference))
            }
            Some(_) | None => match options {
                Some(options) => Ok(Self::Table(TableReference::new(&bytes, &place, options)?)),
                None => bail!(
                    "--reference {place}: seems to be a table, but the counts of a server can only be judged against the model that it runs; \
                     give the model file or the profile that the server was started with, or the answer of its GET /model"
                ),
            },
        }
    }

    /// Reads a model file, a profile or a model card; `place` is its name in messages.
    ///
    /// # Errors
    /// If the text is none of these, or is inconsistent.
    pub fn of_json(bytes: &[u8], place: &str) -> Result<Self> {
        let read = || -> Result<Self> {
            let text = str::from_utf8(bytes).context("is not text")?;
            if FileKind::guess(bytes) == Some(FileKind::Model) {
                let file = ModelFile::from_json(text)?;
                let predictor = Predictor::built_in(&file).map(Box::new);
                return Ok(Self::Model { predictor, card: Box::new(file.card) });
            }
            let card: ModelCard = serde_json::from_str(text)?;
            card.check()?;
            Ok(Self::Model { card: Box::new(card), predictor: None })
        };
        read()
            .map_err(|error| file_kind::explain(error, bytes, Wanted::Reference))
            .with_context(|| format!("--reference {place}"))
    }

    /// Returns the columns that a table must have.
    pub fn features(&self) -> &[Feature] {
        match self {
            Self::Model { card, .. } => &card.features,
            Self::Table(table) => &table.features,
        }
    }

    /// Returns the reference of each signal, those of the columns first.
    pub fn signals(&self) -> &[SignalReference] {
        match self {
            Self::Model { card, .. } => &card.reference.signals,
            Self::Table(table) => &table.signals,
        }
    }

    /// Returns the model, if the reference contains it.
    pub fn predictor(&self) -> Option<&Predictor> {
        match self {
            Self::Model { predictor, .. } => predictor.as_deref(),
            Self::Table(_) => None,
        }
    }

    /// Returns the model's card, if the reference is a model.
    pub fn card(&self) -> Option<&ModelCard> {
        match self {
            Self::Model { card, .. } => Some(card),
            Self::Table(_) => None,
        }
    }

    /// Returns what the columns of a table are matched with.
    pub(super) fn schema(&self) -> Schema<'_> {
        match self {
            Self::Model { card, .. } => Schema::of_model(card),
            Self::Table(table) => Schema::of_table(&table.features, &table.left_out),
        }
    }
}

impl TableReference {
    fn new(text: &[u8], place: &str, options: &CsvOptions) -> Result<Self> {
        let mut options = options.clone();
        // A row without a class has values of the other columns, so the target is left out like any other column, and not read as a
        // class.
        if let Some(target) = options.target.take() {
            ensure!(
                header(text, options.separator).contains(&target),
                "{place}:1: --target: there is no column {}",
                quoted(&target)
            );
            options.drop.push(target);
        }
        let table = read_reference(text, place, &options)?;
        let rows = table.lines.len() as u64;
        ensure!(
            rows >= drift::MIN_ROWS,
            "{place}: the table has {}, but a reference needs at least {}; add rows",
            crate::counted::counted(rows, "row", "rows"),
            drift::MIN_ROWS
        );
        let notes = table.notes.iter().cloned().chain(table.row_number_notes());
        Ok(Self {
            place: place.to_owned(),
            rows,
            features: reference_features(&table),
            signals: reference_signals(&table, SEED),
            left_out: options.drop,
            notes: notes.map(|note| format!("{place}: {note}")).collect(),
        })
    }
}

/// Returns the names of a table's columns. If the header is damaged, there are none; reading the table then names the fault.
fn header(text: &[u8], separator: u8) -> Vec<String> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut reader = ReaderBuilder::new().delimiter(separator).from_reader(text);
    let header = reader.headers().map(|header| header.iter().map(|name| name.trim().to_owned()).collect());
    header.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{
        count_rows::{Reading, TableCounts},
        judged::{Judged, Overall},
    };
    use drift::Verdict;
    use proptest::prelude::*;

    /// Returns a table of a number with gaps, an integer, and a text, from random numbers.
    fn table(rows: &[(f64, u8, u8, bool)], shift: f64) -> String {
        let rows = rows.iter().map(|&(number, integer, text, is_missing)| {
            let number = if is_missing { String::new() } else { format!("{:.2}", number + shift) };
            format!("{number},{},t{text}\n", integer % 7)
        });
        format!("number,integer,text\n{}", rows.collect::<String>())
    }

    fn judged(current: &str, reference: &str) -> Judged {
        let options = CsvOptions { target: None, ..CsvOptions::new("") };
        let table = TableReference::new(reference.as_bytes(), "old.csv", &options).unwrap();
        let reference = Reference::Table(table);
        let reading = Reading { place: "new.csv", missing: &[], separator: b',', target: None };
        let counts = TableCounts::count(current.as_bytes(), &reading, &reference).unwrap();
        Judged::of_table(&reference, &counts, "new.csv").unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_table_is_steady_against_itself_and_only_a_shifted_column_drifts(
            rows in prop::collection::vec((-50.0..50.0_f64, any::<u8>(), 0_u8..12, prop::bool::weighted(0.2)), 60..400)
        ) {
            let reference = table(&rows, 0.0);
            let same = judged(&reference, &reference);
            prop_assert_eq!(same.overall, Overall::Steady);
            prop_assert_eq!((same.rows, same.signals.len(), same.accuracy), (rows.len() as u64, 3, None));
            prop_assert!(same.signals.iter().all(|signal| signal.detectable.is_some()));
            // Rows in another order have the same counts.
            let reversed: Vec<_> = rows.iter().copied().rev().collect();
            let reversed = judged(&table(&reversed, 0.0), &reference);
            let psi = |judged: &Judged| judged.signals.iter().map(|signal| signal.psi).collect::<Vec<_>>();
            prop_assert_eq!(psi(&reversed), psi(&same));

            let shifted = judged(&table(&rows, 200.0), &reference);
            prop_assert_eq!(shifted.overall, Overall::Drift);
            prop_assert_eq!(shifted.signals[0].verdict, Verdict::Drifting);
            prop_assert_eq!(&psi(&shifted)[1..], &psi(&same)[1..]);
        }
    }

    #[test]
    fn signals_have_the_names_of_their_columns_also_if_a_model_has_such_signals() {
        let rows: String = (0..100).map(|row| format!("{row},{}\n", row * 7 % 10)).collect();
        let judged = judged(&format!("prediction,distance\n{rows}"), &format!("prediction,distance\n{rows}"));
        let names: Vec<&str> = judged.signals.iter().map(|signal| signal.signal.as_str()).collect();
        assert_eq!(names, ["prediction", "distance"]);
    }
}
