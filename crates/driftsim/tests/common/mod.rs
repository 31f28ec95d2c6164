//! Models for tests. The tests of crate `driftbench` use them, too.

use model::{CsvOptions, ModelFile, TrainOptions};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use std::fmt::Write;

pub(crate) fn iris() -> ModelFile {
    model::train(&model::iris::table(), &TrainOptions::new("iris")).unwrap()
}

/// Trains a model on data that is far from Gaussian: a skewed column, a binary one, counts with equal values, missing values in a
/// fifth of the rows, three overlapping classes, and correlations between all columns.
pub(crate) fn awkward() -> ModelFile {
    let mut rng = ChaCha8Rng::seed_from_u64(2024);
    let mut csv = String::from("income,smoker,visits,lab,class\n");
    for row in 0..900 {
        let class = [0, 0, 0, 1, 1, 2][row % 6];
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let common = normal();
        let mut mixed = |weight: f64| weight * common + (1.0 - weight * weight).sqrt() * normal();
        let (u, smoker, visits, lab) = (mixed(0.7), mixed(0.5), mixed(0.6), mixed(0.8));
        let class_at = f64::from(class);
        // Exponential: −ln(1 − Φ(u)), with Φ by its logistic approximation (S. R. Bowling et al., 2009).
        let tail = 1.0 / (1.0 + (1.5976 * u + 0.07056 * u.powi(3)).exp());
        let income = -(20.0 + 15.0 * class_at) * tail.ln();
        let smoker = u8::from(smoker > 0.8 - 0.6 * class_at);
        let visits = (0.8 + 0.7 * class_at + 0.9 * visits).exp().floor();
        let lab = if rng.random::<f64>() < 0.2 {
            String::new()
        } else {
            format!("{:.1}", 5.0 + 1.2 * class_at + 0.8 * lab)
        };
        writeln!(csv, "{income:.2},{smoker},{visits},{lab},c{class}").unwrap();
    }
    train(&csv, "awkward")
}

pub(crate) fn train(csv: &str, name: &str) -> ModelFile {
    let table = model::read_csv(csv.as_bytes(), name, &CsvOptions::new("class")).unwrap().table;
    model::train(&table, &TrainOptions::new(name)).unwrap()
}
