//! The distributions that traffic without drift has.
//!
//! The outputs of the model (prediction, confidence, distance) are referenced as the served weights compute them on rows
//! that they have not seen, as traffic is. Held-out rows are scored as they are. For the rows that were fitted it depends
//! on how many there are: with plenty, the weights hardly know any single one; with few, each is scored by weights
//! fitted without it and nineteen parts in twenty of the others. Taken in sample, a small reference would look surer and
//! closer to its classes than any fresh row can be; taken from models much unlike the served one, it would be another
//! model's reference. Either way sound traffic would seem to drift.
//!
//! A row with twins, equal in every feature, is scored as served too. Where features are answers to choose from, distance
//! and confidence take few values, each of which many rows share; other weights would move them a little, to the wrong
//! side of an edge perhaps, and all of that traffic with them. That does not make the reference too optimistic: such rows share a
//! value, and the share of that value does not depend on which rows were fitted.

use crate::{
    Reference, Table, TrainError,
    classifier::Scaling,
    fitted::{Fitted, standardise},
    logistic::argmax,
    shape::{ClassShape, Distance},
    split::{folds, parted},
};
use drift::SignalReference;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Folds for the outputs of the model: many, so that the weights of each fold are close to the served ones.
const FOLDS: usize = 20;

/// With this many rows for each number that is fitted, a row's own part in the fit no longer shows.
const PLENTY: usize = 20;

/// What makes other weights like the served ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Like {
    pub(crate) alpha: f64,
    pub(crate) temperature: f64,
}

/// Returns the reference of the served weights: all rows, those held out from the fit among them.
pub(crate) fn reference(
    table: &Table,
    served: &Fitted,
    (train_rows, test_rows): (&[usize], &[usize]),
    like: Like,
    rng: &mut ChaCha8Rng,
) -> Result<Reference, TrainError> {
    let all: Vec<usize> = (0..table.rows.len()).collect();
    let shapes = class_shapes(table, &served.scaling, &all);
    let twins = twins(table);
    let mut outputs = outputs(table, served, train_rows, test_rows, like, rng)?;
    twins.iter().for_each(|&row| outputs.put(served, table, row));
    let mut distances = distances(table, &served.scaling, rng);
    put_distances(&mut distances, table, &served.scaling, &shapes, &twins);
    Ok(Reference {
        rows: all.len() as u64,
        accuracy: outputs.accuracy(&table.labels),
        confidence: outputs.confidences.iter().sum::<f64>() / all.len() as f64,
        signals: signals(table, &outputs, &distances),
        class_shapes: shapes,
    })
}

/// What the served model says of each row as if it had never seen it.
struct Outputs {
    predictions: Vec<usize>,
    confidences: Vec<f64>,
}

impl Outputs {
    fn put(&mut self, fitted: &Fitted, table: &Table, row: usize) {
        let probabilities = fitted.probabilities(&table.rows[row]);
        self.predictions[row] = argmax(&probabilities);
        self.confidences[row] = probabilities[self.predictions[row]];
    }

    fn accuracy(&self, labels: &[usize]) -> f64 {
        let right = self.predictions.iter().zip(labels).filter(|(predicted, actual)| predicted == actual);
        right.count() as f64 / labels.len() as f64
    }
}

fn outputs(
    table: &Table,
    served: &Fitted,
    train_rows: &[usize],
    test_rows: &[usize],
    like: Like,
    rng: &mut ChaCha8Rng,
) -> Result<Outputs, TrainError> {
    let rows = table.rows.len();
    let mut outputs = Outputs { predictions: vec![0; rows], confidences: vec![0.0; rows] };
    test_rows.iter().for_each(|&row| outputs.put(served, table, row));
    let weights = (table.columns.len() + 1) * (table.classes.len() - 1);
    if train_rows.len() > PLENTY * weights {
        train_rows.iter().for_each(|&row| outputs.put(served, table, row));
        return Ok(outputs);
    }
    let folds = folds(table, FOLDS, rng);
    for fold in 0..FOLDS {
        let (held_out, fit_rows): (Vec<_>, Vec<_>) = train_rows.iter().partition(|&&row| folds[row] == fold);
        // A class whose only fitted row is held out leaves weights of fewer classes, which say nothing of the served ones.
        let complete =
            (0..table.classes.len()).all(|class| fit_rows.iter().any(|&row| table.labels[row] == class));
        let refitted = if complete && !held_out.is_empty() {
            Some(Fitted::new(table, &fit_rows, like.alpha)?.with_temperature(like.temperature))
        } else {
            None
        };
        held_out.into_iter().for_each(|row| outputs.put(refitted.as_ref().unwrap_or(served), table, row));
    }
    Ok(outputs)
}

/// Returns how far each row is from its nearest class, by shapes that the row had no part in.
fn distances(table: &Table, scaling: &[Scaling], rng: &mut ChaCha8Rng) -> Vec<f64> {
    let smallest = table.class_counts().into_iter().min().unwrap_or_default();
    let plenty = smallest >= PLENTY * table.columns.len();
    let folds = if plenty { vec![0; table.rows.len()] } else { folds(table, FOLDS, rng) };
    let mut distances = vec![0.0; table.rows.len()];
    for fold in 0..=folds.iter().copied().max().unwrap_or_default() {
        let (others, held_out) = parted(&folds, fold);
        let shaping = if plenty { &held_out } else { &others };
        put_distances(&mut distances, table, scaling, &class_shapes(table, scaling, shaping), &held_out);
    }
    distances
}

fn put_distances(
    distances: &mut [f64],
    table: &Table,
    scaling: &[Scaling],
    shapes: &[ClassShape],
    rows: &[usize],
) {
    let (distance, mut scratch) = (Distance::new(shapes), Vec::new());
    for &row in rows {
        distances[row] = distance.of(&standardise(scaling, &table.rows[row]), &mut scratch);
    }
}

/// Returns the rows that some other row equals in every feature.
fn twins(table: &Table) -> Vec<usize> {
    let mut groups: BTreeMap<Vec<Option<u64>>, Vec<usize>> = BTreeMap::new();
    for (row, values) in table.rows.iter().enumerate() {
        // Adding 0 makes −0 and 0 one value.
        let key = values.iter().map(|value| value.map(|value| (value + 0.0).to_bits())).collect();
        groups.entry(key).or_default().push(row);
    }
    groups.into_values().filter(|group| group.len() > 1).flatten().collect()
}

/// Returns the shape of every class among some rows; a class without rows there is left out.
fn class_shapes(table: &Table, scaling: &[Scaling], rows: &[usize]) -> Vec<ClassShape> {
    (0..table.classes.len())
        .filter_map(|class| {
            let own: Vec<usize> = rows.iter().copied().filter(|&row| table.labels[row] == class).collect();
            let standardised: Vec<Vec<f64>> =
                own.iter().map(|&row| standardise(scaling, &table.rows[row])).collect();
            let standardised: Vec<&[f64]> = standardised.iter().map(Vec::as_slice).collect();
            let raw: Vec<&[Option<f64>]> = own.iter().map(|&row| table.rows[row].as_slice()).collect();
            (!own.is_empty()).then(|| ClassShape::of_rows(&standardised, &raw))
        })
        .collect()
}

fn signals(table: &Table, outputs: &Outputs, distances: &[f64]) -> Vec<SignalReference> {
    let some = |values: &[f64]| values.iter().copied().map(Some).collect::<Vec<_>>();
    let features = table.columns.iter().enumerate();
    let features = features.map(|(at, column)| SignalReference::of_values(&column.name, &table.column(at)));
    features
        .chain([
            SignalReference::of_categories("prediction", &outputs.predictions, &table.classes),
            SignalReference::of_values("confidence", &some(&outputs.confidences)),
            SignalReference::of_values("distance", &some(distances)),
        ])
        .collect()
}
