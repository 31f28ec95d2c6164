//! An endless sequence of rows, drawn from a model or a table.

use crate::{
    DriftSpec, SpecError, TableRows, drifted_distribution::DriftedDistribution, origin::Origin,
    records::Label,
};
use model::{ModelCard, Pool, simulator::SimulatorError};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// A row with its ground truth.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// One value per feature, in the model's order: a finite number or the position of a category. `None` is missing.
    pub values: Vec<Option<f64>>,
    /// The true class, as a position in the model's classes; `None` if it is not known or the model predicts a number. Operations
    /// on features do not change it, even if the values no longer fit the class.
    pub class: Option<usize>,
    /// The true number, if the model predicts a number and the row is from a table with true numbers. No operation changes it.
    pub number: Option<f64>,
    /// Whether the row was drawn from the drifted distribution. Its values may still be typical of the original one, especially if
    /// only class shares drift.
    pub drifted: bool,
}

/// An infinite iterator of rows that are like a model's reference, except for the drift of a [`DriftSpec`].
///
/// The same card, spec and seed give the same rows. Random numbers are from ChaCha8, seeded by `seed_from_u64`, in three
/// streams, so that row n is made from the same random numbers with and without drift:
/// - stream 0: one uniform number per row, below `share` for a row that drifts;
/// - stream 1: the row without drift: one uniform number for the class or group, one for the row of the pool or the table,
///   and, from the pool, one per feature;
/// - stream 2: the numbers of the operations, for rows that drift.
#[derive(Debug, Clone)]
pub struct RowSource {
    origin: Origin,
    distribution: DriftedDistribution,
    share: f64,
    drifting: ChaCha8Rng,
    drawing: ChaCha8Rng,
    altering: ChaCha8Rng,
}

impl RowSource {
    /// Creates a source of rows like this model's reference that drift as `spec` says.
    ///
    /// # Errors
    /// Returns an error if the spec names features or classes that the model does not have, or if the card is inconsistent.
    pub fn new(card: &ModelCard, spec: &DriftSpec, seed: u64) -> Result<Self, SpecError> {
        let origin = Origin::Pool { pool: pool(card)?, has_classes: has_true_classes(card) };
        Self::of(origin, card, spec, seed)
    }

    /// Creates a source of rows that are drawn from a table with replacement and drift as `spec` says.
    ///
    /// # Errors
    /// Returns an error if the spec names features or classes that the model does not have, or if the card is inconsistent.
    pub fn of_table(
        table: Arc<TableRows>,
        card: &ModelCard,
        spec: &DriftSpec,
        seed: u64,
    ) -> Result<Self, SpecError> {
        Self::of(Origin::Table(table), card, spec, seed)
    }

    fn of(origin: Origin, card: &ModelCard, spec: &DriftSpec, seed: u64) -> Result<Self, SpecError> {
        let [drifting, drawing, altering] = streams(seed);
        Ok(Self {
            distribution: DriftedDistribution::new(spec, card, &origin)?,
            share: if spec.operations.is_empty() { 0.0 } else { spec.share },
            drifting,
            drawing,
            altering,
            origin,
        })
    }

    /// Returns a source of the same distribution with another seed, without computing the distribution again.
    pub fn reseeded(&self, seed: u64) -> Self {
        let [drifting, drawing, altering] = streams(seed);
        Self { drifting, drawing, altering, ..self.clone() }
    }

    /// Replaces `row` by the next row. Unlike the iterator, this does not allocate.
    pub fn fill(&mut self, row: &mut Row) {
        row.drifted = self.drifting.random::<f64>() < self.share;
        let shares = if row.drifted { self.distribution.shares.as_deref() } else { None };
        (row.class, row.number) = match self.origin.draw(shares, &mut self.drawing, &mut row.values) {
            Some(Label::Class(class)) => (Some(class), None),
            Some(Label::Number(number)) => (None, Some(number)),
            None => (None, None),
        };
        if row.drifted {
            self.distribution.apply(row, &self.origin, &mut self.altering);
        }
    }
}

/// Returns whether rows that are drawn for a model have a true class. They have none if the model predicts a number, or if the
/// true classes of its reference are not known; such rows are grouped by the predicted numbers or classes.
pub fn has_true_classes(card: &ModelCard) -> bool {
    !card.predicts_number() && card.reference.accuracy.is_some()
}

/// Decodes the simulator of a card.
fn pool(card: &ModelCard) -> Result<Pool, SpecError> {
    card.pool().map_err(|SimulatorError { field, problem }| SpecError::Card {
        place: format!("simulator.{field}"),
        problem,
    })
}

fn streams(seed: u64) -> [ChaCha8Rng; 3] {
    [0, 1, 2].map(|stream| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        rng
    })
}

impl Iterator for RowSource {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        let mut row = Row { values: Vec::new(), class: None, number: None, drifted: false };
        self.fill(&mut row);
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClassShares, Operation, TableOptions, fixtures};
    use model::ModelFile;
    use proptest::prelude::*;
    use std::{io::Write, sync::LazyLock};

    fn iris_file() -> ModelFile {
        model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap()
    }

    fn iris(spec: &DriftSpec, seed: u64) -> RowSource {
        RowSource::new(&iris_file().card, spec, seed).unwrap()
    }

    #[test]
    fn the_rows_of_seed_42_never_change() {
        let drawn: Vec<(Vec<f64>, usize)> = iris(&DriftSpec::steady(), 42)
            .take(3)
            .map(|row| (row.values.into_iter().flatten().collect(), row.class.unwrap()))
            .collect();
        let pinned = [([6.9, 3.0, 5.1, 2.3], 2), ([4.3, 3.2, 1.4, 0.2], 0), ([6.8, 3.4, 5.7, 2.4], 2)];
        assert_eq!(drawn, pinned.map(|(values, class)| (values.to_vec(), class)));
        let giant = iris(&DriftSpec::preset("giant").unwrap(), 42).next().unwrap();
        assert_eq!(
            giant,
            Row {
                values: [8.4, 4.9, 8.0, 3.2].map(Some).to_vec(),
                class: Some(2),
                number: None,
                drifted: true
            }
        );
    }

    #[test]
    fn drifted_rows_differ_from_steady_rows_only_in_the_drifting_feature() {
        let spec =
            DriftSpec::from_yaml("operations: [scale: { features: petal_width, factor: 10 }]", "d").unwrap();
        for (steady, drifted) in iris(&DriftSpec::steady(), 9).zip(iris(&spec, 9)).take(100) {
            assert_eq!((steady.class, &steady.values[..3]), (drifted.class, &drifted.values[..3]));
            assert_eq!((steady.values[3].unwrap() * 10.0).round(), drifted.values[3].unwrap());
        }
    }

    #[test]
    fn a_reseeded_source_equals_a_new_source_with_that_seed() {
        let spec = DriftSpec { share: 0.5, ..DriftSpec::preset("noise").unwrap() };
        let reseeded = iris(&spec, 1).reseeded(8);
        assert!(reseeded.zip(iris(&spec, 8)).take(100).all(|(reseeded, other)| reseeded == other));
    }

    #[test]
    fn rows_have_a_class_only_if_true_classes_are_known() {
        for (file, known) in
            [(fixtures::regression(), false), (fixtures::without_truth(), false), (iris_file(), true)]
        {
            assert_eq!(has_true_classes(&file.card), known);
            for preset in ["giant", "noise", "unit_change"] {
                let spec = DriftSpec { share: 0.5, ..DriftSpec::preset(preset).unwrap() };
                let rows: Vec<Row> = RowSource::new(&file.card, &spec, 3).unwrap().take(200).collect();
                assert!(rows.iter().all(|row| row.class.is_some() == known && row.number.is_none()));
                assert!(rows.iter().any(|row| row.drifted) && rows.iter().any(|row| !row.drifted));
                let full = |row: &Row| row.values.len() == file.card.features.len();
                assert!(
                    rows.iter().all(|row| full(row) && row.values.iter().flatten().all(|v| v.is_finite()))
                );
            }
        }
    }

    #[test]
    fn rows_of_a_table_have_their_true_number_which_drift_does_not_change() {
        let card = fixtures::regression().card;
        let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
        file.write_all(fixtures::flats(50).as_bytes()).unwrap();
        let table = TableRows::open("table", file.path(), &TableOptions::of(&card), &card).unwrap();
        let spec = DriftSpec::from_yaml("operations: [shift: { features: area, by_sd: 5 }]", "d").unwrap();
        let table = Arc::new(table);
        let source = |spec| RowSource::of_table(Arc::clone(&table), &card, spec, 1).unwrap();
        for (steady, drifted) in source(&DriftSpec::steady()).zip(source(&spec)).take(100) {
            let number = steady.number.unwrap();
            let expected = 3.0 * steady.values[0].unwrap() + 5.0 * steady.values[1].unwrap();
            assert!((0.0..=10.5).contains(&(number - expected)), "{steady:?}");
            assert_eq!((steady.class, drifted.number), (None, Some(number)));
            assert!(drifted.values[0] > steady.values[0]);
        }
    }

    /// Any list of operations on all features.
    fn operations() -> impl Strategy<Value = Vec<Operation>> {
        let all = || vec!["*".to_owned()];
        let operation = prop_oneof![
            (-10.0..10.0).prop_map(move |by_sd| Operation::Shift { features: all(), by_sd }),
            (0.1..100.0).prop_map(move |factor| Operation::Scale { features: all(), factor }),
            (0.1..3.0).prop_map(move |by_sd| Operation::Noise { features: all(), by_sd }),
            Just(Operation::Extreme { features: all() }),
            Just(Operation::Shuffle { features: all() }),
            (0.0..=1.0).prop_map(|share| Operation::ClassShares(ClassShares::Last(share))),
            Just(Operation::Relabel),
        ];
        prop::collection::vec(operation, 0..4)
    }

    static FLATS: LazyLock<ModelCard> = LazyLock::new(|| fixtures::regression().card);

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn only_drift_of_classes_is_refused_for_a_model_that_predicts_a_number(
            operations in operations(),
            share in 0.0..=1.0,
            seed in any::<u64>(),
        ) {
            let about_classes = |own: &Operation| matches!(own, Operation::ClassShares(_) | Operation::Relabel);
            let refused = operations.iter().any(about_classes);
            let spec = DriftSpec { description: String::new(), share, operations };
            match RowSource::new(&FLATS, &spec, seed) {
                Err(error) => prop_assert!(refused, "{error}"),
                Ok(rows) => {
                    prop_assert!(!refused);
                    for row in rows.take(20) {
                        prop_assert!(row.class.is_none() && row.number.is_none());
                        prop_assert!(row.values.iter().flatten().all(|value| value.is_finite()));
                    }
                }
            }
        }
    }

    #[test]
    fn an_inconsistent_card_is_refused() {
        type Change = fn(&mut ModelCard);
        let file = model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap();
        let changes: [(Change, &str); 3] = [
            (|card| drop(card.simulator.levels.pop()), "model card: simulator.levels: "),
            (|card| card.simulator.codes.truncate(4), "model card: simulator.codes: must have"),
            (|card| card.simulator.codes.insert(0, '!'), "model card: simulator.codes: is not base64"),
        ];
        for (change, expected) in changes {
            let mut card = file.card.clone();
            change(&mut card);
            let error = RowSource::new(&card, &DriftSpec::steady(), 1).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn sources_can_be_sent_to_other_threads() {
        fn sent<T: Send + 'static>(_: T) {}
        sent(iris(&DriftSpec::steady(), 1));
    }
}
