//! Builds the simulator of a model: a pool of synthetic rows in which every signal has the distribution of its reference.

use crate::{
    Batch, ModelCard, Predictor, Simulator, Table,
    simulator::{Levels, MISSING, Pool, SimulatorCheck},
    synthesis::{Coded, synthetic_rows},
};
use drift::{FalseAlarmBudget, SignalReference, Verdict, judge};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// The greatest numbers of rows and of values that synthetic rows are made from. The rows are evenly spaced in the table.
const SOURCE_ROWS: usize = 20_000;
const SOURCE_VALUES: usize = 2_500_000;

/// The pool has four rows per row of the table, within these limits, and at most this many bytes.
const POOL_ROWS: [usize; 2] = [2_000, 20_000];
const POOL_BYTES: usize = 900_000;

/// The number of candidates per row of the pool.
const CANDIDATES: usize = 3;

/// The number of rounds in which the candidates' weights are fitted.
const ROUNDS: usize = 30;

/// The limits of the factor by which a weight changes in one round, and of the weight. Greater weights would repeat a row too often.
const STEP: [f64; 2] = [0.25, 4.0];
const WEIGHT: [f64; 2] = [0.05, 10.0];

/// The number of rows that the check draws, which is many more than a window of traffic usually has.
const CHECK_ROWS: usize = 40_000;

/// The greatest number of values that the check scores.
const CHECK_NUMBERS: usize = 4_000_000;

/// The greatest number of rows that are scored in one batch.
const SCORED_TOGETHER: usize = 256;

/// The input from which a simulator is built.
pub(crate) struct Source<'a> {
    /// The rows of the reference. Their labels are the classes of the pool.
    pub(crate) table: &'a Table,
    /// For each row, the value that the signal `prediction` has for a new row like it.
    pub(crate) predicted: Vec<f64>,
    /// The rows that the model was not fitted to.
    pub(crate) test_rows: &'a [usize],
    /// The values of the output's signals for each held-out row.
    pub(crate) held_out: Vec<Vec<f64>>,
    /// The predictor that scores synthetic rows. Without it, their outputs are not compared with the reference.
    pub(crate) predictor: Option<Predictor>,
}

/// Returns the simulator of a model whose other parts are complete.
pub(crate) fn simulator(source: &Source, card: &ModelCard, rng: &mut ChaCha8Rng) -> Simulator {
    let table = source.table;
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
    let rows = pool_rows(table.len(), width);
    let codes = synthetic_rows(&coded, CANDIDATES * rows, rng);
    let candidates = Simulator::new(levels.clone(), CANDIDATES * rows, &codes);
    let class_rows: Vec<u64> = table.class_counts().into_iter().map(|rows| rows as u64).collect();
    let Ok(pool) = Pool::new(&candidates, &card.features, &class_rows) else {
        unreachable!("the candidates have the features' own levels")
    };
    let predictor = source.predictor.as_ref();
    let bins = candidate_bins(&codes, width, &pool, card, predictor, rng);
    let confusion = confusion(table, &source.predicted, card);
    let weights = weights(&bins, &targets(card, predictor.map(|_| &*confusion)), table.len());
    let kept: Vec<u8> = resampled(&weights, rows, rng.random())
        .into_iter()
        .flat_map(|row| codes[row * width..(row + 1) * width].iter().copied())
        .collect();
    let mut simulator = Simulator::new(levels, rows, &kept);
    simulator.check = check(&simulator, &class_rows, card, predictor, rng);
    if source.test_rows.len() as u64 >= drift::MIN_ROWS {
        // Held-out rows have the same outputs as in the reference, because the served shape was measured on these rows, too.
        let rows = source.test_rows.iter().zip(&source.held_out);
        let held_out = rows.map(|(&row, outputs)| bins_of(card, &table.row(row), outputs));
        simulator.check.held_out_rows = source.test_rows.len() as u64;
        // Held-out rows are compared with a reference of the other rows only, because rows of a reference are more like it than new rows.
        simulator.check.held_out_drifting =
            drifting_against(&held_out.collect::<Vec<_>>(), card, |signal, counts| {
                let others = signal.counts.iter().zip(counts).map(|(all, own)| all - own);
                signal.recounted(others.collect())
            });
    }
    simulator
}

/// Returns the number of rows of the pool for a table of `table_rows` rows, at `width` bytes per row.
fn pool_rows(table_rows: usize, width: usize) -> usize {
    let [fewest, most] = POOL_ROWS;
    (4 * table_rows).clamp(fewest, most).min((POOL_BYTES / width).max(1))
}

/// Returns the number of rows that the check draws for a model with this number of features.
fn check_rows(features: usize) -> usize {
    CHECK_ROWS.min((CHECK_NUMBERS / features).max(drift::MIN_ROWS as usize))
}

/// Returns the step between the rows of the table that synthetic rows are made from.
fn source_step(table_rows: usize, columns: usize) -> usize {
    let most = SOURCE_ROWS.min(SOURCE_VALUES / columns).max(1);
    table_rows.div_ceil(most).max(1)
}

/// Returns the bin of a row in every signal, or in those of the features if there are no outputs.
fn bins_of(card: &ModelCard, row: &[Option<f64>], outputs: &[f64]) -> Vec<u16> {
    let signals = card.reference.signals.iter();
    let values = row.iter().copied().chain(outputs.iter().copied().map(Some));
    signals.zip(values).map(|(signal, value)| signal.bins.index(value) as u16).collect()
}

/// Returns the class and every column of some rows of the table, as codes.
fn coded(table: &Table, levels: &[Levels]) -> Vec<Coded> {
    let step = source_step(table.len(), table.columns.len());
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

/// Counts how many rows of each class have a prediction in each bin, class by class.
fn confusion(table: &Table, predicted: &[f64], card: &ModelCard) -> Vec<f64> {
    let bins = &card.reference.by_role().prediction.bins;
    let mut counts = vec![0.0; table.classes.len() * bins.len()];
    for (&label, &predicted) in table.labels.iter().zip(predicted) {
        counts[label * bins.len() + bins.index(Some(predicted))] += 1.0;
    }
    counts
}

/// Returns the bins of the candidates, signal by signal; the last list holds their cells of the confusion matrix. Without a
/// predictor there are those of the features alone.
fn candidate_bins(
    codes: &[u8],
    width: usize,
    pool: &Pool,
    card: &ModelCard,
    predictor: Option<&Predictor>,
    rng: &mut ChaCha8Rng,
) -> Vec<Vec<u16>> {
    let prediction = &card.reference.by_role().prediction.bins;
    // Rows are drawn in their order, so that the number of threads does not change them.
    let (classes, drawn): (Vec<usize>, Vec<Vec<Option<f64>>>) =
        codes.chunks_exact(width).map(|row| (usize::from(row[0]), pool.decode(&row[1..], rng))).unzip();
    let outputs = outputs_of(predictor, &drawn, card);
    let by_row: Vec<Vec<u16>> = (classes.par_iter().zip(&drawn).zip(&outputs))
        .map(|((class, values), outputs)| {
            let mut bins = bins_of(card, values, outputs);
            bins.extend(
                outputs.first().map(|&own| (class * prediction.len() + prediction.index(Some(own))) as u16),
            );
            bins
        })
        .collect();
    let signals = by_row.first().map_or(0, Vec::len);
    (0..signals).map(|signal| by_row.iter().map(|bins| bins[signal]).collect()).collect()
}

/// Returns the values of the output signals for some rows, which are empty without a predictor. A row that the model cannot take
/// has the first class or the number 0, the greatest confidence and the greatest distance.
fn outputs_of(predictor: Option<&Predictor>, rows: &[Vec<Option<f64>>], card: &ModelCard) -> Vec<Vec<f64>> {
    let Some(predictor) = predictor else { return vec![Vec::new(); rows.len()] };
    let refused = || {
        let confidence = card.reference.confidence.map(|_| 1.0);
        [Some(0.0), confidence, Some(f64::MAX)].into_iter().flatten().collect()
    };
    let score = |rows: &[Vec<Option<f64>>]| -> Vec<Vec<f64>> {
        match predictor.predict(Batch { rows, others: &[] }) {
            Ok(predictions) => predictions.iter().map(|own| own.signal_values().collect()).collect(),
            Err(_) => rows
                .iter()
                .map(|row| {
                    predictor.predict_row(row).map_or_else(|_| refused(), |own| own.signal_values().collect())
                })
                .collect(),
        }
    };
    rows.par_chunks(SCORED_TOGETHER).flat_map_iter(score).collect()
}

/// Returns the share of rows that the pool should have in each bin of each signal, and in each cell of the confusion matrix. Without
/// that, there are the shares of the features alone.
fn targets(card: &ModelCard, confusion: Option<&[f64]>) -> Vec<Vec<f64>> {
    let shares = |counts: Vec<f64>| {
        let all: f64 = counts.iter().sum();
        counts.into_iter().map(|count| count / all).collect()
    };
    let signals = match confusion {
        Some(_) => card.reference.signals.as_slice(),
        None => card.reference.by_role().features,
    };
    let signals =
        signals.iter().map(|signal| shares(signal.counts.iter().map(|&count| count as f64).collect()));
    signals.chain(confusion.map(|counts| shares(counts.to_vec()))).collect()
}

/// Returns weights for the candidates, such that their share in each bin of each signal comes near its target. The method is
/// iterative proportional fitting (W. E. Deming, F. F. Stephan, "On a least squares adjustment of a sampled frequency table when
/// the expected marginal totals are known", 1940). Its steps are limited, because thousands of targets cannot all be met. A target
/// was measured on `rows` rows and has a standard error. A share within this error is not changed, because weights far from 1
/// repeat a few rows often.
fn weights(bins: &[Vec<u16>], targets: &[Vec<f64>], rows: usize) -> Vec<f64> {
    let count = bins[0].len();
    let mut weights = vec![1.0_f64; count];
    // Outputs and the confusion matrix are fitted last in a round, so that their targets, which depend on all columns, are met best.
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

/// Draws rows and judges them as traffic is judged.
fn check(
    simulator: &Simulator,
    class_rows: &[u64],
    card: &ModelCard,
    predictor: Option<&Predictor>,
    rng: &mut ChaCha8Rng,
) -> SimulatorCheck {
    let Ok(pool) = Pool::new(simulator, &card.features, class_rows) else {
        unreachable!("the pool has the features' own levels")
    };
    let rows = check_rows(card.features.len());
    let drawn: Vec<Vec<Option<f64>>> = (0..rows)
        .map(|_| {
            let class = pool.class(rng.random());
            let mut values = Vec::with_capacity(card.features.len());
            pool.draw(class, rng, &mut values);
            values
        })
        .collect();
    let outputs = outputs_of(predictor, &drawn, card);
    let bins: Vec<Vec<u16>> =
        drawn.par_iter().zip(&outputs).map(|(row, outputs)| bins_of(card, row, outputs)).collect();
    SimulatorCheck { rows: rows as u64, drifting: drifting(&bins, card), ..SimulatorCheck::default() }
}

/// Returns the signals that drift in some rows, which are given by their bins.
fn drifting(rows: &[Vec<u16>], card: &ModelCard) -> Vec<String> {
    drifting_against(rows, card, |signal, _| signal.clone())
}

/// Returns the signals that drift in some rows, which are given by their bins. `reference` returns the reference to compare with, from
/// the signal and the counts.
fn drifting_against(
    rows: &[Vec<u16>],
    card: &ModelCard,
    reference: impl Fn(&SignalReference, &[u64]) -> SignalReference,
) -> Vec<String> {
    let signals = &card.reference.signals;
    let alpha = FalseAlarmBudget::default().alpha(signals.len());
    let drifts = |(at, signal): (usize, &SignalReference)| {
        let mut counts = vec![0; signal.bins.len()];
        rows.iter().for_each(|bins| counts[usize::from(bins[at])] += 1);
        let signal = reference(signal, &counts);
        let judged = judge(&signal.expected, &counts, signal.rows, signal.critical_chi2(alpha));
        let drifts = judged.is_ok_and(|judgement| judgement.verdict == Verdict::Drifting);
        drifts.then_some(signal.name)
    };
    // Without outputs, the rows have bins of the features alone.
    let judged = rows.first().map_or(0, Vec::len);
    signals[..judged.min(signals.len())].iter().enumerate().filter_map(drifts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weighted_shares_meet_the_targets() {
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

    use crate::{Column, ModelFile, TrainOptions, iris, simulator::Levels, table::Categories, train};
    use rand::SeedableRng;

    fn iris_file() -> ModelFile {
        train(&iris::table(), &TrainOptions::new("iris")).unwrap()
    }

    #[test]
    fn the_size_of_the_pool_grows_with_the_table_within_limits() {
        let rows = [(147, 5), (3_000, 5), (100_000, 5), (100_000, 1_000), (10, 2_000_000)];
        assert_eq!(rows.map(|(rows, width)| pool_rows(rows, width)), [2_000, 12_000, 20_000, 900, 1]);
        assert_eq!([1, 100, 1_000, 1_000_000].map(check_rows), [40_000, 40_000, 4_000, 60]);
        let tables = [(0, 5), (20_000, 5), (20_001, 5), (2_500, 1_000), (2_501, 1_000), (50, 5_000_000)];
        assert_eq!(tables.map(|(rows, columns)| source_step(rows, columns)), [1, 1, 2, 1, 2, 50]);
    }

    #[test]
    fn shares_are_corrected_to_within_one_standard_error_of_the_target() {
        // The standard error is √(0.5·0.5/100) = 0.05, so a share of 0.6 becomes 0.55, and 0.54 stays.
        let bins =
            |first: usize, all: usize| vec![(0..all).map(|at| u16::from(at >= first)).collect::<Vec<_>>()];
        let moved = weights(&bins(6, 10), &[vec![0.5, 0.5]], 100);
        for (at, weight) in moved.iter().enumerate() {
            let expected = if at < 6 { 0.55 / 0.6 } else { 0.45 / 0.4 };
            assert!((weight - expected).abs() < 1e-9, "{moved:?}");
        }
        assert_eq!(weights(&bins(27, 50), &[vec![0.5, 0.5]], 100), [1.0; 50]);
        // A difference below 0.01 is not corrected either, and a bin without candidates does not count.
        assert_eq!(weights(&bins(5, 10), &[vec![0.503, 0.497, 0.0]], 1_000_000), [1.0; 10]);
        // The standard error of a target of 0.9 on 100 rows is 0.03.
        let moved = weights(&bins(4, 10), &[vec![0.9, 0.1]], 100);
        let share = moved[..4].iter().sum::<f64>() / moved.iter().sum::<f64>();
        assert!((0.865..0.905).contains(&share), "{share}");
    }

    #[test]
    fn weights_stay_within_their_limits() {
        let bins = vec![(0..1000).map(|at| u16::from(at > 0)).collect::<Vec<u16>>()];
        let most = weights(&bins, &[vec![0.5, 0.5]], 1_000_000);
        assert_eq!((most[0], most[1]), (10.0, 0.05));
        // A bin without candidates changes nothing.
        let none = weights(&[vec![0, 0, 1, 1]], &[vec![0.4, 0.4, 0.2]], 1_000_000);
        assert!(none.iter().all(|weight| (weight - none[0]).abs() < 1e-9 && weight.is_finite()), "{none:?}");
    }

    #[test]
    fn resampling_starts_at_the_given_number() {
        assert_eq!(resampled(&[1.0, 1.0, 2.0], 4, 0.0), [0, 1, 2, 2]);
        assert_eq!(resampled(&[1.0, 3.0], 2, 0.25), [0, 1]);
        assert_eq!(resampled(&[1.0, 3.0], 2, 0.75), [1, 1]);
        assert_eq!(resampled(&[2.0], 3, 0.999), [0, 0, 0]);
        // Because of rounding, a target may equal the sum of all weights.
        assert_eq!(resampled(&[1.0, 1.0], 2, 1.0), [1, 1]);
    }

    #[test]
    fn codes_have_the_order_of_the_values_they_stand_for() {
        let categories = Categories { known: vec!["a".into(), "b".into()], rare: Vec::new() };
        let columns = vec![Column::named("x"), Column { categories: Some(categories), ..Column::named("c") }];
        let rows = [[Some(5.0), Some(0.0)], [Some(1.0), Some(7.0)], [Some(9.0), None], [None, Some(1.0)]];
        let rows = rows.map(|row| row.to_vec());
        let table =
            Table::from_rows(columns, ["y", "z"].map(str::to_owned).to_vec(), &rows, vec![1, 0, 0, 1]);
        let levels = [Levels { points: vec![5.0], edges: vec![0.0, 4.0, 10.0] }, Levels::default()];
        let coded = coded(&table, &levels);
        let codes: Vec<&[u8]> = coded.iter().map(|column| column.codes.as_slice()).collect();
        assert_eq!(codes, [[1, 0, 0, 1], [0, 1, 2, MISSING], [0, 2, MISSING, 1]]);
        assert_eq!(coded.iter().map(|column| column.categorical).collect::<Vec<_>>(), [true, false, true]);
        // Code 2 stands for the first interval, 5 for the point, 7 for the second interval.
        let order = [0, 1, 2, 255].map(|code: usize| coded[1].order[code]);
        assert_eq!(order, [1, 0, 2, MISSING]);
        assert_eq!((coded[0].order[1], coded[2].order[255]), (1, 255));
    }

    #[test]
    fn the_confusion_matrix_has_one_row_per_class() {
        let columns = vec![Column::named("x")];
        let classes = ["y", "z"].map(str::to_owned).to_vec();
        let table = Table::from_rows(columns, classes, &vec![vec![Some(1.0)]; 4], vec![0, 0, 1, 1]);
        let mut card = iris_file().card;
        let prediction = card.reference.signals.iter_mut().find(|signal| signal.name == "prediction");
        prediction.unwrap().bins = drift::Bins::Classes { labels: table.classes.clone() };
        assert_eq!(confusion(&table, &[0.0, 1.0, 1.0, 1.0], &card), [1.0, 1.0, 0.0, 2.0]);
    }

    #[test]
    fn candidates_are_binned_in_every_signal_and_in_the_confusion_matrix() {
        let file = iris_file();
        let confusion = [40.0, 10.0, 0.0, 30.0, 10.0, 0.0, 0.0, 0.0, 10.0];
        let targets = targets(&file.card, Some(&confusion));
        assert_eq!(targets.len(), 8);
        assert!(targets.iter().all(|shares| (shares.iter().sum::<f64>() - 1.0).abs() < 1e-12));
        assert_eq!((targets[7][0], targets[7][3]), (0.4, 0.3));
        let signal = &file.card.reference.signals[2];
        assert_eq!(targets[2][1], signal.counts[1] as f64 / 147.0);

        let pool = file.card.pool().unwrap();
        let predictor = Predictor::built_in(&file).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        // Both rows have the first code of every feature; their classes are 1 and 2.
        let codes = [[1, 0, 0, 0, 0], [2, 0, 0, 0, 0]].concat();
        let bins = candidate_bins(&codes, 5, &pool, &file.card, Some(&predictor), &mut rng);
        assert_eq!(bins.len(), 8);
        let row: Vec<Option<f64>> =
            file.card.simulator.levels.iter().map(|levels| Some(levels.points[0])).collect();
        let prediction = predictor.predict_row(&row).unwrap();
        for (feature, signal) in file.card.reference.signals[..4].iter().enumerate() {
            assert_eq!(usize::from(bins[feature][0]), signal.bins.index(row[feature]));
        }
        let distance = &file.card.reference.signals[6].bins;
        assert_eq!(usize::from(bins[6][1]), distance.index(Some(prediction.distance)));
        let class = prediction.class().unwrap() as u16;
        assert_eq!(bins[7], [3 + class, 6 + class]);
    }

    #[test]
    fn a_row_that_overflows_has_the_greatest_distance() {
        let file = iris_file();
        let row = |first| [Some(first), Some(1.0), Some(1.0), Some(1.0)].to_vec();
        let predictor = Predictor::built_in(&file).unwrap();
        let outputs = outputs_of(Some(&predictor), &[row(1e300), row(5.0)], &file.card);
        assert_eq!(outputs[0], [0.0, 1.0, f64::MAX]);
        let other: Vec<f64> = predictor.predict_row(&row(5.0)).unwrap().signal_values().collect();
        assert_eq!(outputs[1], other, "one row does not change another");
    }

    #[test]
    fn drifting_returns_the_names_of_the_signals_that_drift() {
        let file = iris_file();
        let row = |value: f64| bins_of(&file.card, &[Some(value); 4], &[0.0, 0.9, 1.0]);
        let of_table: Vec<Vec<u16>> = iris::table()
            .rows()
            .zip(iris::table().labels)
            .map(|(row, label)| {
                let prediction = Predictor::built_in(&file).unwrap().predict_row(&row).unwrap();
                let outputs = [label as f64, prediction.confidence.unwrap(), prediction.distance];
                bins_of(&file.card, &row, &outputs)
            })
            .collect();
        assert!(drifting(&of_table, &file.card).is_empty());
        let far = drifting(&vec![row(1e6); 100], &file.card);
        assert!(far.len() >= 4 && far[0] == "sepal_length", "{far:?}");
        // There is no verdict on fewer than 60 rows.
        assert!(drifting(&vec![row(1e6); 59], &file.card).is_empty());
        assert!(!drifting(&vec![row(1e6); 60], &file.card).is_empty());
    }

    #[test]
    fn a_simulator_has_the_result_of_its_check() {
        let file = iris_file();
        let check = &file.card.simulator.check;
        assert_eq!((check.rows, check.held_out_rows), (40_000, 0));
        assert!(check.drifting.is_empty() && check.held_out_drifting.is_empty(), "{check:?}");
        // A pool of one row repeats that row.
        let one = Simulator::new(file.card.simulator.levels.clone(), 1, &[0; 5]);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let check =
            super::check(&one, &[48, 50, 49], &file.card, Predictor::built_in(&file).as_ref(), &mut rng);
        assert!(check.drifting.len() >= 4 && check.rows == 40_000, "{check:?}");
    }

    #[test]
    fn few_rows_per_class_widen_the_intervals_of_a_simulator() {
        // With 150 rows per class, the ends of the range −149.5 to 149.5 move by 149.5/150, rounded to tenths.
        let rows: Vec<Vec<Option<f64>>> = (0..300).map(|row| vec![Some(f64::from(row) - 149.5)]).collect();
        let classes = ["x", "y"].map(str::to_owned).to_vec();
        let labels = (0..300).map(|row| row % 2).collect();
        let table = Table::from_rows(vec![Column::named("a")], classes, &rows, labels);
        let file = train(&table, &TrainOptions::new("t")).unwrap();
        let edges = &file.card.simulator.levels[0].edges;
        assert_eq!((edges.first(), edges.last()), (Some(&-150.5), Some(&150.5)));
    }

    #[test]
    fn held_out_rows_are_judged_only_if_there_are_60() {
        let rows: Vec<Vec<Option<f64>>> = (0..300).map(|row| vec![Some(f64::from(row % 50))]).collect();
        let labels: Vec<usize> = (0..300).map(|row| row / 150).collect();
        let classes = ["x", "y"].map(str::to_owned).to_vec();
        let table = Table::from_rows(vec![Column::named("a")], classes, &rows, labels);
        for (test_fraction, rows) in [(0.2, 60), (0.19, 0)] {
            let file = train(&table, &TrainOptions { test_fraction, ..TrainOptions::new("t") }).unwrap();
            assert_eq!(file.card.simulator.check.held_out_rows, rows);
            assert!(file.card.simulator.check.held_out_drifting.is_empty());
            assert_eq!(file.card.simulator.rows, 2_000);
        }
    }
}
