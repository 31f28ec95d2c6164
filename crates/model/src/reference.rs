//! The distributions that traffic without drift has.
//!
//! Traffic consists of rows that the weights were not fitted to, so the reference of the outputs (prediction, confidence,
//! distance) must be that of such rows. Held-out rows are scored by the served weights. How fitted rows are scored depends on how
//! many there are. If there are many, a single row hardly changes the weights, and the served weights are used. If there are few, each
//! row is scored by weights that are fitted without it and a twentieth of the other rows. With the served weights, a small reference
//! would have higher confidences and smaller distances than traffic, and weights fitted to much fewer rows would give the reference
//! of another model. In both cases traffic without drift would be reported as drifting.
//!
//! Twins, which are rows that equal another row in every feature, are also scored by the served weights. If all features are
//! categorical, distance and confidence take few values, which many rows share. Other weights would change such a value a little,
//! possibly across the edge of a bin, and all traffic with that value would then fall into another bin than its reference. The
//! share of such a value does not depend on which rows were fitted, so the reference of the signals does not become too optimistic.

use crate::{
    Reference, Table,
    card::{ErrorReference, signal_names},
    design::Design,
    logistic::{argmax, softmax},
    rare_categories::PooledColumns,
    shape::{Distance, Shape},
    split::{folds, parted},
    table::Column,
};
use drift::SignalReference;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// The number of folds for the distances, if there are few rows.
const FOLDS: usize = 20;

/// The number of rows per fitted number above which a single row hardly changes the fit.
pub(crate) const PLENTY: usize = 20;

/// The outputs of a model for each row of a table.
#[derive(Debug, Clone)]
pub(crate) struct Outputs {
    pub(crate) predictions: Vec<usize>,
    pub(crate) confidences: Vec<f64>,
    /// The probability of the last class, by which two classes are ranked.
    pub(crate) last: Vec<f64>,
}

impl Outputs {
    /// Returns the outputs for these logits, one list per row, divided by `temperature`.
    pub(crate) fn of_logits(logits: &[Vec<f64>], temperature: f64) -> Self {
        let rows: Vec<(usize, f64, f64)> = logits
            .par_iter()
            .map(|logits| {
                let mut probabilities: Vec<f64> = logits.iter().map(|logit| logit / temperature).collect();
                softmax(&mut probabilities);
                let predicted = argmax(&probabilities);
                (predicted, probabilities[predicted], probabilities.last().copied().unwrap_or_default())
            })
            .collect();
        Self {
            predictions: rows.iter().map(|row| row.0).collect(),
            confidences: rows.iter().map(|row| row.1).collect(),
            last: rows.iter().map(|row| row.2).collect(),
        }
    }

    pub(crate) fn accuracy(&self, labels: &[usize]) -> f64 {
        let right = self.predictions.iter().zip(labels).filter(|(predicted, actual)| predicted == actual);
        right.count() as f64 / labels.len() as f64
    }
}

/// The outputs of a model for the rows of the reference, with their accuracy or errors.
pub(crate) struct ReferenceOutputs<'a> {
    /// The reference of the signal `prediction`.
    pub(crate) prediction: SignalReference,
    /// One confidence per row, if the model returns probabilities.
    pub(crate) confidences: Option<&'a [f64]>,
    /// The accuracy on rows that the weights were not fitted to.
    pub(crate) accuracy: Option<f64>,
    /// The errors of predicted numbers.
    pub(crate) errors: Option<ErrorReference>,
}

/// Returns the reference of all rows, including the held-out ones, and each row's distance. The labels of the table are the groups
/// whose location and spread are measured.
pub(crate) fn reference(
    table: &Table,
    design: &Design,
    outputs: ReferenceOutputs,
    twins: &[usize],
    rng: &mut ChaCha8Rng,
) -> (Reference, Vec<f64>) {
    let all: Vec<usize> = (0..table.len()).collect();
    let pools = design.pools();
    let shape = shape(table, design, &all, &pools);
    let mut distances = distances(table, design, &shape, &pools, rng);
    let as_served = self::distance(design, &shape, twins);
    twins.iter().zip(as_served).for_each(|(&row, distance)| distances[row] = distance);
    let reference = Reference {
        rows: all.len() as u64,
        accuracy: outputs.accuracy,
        confidence: outputs.confidences.map(|own| own.iter().sum::<f64>() / all.len() as f64),
        errors: outputs.errors,
        signals: signals(table, outputs.prediction, outputs.confidences, &distances),
        shape,
    };
    (reference, distances)
}

/// Returns the distance of each row from its nearest class. It is measured with the served shape if there are many rows, and
/// otherwise with a shape that is fitted to the rows outside its fold.
fn distances(
    table: &Table,
    design: &Design,
    served: &Shape,
    pools: &PooledColumns,
    rng: &mut ChaCha8Rng,
) -> Vec<f64> {
    if Shape::is_plenty(&table.class_counts(), design.width(), PLENTY) {
        let all: Vec<usize> = (0..table.len()).collect();
        return distance(design, served, &all);
    }
    let folds = folds(table, FOLDS, rng);
    let parts: Vec<(Vec<usize>, Vec<f64>)> = (0..FOLDS)
        .into_par_iter()
        .map(|fold| {
            let (others, held_out) = parted(&folds, fold);
            let distances = distance(design, &shape(table, design, &others, pools), &held_out);
            (held_out, distances)
        })
        .collect();
    let mut distances = vec![0.0; table.len()];
    for (rows, values) in parts {
        rows.into_iter().zip(values).for_each(|(row, distance)| distances[row] = distance);
    }
    distances
}

/// Returns the distances of some rows.
fn distance(design: &Design, shape: &Shape, rows: &[usize]) -> Vec<f64> {
    let distance = Distance::new(shape);
    let one = |buffers: &mut (Vec<f64>, Vec<f64>), &row: &usize| {
        design.encoded(row, &mut buffers.0);
        distance.of(&buffers.0, &mut buffers.1)
    };
    rows.par_iter().map_init(Default::default, one).collect()
}

fn shape(table: &Table, design: &Design, rows: &[usize], pools: &PooledColumns) -> Shape {
    let encode = |row: usize, encoded: &mut Vec<f64>| design.encoded(row, encoded);
    Shape::of_rows(rows, table.classes.len(), design.width(), |row| table.labels[row], encode, pools)
}

/// Returns the rows that equal another row in every feature.
pub(crate) fn twins(table: &Table) -> Vec<usize> {
    // Adding 0 turns −0 into 0.
    let bits = |row: usize| table.values.iter().map(move |column| (column[row] + 0.0).to_bits());
    let mut rows: Vec<usize> = (0..table.len()).collect();
    rows.par_sort_unstable_by(|&a, &b| bits(a).cmp(bits(b)));
    let groups = rows.chunk_by(|&a, &b| bits(a).eq(bits(b)));
    let mut twins: Vec<usize> = groups.filter(|group| group.len() > 1).flatten().copied().collect();
    twins.sort_unstable();
    twins
}

/// The least width of a bin of confidence. If nearly all rows have the same confidence, as with completely separated classes,
/// narrower bins would depend on the differences between two fits of the weights.
const CONFIDENCE_STEP: f64 = 0.005;

/// Returns the reference of confidences, whose bins are not narrower than [`CONFIDENCE_STEP`].
fn confidence(confidences: &[f64]) -> SignalReference {
    let rounded =
        confidences.iter().map(|confidence| (confidence / CONFIDENCE_STEP).round() * CONFIDENCE_STEP);
    let reference = SignalReference::of_values("confidence", &rounded.map(Some).collect::<Vec<_>>());
    let mut counts = vec![0; reference.bins.len()];
    confidences.iter().for_each(|&confidence| counts[reference.bins.index(Some(confidence))] += 1);
    reference.recounted(counts)
}

/// Returns the reference of each column. `names` has the name of each signal.
pub(crate) fn column_signals(table: &Table, names: &[String]) -> Vec<SignalReference> {
    let columns = table.columns.par_iter().zip(names).enumerate();
    let reference = |(at, (column, name)): (usize, (&Column, &String))| match &column.categories {
        Some(categories) => SignalReference::of_categories(name, &table.column(at), &categories.known),
        None => SignalReference::of_feature(name, &table.column(at)),
    };
    columns.map(reference).collect()
}

fn signals(
    table: &Table,
    prediction: SignalReference,
    confidences: Option<&[f64]>,
    distances: &[f64],
) -> Vec<SignalReference> {
    let distances: Vec<Option<f64>> = distances.iter().copied().map(Some).collect();
    let names = signal_names(table.columns.iter().map(|column| column.name.as_str()));
    let mut signals = column_signals(table, &names);
    signals.push(prediction);
    signals.extend(confidences.map(confidence));
    signals.push(SignalReference::of_values("distance", &distances));
    signals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{iris, table::Categories};
    use drift::Shares;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn bins_of_confidence_have_a_least_width() {
        let certain: Vec<f64> = (0..1000).map(|row| 0.9988 + f64::from(row) * 1e-7).collect();
        let reference = confidence(&certain);
        assert_eq!(reference.counts.iter().filter(|&&count| count > 0).count(), 1, "{reference:?}");
        assert_eq!((reference.rows, reference.counts.iter().sum::<u64>()), (1000, 1000));
        let spread = confidence(&(0..1000).map(|row| f64::from(row) / 1000.0).collect::<Vec<_>>());
        let drift::Bins::Numeric { edges } = &spread.bins else { panic!() };
        assert!(edges.len() > 8 && edges.windows(2).all(|pair| pair[1] - pair[0] > 0.0049), "{edges:?}");
    }

    #[test]
    fn outputs_are_a_softmax_of_the_divided_logits() {
        // The odds are 3 to 1 and 1 to 9 at a temperature of 2.
        let logits = [vec![2.0 * 3.0_f64.ln(), 0.0], vec![0.0, 2.0 * 9.0_f64.ln()]];
        let outputs = Outputs::of_logits(&logits, 2.0);
        assert_eq!(outputs.predictions, [0, 1]);
        let close = |got: &[f64], expected: [f64; 2]| {
            got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-12)
        };
        assert!(close(&outputs.confidences, [0.75, 0.9]) && close(&outputs.last, [0.25, 0.9]), "{outputs:?}");
        assert_eq!(
            (outputs.accuracy(&[0, 1]), outputs.accuracy(&[0, 0]), outputs.accuracy(&[1, 0])),
            (1.0, 0.5, 0.0)
        );
    }

    #[test]
    fn rows_that_are_equal_in_every_feature_are_twins() {
        let rows = [[1.0, 2.0], [1.0, 3.0], [0.0, 5.0], [1.0, 2.0], [-0.0, 5.0], [2.0, 1.0]];
        let rows = rows.map(|row| row.map(Some).to_vec());
        let columns = vec![Column::named("a"), Column::named("b")];
        let table = Table::from_rows(columns, vec!["x".into()], &rows, vec![0; 6]);
        assert_eq!(twins(&table), [0, 2, 3, 4]);
    }

    #[test]
    fn distances_of_few_rows_are_measured_with_a_shape_fitted_to_the_other_folds() {
        let table = iris::table();
        let all: Vec<usize> = (0..table.len()).collect();
        let design = Design::new(&table, &all);
        let confidences: Vec<f64> = (0..table.len()).map(|row| if row < 49 { 0.5 } else { 0.8 }).collect();
        let outputs = ReferenceOutputs {
            prediction: SignalReference::of_classes("prediction", &table.labels, &table.classes),
            confidences: Some(&confidences),
            accuracy: Some(0.75),
            errors: None,
        };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (reference, distances) = reference(&table, &design, outputs, &[3], &mut rng);
        assert_eq!((reference.rows, reference.accuracy), (147, Some(0.75)));
        // 49 of 147 rows have a confidence of 0.5, and the others 0.8.
        assert!((reference.confidence.unwrap() - 0.7).abs() < 1e-12);
        let names: Vec<&str> = reference.signals.iter().map(|signal| signal.name.as_str()).collect();
        assert_eq!(names[3..], ["petal_width", "prediction", "confidence", "distance"]);
        let in_sample = distance(&design, &reference.shape, &all);
        assert_eq!(distances[3], in_sample[3], "the distance of a twin is measured with the served shape");
        let further = (0..147).filter(|&row| distances[row] > in_sample[row]).count();
        assert!(further > 120 && distances.iter().all(|&distance| distance > 0.0), "{further}");
    }

    #[test]
    fn distances_of_many_rows_are_measured_with_the_served_shape() {
        let iris = iris::table();
        let rows: Vec<Vec<Option<f64>>> = (0..2).flat_map(|_| iris.rows()).collect();
        let table =
            Table::from_rows(iris.columns.clone(), iris.classes.clone(), &rows, iris.labels.repeat(2));
        let all: Vec<usize> = (0..table.len()).collect();
        let design = Design::new(&table, &all);
        let served = shape(&table, &design, &all, &PooledColumns::default());
        let own =
            distances(&table, &design, &served, &PooledColumns::default(), &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(own, distance(&design, &served, &all));
    }

    #[test]
    fn rare_categories_that_are_frequent_by_chance_do_not_change_the_distances_of_new_rows() {
        // 80 equally frequent categories in 800 rows; the second feature depends on the first one.
        let names = |count: usize| (0..count).map(|at| format!("c{at:02}")).collect();
        let column = |name: &str, count: usize| Column {
            categories: Some(Categories { known: names(count), ..Categories::default() }),
            ..Column::named(name)
        };
        let columns = [column("a", 80), column("b", 40), Column::named("x")];
        let rows = |count: usize, rng: &mut ChaCha8Rng| -> Vec<Vec<Option<f64>>> {
            let row = |_| {
                let category: u32 = rng.random_range(0..80);
                let x: f64 = (0..6).map(|_| rng.random::<f64>() - 0.5).sum();
                vec![Some(f64::from(category)), Some(f64::from(category / 2)), Some(x)]
            };
            (0..count).map(row).collect()
        };
        let (mut together, mut apart) = (0.0, 0.0);
        for seed in 0..5 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let (own, new) = (rows(800, &mut rng), rows(4000, &mut rng));
            let table = Table::from_rows(columns.to_vec(), vec!["x".into()], &own, vec![0; 800]);
            let all: Vec<usize> = (0..800).collect();
            let design = Design::new(&table, &all);
            let psi = |pools: &PooledColumns| {
                let shape = shape(&table, &design, &all, pools);
                let reference: Vec<Option<f64>> =
                    distance(&design, &shape, &all).into_iter().map(Some).collect();
                let reference = SignalReference::of_values("distance", &reference);
                let mut counts = vec![0; reference.bins.len()];
                let (measured, mut encoded, mut scratch) = (Distance::new(&shape), Vec::new(), Vec::new());
                for row in &new {
                    design.encoding.encode(row, &mut encoded);
                    counts[reference.bins.index(Some(measured.of(&encoded, &mut scratch)))] += 1;
                }
                drift::psi(&Shares::new(&reference.expected, 800, &counts).unwrap()).value
            };
            together += psi(&design.pools()) / 5.0;
            apart += psi(&PooledColumns::default()) / 5.0;
        }
        // If each category has its own mean and variance, the PSI is near the limit of 0.1, or above it.
        assert!(together < 0.04 && apart > 0.07, "{together} {apart}");
    }
}
