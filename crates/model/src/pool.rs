//! Builds the simulator of a model: synthetic rows, weighted such that every signal has the distribution of its reference.

use crate::{
    Classifier, ModelFile, Simulator, Table,
    reference::Outputs,
    simulator::{Levels, MISSING, Pool, SimulatorCheck},
    synthesis::{Coded, synthetic_rows},
};
use drift::{FalseAlarmBudget, Verdict, judge};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// The most rows that synthetic ones are made from, evenly spaced, and the most of their values.
const SOURCE_ROWS: usize = 20_000;
const SOURCE_VALUES: usize = 2_500_000;

/// The pool has four rows per row of the table, at least and at most so many, and no more bytes than this.
const POOL_ROWS: [usize; 2] = [2_000, 20_000];
const POOL_BYTES: usize = 900_000;

/// Candidates per row of the pool.
const CANDIDATES: usize = 3;

/// Rounds of fitting the candidates' weights.
const ROUNDS: usize = 30;

/// The most a weight changes in one round, and overall: beyond that a row would be drawn over and over.
const STEP: [f64; 2] = [0.25, 4.0];
const WEIGHT: [f64; 2] = [0.05, 10.0];

/// Rows that the check draws: many times as many as a window of traffic.
const CHECK_ROWS: usize = 40_000;

/// The most numbers that the check scores.
const CHECK_NUMBERS: usize = 4_000_000;

/// Returns the simulator of a model that is complete but for it. `outputs` and `distances` are those of the table's rows in the
/// reference.
pub(crate) fn simulator(
    table: &Table,
    file: &ModelFile,
    outputs: &Outputs,
    distances: &[f64],
    test_rows: &[usize],
    rng: &mut ChaCha8Rng,
) -> Simulator {
    let card = &file.card;
    let rows_per_class = table.len() as f64 / table.classes.len() as f64;
    let levels: Vec<Levels> = table
        .columns
        .par_iter()
        .zip(&table.values)
        .map(|(column, values)| match column.categories {
            Some(_) => Levels::default(),
            None => Levels::of_values(values, rows_per_class),
        })
        .collect();
    let coded = coded(table, &levels);
    let width = coded.len();
    let [fewest, most] = POOL_ROWS;
    let rows = (4 * table.len()).clamp(fewest, most).min((POOL_BYTES / width).max(1));
    let codes = synthetic_rows(&coded, CANDIDATES * rows, rng);
    let candidates = Simulator::new(levels.clone(), CANDIDATES * rows, &codes);
    let class_rows: Vec<u64> = table.class_counts().into_iter().map(|rows| rows as u64).collect();
    let Ok(pool) = Pool::new(&candidates, &card.features, &class_rows) else {
        unreachable!("the candidates have the features' own levels")
    };
    let classifier = Classifier::new(file);
    let bins = candidate_bins(&codes, width, &pool, file, &classifier, rng);
    let confusion = confusion(table, outputs, card.classes.len());
    let weights = weights(&bins, &targets(file, &confusion), table.len());
    let kept: Vec<u8> = resampled(&weights, rows, rng.random())
        .into_iter()
        .flat_map(|row| codes[row * width..(row + 1) * width].iter().copied())
        .collect();
    let mut simulator = Simulator::new(levels, rows, &kept);
    simulator.check = check(&simulator, &class_rows, file, &classifier, rng);
    if test_rows.len() as u64 >= drift::MIN_ROWS {
        // As the reference has them, because the served shape has been measured on these rows, too.
        let held_out = test_rows.iter().map(|&row| {
            let outputs =
                [outputs.predictions[row] as f64, outputs.confidences[row], distances[row]].map(Some);
            bins_of(file, &table.row(row), outputs)
        });
        simulator.check.held_out_rows = test_rows.len() as u64;
        simulator.check.held_out_drifting = drifting(&held_out.collect::<Vec<_>>(), file);
    }
    simulator
}

/// Returns the bin of a row in every signal.
fn bins_of(file: &ModelFile, row: &[Option<f64>], outputs: [Option<f64>; 3]) -> Vec<u16> {
    let signals = file.card.reference.signals.iter();
    let values = row.iter().copied().chain(outputs);
    signals.zip(values).map(|(signal, value)| signal.bins.index(value) as u16).collect()
}

/// Returns the class and every column of some rows of the table, in codes.
fn coded(table: &Table, levels: &[Levels]) -> Vec<Coded> {
    let most = SOURCE_ROWS.min(SOURCE_VALUES / table.columns.len());
    let step = table.len().div_ceil(most.max(1)).max(1);
    let rows: Vec<usize> = (0..table.len()).step_by(step).collect();
    let unordered: [u8; 256] = std::array::from_fn(|code| code as u8);
    let class = Coded {
        codes: rows.iter().map(|&row| table.labels[row] as u8).collect(),
        order: unordered,
        categorical: true,
    };
    let columns = table.columns.par_iter().zip(&table.values).zip(levels).map(
        |((column, values), levels)| match &column.categories {
            Some(categories) => {
                let code = |value: f64| {
                    if value.is_nan() { MISSING } else { (value as usize).min(categories.known.len()) as u8 }
                };
                let codes = rows.iter().map(|&row| code(values[row])).collect();
                Coded { codes, order: unordered, categorical: true }
            }
            None => {
                let codes: Vec<u8> = rows.iter().map(|&row| levels.code(values[row])).collect();
                let mut present: Vec<u8> = codes.iter().copied().filter(|&code| code != MISSING).collect();
                present.sort_unstable();
                present.dedup();
                present.sort_by(|&a, &b| levels.middle(a).total_cmp(&levels.middle(b)));
                let mut order = [MISSING; 256];
                present.iter().enumerate().for_each(|(place, &code)| order[usize::from(code)] = place as u8);
                Coded { codes, order, categorical: false }
            }
        },
    );
    let columns: Vec<Coded> = columns.collect();
    std::iter::once(class).chain(columns).collect()
}

/// How many rows of each class are predicted as which, class by class.
fn confusion(table: &Table, outputs: &Outputs, classes: usize) -> Vec<f64> {
    let mut counts = vec![0.0; classes * classes];
    for (&label, &predicted) in table.labels.iter().zip(&outputs.predictions) {
        counts[label * classes + predicted] += 1.0;
    }
    counts
}

/// The bin of each candidate in every signal, and last its cell of the confusion matrix; signal by signal.
fn candidate_bins(
    codes: &[u8],
    width: usize,
    pool: &Pool,
    file: &ModelFile,
    classifier: &Classifier,
    rng: &mut ChaCha8Rng,
) -> Vec<Vec<u16>> {
    let (signals, classes) = (file.card.reference.signals.len(), file.card.classes.len());
    // Drawn in their order, so that the number of threads changes nothing.
    let drawn: Vec<(usize, Vec<Option<f64>>)> =
        codes.chunks_exact(width).map(|row| (usize::from(row[0]), pool.decode(&row[1..], rng))).collect();
    let by_row: Vec<Vec<u16>> = drawn
        .par_iter()
        .map(|(class, values)| {
            let outputs = outputs_of(classifier, values);
            let mut bins = bins_of(file, values, outputs);
            bins.push((class * classes + outputs[0].unwrap_or_default() as usize) as u16);
            bins
        })
        .collect();
    (0..=signals).map(|signal| by_row.iter().map(|bins| bins[signal]).collect()).collect()
}

/// Returns the values of the output signals for a row; a row that overflows counts as the furthest.
fn outputs_of(classifier: &Classifier, row: &[Option<f64>]) -> [Option<f64>; 3] {
    match classifier.predict(row) {
        Ok(prediction) => [prediction.class as f64, prediction.confidence, prediction.distance].map(Some),
        Err(_) => [0.0, 1.0, f64::MAX].map(Some),
    }
}

/// The share of rows wanted in each bin of each signal, and in each cell of the confusion matrix.
fn targets(file: &ModelFile, confusion: &[f64]) -> Vec<Vec<f64>> {
    let shares = |counts: Vec<f64>| {
        let all: f64 = counts.iter().sum();
        counts.into_iter().map(|count| count / all).collect()
    };
    let signals = file.card.reference.signals.iter();
    let signals = signals.map(|signal| shares(signal.counts.iter().map(|&count| count as f64).collect()));
    signals.chain([shares(confusion.to_vec())]).collect()
}

/// Returns weights of candidates, with which their share in each bin of each signal is the target, as near as their number allows:
/// iterative proportional fitting (W. E. Deming, F. F. Stephan, "On a least squares adjustment of a sampled frequency table when
/// the expected marginal totals are known", 1940), in short steps, because thousands of margins cannot all be met. A target of
/// `rows` rows is known to a standard error, and a share within it is left alone: weights far from 1 would repeat few rows.
fn weights(bins: &[Vec<u16>], targets: &[Vec<f64>], rows: usize) -> Vec<f64> {
    let count = bins[0].len();
    let mut weights = vec![1.0_f64; count];
    // Outputs and the confusion matrix come last in a round and are met best: they depend on all columns.
    for _ in 0..ROUNDS {
        for (bins, targets) in bins.iter().zip(targets) {
            let mut sums = vec![0.0; targets.len()];
            let mut all = 0.0;
            for (&bin, &weight) in bins.iter().zip(&weights) {
                sums[usize::from(bin)] += weight;
                all += weight;
            }
            let factor = |(&target, &sum): (&f64, &f64)| {
                let share = sum / all;
                let error = (target * (1.0 - target) / rows as f64).sqrt();
                let nearest = share.clamp((target - error).max(0.0), target + error);
                if sum > 0.0 { (nearest / share).clamp(STEP[0], STEP[1]) } else { 1.0 }
            };
            let factors: Vec<f64> = targets.iter().zip(&sums).map(factor).collect();
            if factors.iter().all(|factor| (factor - 1.0).abs() < 0.01) {
                continue;
            }
            for (&bin, weight) in bins.iter().zip(&mut weights) {
                *weight = (*weight * factors[usize::from(bin)]).clamp(WEIGHT[0], WEIGHT[1]);
            }
        }
    }
    weights
}

/// Returns the positions of `count` rows, each in proportion to its weight, by systematic sampling from the start `uniform`.
fn resampled(weights: &[f64], count: usize, uniform: f64) -> Vec<usize> {
    let step = weights.iter().sum::<f64>() / count as f64;
    let (mut reached, mut at) = (weights[0], 0);
    (0..count)
        .map(|row| {
            let target = (row as f64 + uniform) * step;
            while reached <= target && at + 1 < weights.len() {
                at += 1;
                reached += weights[at];
            }
            at
        })
        .collect()
}

/// Judges drawn rows by the model's own verdicts.
fn check(
    simulator: &Simulator,
    class_rows: &[u64],
    file: &ModelFile,
    classifier: &Classifier,
    rng: &mut ChaCha8Rng,
) -> SimulatorCheck {
    let card = &file.card;
    let Ok(pool) = Pool::new(simulator, &card.features, class_rows) else {
        unreachable!("the pool has the features' own levels")
    };
    let rows = CHECK_ROWS.min((CHECK_NUMBERS / card.features.len()).max(drift::MIN_ROWS as usize));
    let drawn: Vec<Vec<Option<f64>>> = (0..rows)
        .map(|_| {
            let class = pool.class(rng.random());
            let mut values = Vec::with_capacity(card.features.len());
            pool.draw(class, rng, &mut values);
            values
        })
        .collect();
    let bins: Vec<Vec<u16>> =
        drawn.par_iter().map(|row| bins_of(file, row, outputs_of(classifier, row))).collect();
    SimulatorCheck { rows: rows as u64, drifting: drifting(&bins, file), ..SimulatorCheck::default() }
}

/// Returns the signals that drift on some rows, of each of which the bins are given.
fn drifting(rows: &[Vec<u16>], file: &ModelFile) -> Vec<String> {
    let signals = &file.card.reference.signals;
    let alpha = FalseAlarmBudget::default().alpha(signals.len());
    let drifts = |(at, signal): (usize, &drift::SignalReference)| {
        let mut counts = vec![0; signal.bins.len()];
        rows.iter().for_each(|bins| counts[usize::from(bins[at])] += 1);
        let judged = judge(&signal.expected, &counts, signal.rows, signal.critical_chi2(alpha));
        let drifts = judged.is_ok_and(|judgement| judgement.verdict == Verdict::Drifting);
        drifts.then(|| signal.name.clone())
    };
    signals.iter().enumerate().filter_map(drifts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_meet_the_targets() {
        let bins = vec![vec![0, 0, 1, 1, 0, 1], vec![0, 1, 0, 1, 0, 1]];
        let targets = [vec![0.75, 0.25], vec![0.5, 0.5]];
        let weights = weights(&bins, &targets, 1_000_000);
        let all: f64 = weights.iter().sum();
        for (bins, targets) in bins.iter().zip(&targets) {
            let own: f64 =
                weights.iter().zip(bins).filter(|(_, bin)| **bin == 0).map(|(weight, _)| weight).sum();
            assert!((own / all - targets[0]).abs() < 0.01, "{weights:?}");
        }
    }

    #[test]
    fn rows_are_resampled_in_proportion_to_their_weights() {
        let rows = resampled(&[1.0, 0.5, 2.5, 0.0], 400, 0.5);
        let counts: Vec<usize> = (0..4).map(|row| rows.iter().filter(|&&at| at == row).count()).collect();
        assert_eq!(counts, [100, 50, 250, 0]);
    }
}
