//! Rows without drift are like the reference in their statistics, and are judged steady.

use crate::{
    common::{awkward, iris, train},
    monitor::{Monitor, rows, table},
};
use drift::Verdict;
use driftsim::{DriftSpec, Row};
use model::{ModelFile, shape::Spread};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use std::fmt::Write;

/// Numbers of windows and rows per window: what a quiet service, the demo and a busy service receive in a minute.
const WINDOWS: [(usize, usize); 3] = [(500, 60), (200, 250), (40, 3000)];

fn assert_steady(file: &ModelFile, windows: &[(usize, usize)]) {
    let monitor = Monitor::new(file);
    let mut source = rows(file, &DriftSpec::steady(), 42);
    for &(windows, length) in windows {
        for window in 0..windows {
            let judged = monitor.judge(source.by_ref(), length);
            let quiet = judged.iter().all(|(_, judgement)| judgement.verdict == Verdict::Steady);
            assert!(quiet, "window {window} of {length} rows\n{}", table(&judged));
        }
    }
}

/// Trains a model on many normal features and few rows, so few that correlations within a class look stronger than they are.
fn wide(features: usize, rows: usize) -> ModelFile {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let header: Vec<String> = (0..features).map(|feature| format!("f{feature}")).collect();
    let mut csv = header.join(",") + ",class\n";
    for row in 0..rows {
        let class = row % 3;
        let common: f64 = StandardNormal.sample(&mut rng);
        for feature in 0..features {
            let own: f64 = StandardNormal.sample(&mut rng);
            let centre = f64::from(u8::try_from((class * 7 + feature * 3) % 5).unwrap());
            write!(csv, "{:.2},", 0.4 * centre + 0.6 * common + 0.8 * own).unwrap();
        }
        writeln!(csv, "c{class}").unwrap();
    }
    train(&csv, "wide")
}

#[test]
fn iris_rows_cause_no_false_alarm() {
    assert_steady(&iris(), &WINDOWS);
}

#[test]
fn rows_that_are_not_gaussian_cause_no_false_alarm() {
    assert_steady(&awkward(), &WINDOWS);
}

#[test]
fn many_features_and_few_reference_rows_cause_no_false_alarm() {
    // 20 features and 50 rows per class. If rows were generated with the correlations of this sample, `distance` would have a PSI
    // of 0.87.
    assert_steady(&wide(20, 150), &[(20, 3000)]);
}

#[test]
fn psi_stays_small_on_many_rows() {
    // This is the part of PSI that does not shrink with the window. An empty bin, such as `missing`, has an expected share of half
    // a row, which alone makes 0.02 of PSI for Iris. The rest is left for differences between the distributions.
    for (file, most) in [(iris(), 0.07), (awkward(), 0.03)] {
        let judged = Monitor::new(&file).judge(rows(&file, &DriftSpec::steady(), 7), 100_000);
        assert!(judged.iter().all(|(_, judgement)| judgement.psi.value < most), "{}", table(&judged));
    }
}

#[test]
fn classes_have_the_shares_means_and_covariances_of_the_reference() {
    let file = iris();
    let card = &file.card;
    let Spread::PerClass { covariances } = &card.reference.shape.spread else { panic!() };
    let drawn: Vec<_> = rows(&file, &DriftSpec::steady(), 3).take(60_000).collect();
    for (class, (centre, covariances)) in card.reference.shape.classes.iter().zip(covariances).enumerate() {
        let standardised = |row: &Row| -> Vec<f64> {
            let numbers = card.features.iter().map(|feature| feature.numeric().unwrap());
            row.values.iter().zip(numbers).map(|(value, f)| (value.unwrap() - f.mean) / f.sd).collect()
        };
        let own: Vec<Vec<f64>> =
            drawn.iter().filter(|row| row.class == Some(class)).map(standardised).collect();
        let count = own.len() as f64;
        let share = centre.rows as f64 / card.reference.rows as f64;
        assert!((count / drawn.len() as f64 - share).abs() < 0.02, "share of class {class}");

        let mean = |f: usize| own.iter().map(|row| row[f]).sum::<f64>() / count;
        let covariance = |i: usize, j: usize| {
            let (left, right) = (mean(i), mean(j));
            own.iter().map(|row| (row[i] - left) * (row[j] - right)).sum::<f64>() / (count - 1.0)
        };
        for i in 0..card.features.len() {
            let sd = covariances[i][i].sqrt();
            // The mean of the 50 reference rows has a standard error of 0.14 standard deviations.
            assert!((mean(i) - centre.means[i]).abs() < 0.15 * sd, "mean of {class} {i}");
            let ratio = covariance(i, i) / covariances[i][i];
            assert!((0.8..1.2).contains(&ratio), "variance of {class} {i}: {ratio} of the reference's");
            for (j, shared) in covariances[i][..i].iter().enumerate() {
                let own = covariance(i, j) / (covariance(i, i) * covariance(j, j)).sqrt();
                let reference = shared / (sd * covariances[j][j].sqrt());
                assert!(
                    (own - reference).abs() < 0.2,
                    "correlation of {class} {i} {j}: {own}, not {reference}"
                );
            }
        }
    }
}

#[test]
fn missing_values_are_as_frequent_as_in_the_reference() {
    let file = awkward();
    let drawn: Vec<_> = rows(&file, &DriftSpec::steady(), 3).take(20_000).collect();
    for (at, feature) in file.card.features.iter().enumerate() {
        let gaps = drawn.iter().filter(|row| row.values[at].is_none()).count() as f64 / drawn.len() as f64;
        // A share of one fifth has a standard error of 1.3 % in 900 rows.
        assert!((gaps - feature.missing_ratio).abs() < 0.02, "{}: {gaps}", feature.name);
        if feature.missing_ratio == 0.0 {
            assert_eq!(gaps, 0.0, "{} must never be missing", feature.name);
        }
    }
}

#[test]
fn values_have_no_more_decimals_than_the_reference() {
    for file in [iris(), awkward()] {
        for row in rows(&file, &DriftSpec::steady(), 5).take(2000) {
            for (value, feature) in row.values.iter().zip(&file.card.features) {
                let written = value.map(|value| drift::bins::decimals(&[value]).unwrap());
                assert!(written <= feature.numeric().unwrap().decimals, "{} has {value:?}", feature.name);
            }
        }
    }
}

#[test]
fn few_rows_are_copies_of_reference_rows() {
    let reference: Vec<_> = model::iris::table().rows().collect();
    let drawn: Vec<_> = rows(&iris(), &DriftSpec::steady(), 5).take(10_000).map(|row| row.values).collect();
    let copies = drawn.iter().filter(|values| reference.contains(values)).count();
    // Lengths are measured to a millimetre, so some rows are equal by chance.
    assert!(copies < 1000, "{copies} of 10,000 rows are reference rows");
}

#[test]
fn rows_with_text_and_dependent_columns_cause_no_false_alarm() {
    // The table has a column that is the sum of two others, one-hot columns, a text that depends on the class, and a rare class.
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let rows: String = (0..1500)
        .map(|row| {
            let class = usize::from(row % 25 == 0);
            let (a, b) = (rng.random_range(0..40) + 10 * class, rng.random_range(0..10));
            let level = rng.random_range(0..3);
            let one_hot = [0, 1, 2].map(|at| u8::from(at == level));
            let city = ["Oslo", "Rome", "Lima", ""][(rng.random_range(0..4) + class) % 4];
            format!("{a},{b},{},{},{},{},{city},c{class}\n", a + b, one_hot[0], one_hot[1], one_hot[2])
        })
        .collect();
    let file = train(&format!("a,b,sum,x,y,z,city,class\n{rows}"), "text");
    assert_steady(&file, &[(100, 250), (10, 3000), (1, 40_000)]);
    let drawn: Vec<_> = rows_of(&file);
    let broken = drawn.iter().filter(|row| row[3..6].iter().flatten().sum::<f64>() != 1.0).count();
    assert!(
        broken * 100 < drawn.len(),
        "in {broken} of {} rows not exactly one of the one-hot columns is 1",
        drawn.len()
    );
}

fn rows_of(file: &ModelFile) -> Vec<Vec<Option<f64>>> {
    rows(file, &DriftSpec::steady(), 9).take(5000).map(|row| row.values).collect()
}
