//! Profiles of two models of flats: one predicts the price, the other the size as a class, without probabilities.

use inference::LoadedModel;
use model::{
    Batch, BatchRows, CsvOptions, Engine, EngineError, ModelFile, Output, ProfileInput, Truth, profile,
    read_reference,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{fmt::Write, sync::Arc};

const CITIES: [&str; 3] = ["Aachen", "Bonn", "Celle"];
const SIZES: [&str; 3] = ["small", "medium", "large"];
const ROWS: usize = 3000;

/// The mean absolute error of a predicted price.
pub const ERROR: f64 = 10.0;

/// Returns a table with the columns area, floor (with missing values), city, size and price.
pub fn table(seed: u64, rows: usize) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut text = "area,floor,city,size,price\n".to_owned();
    for _ in 0..rows {
        let area = (20.0 + 100.0 * rng.random::<f64>() + 20.0 * rng.random::<f64>()).round();
        let floor = rng.random_range(0..8_u32);
        let city = rng.random_range(0..3);
        let size = SIZES[size_of(area)];
        // The absolute error is uniformly distributed, so its mean is half of its maximum.
        let error = 2.0 * ERROR * (2.0 * rng.random::<f64>() - 1.0);
        let price = price_of(&[Some(area), Some(f64::from(floor)), Some(city as f64)]) + error;
        let floor = if rng.random::<f64>() < 0.03 { String::new() } else { floor.to_string() };
        writeln!(text, "{area},{floor},{},{size},{price:.3}", CITIES[city]).unwrap();
    }
    text
}

fn price_of(row: &[Option<f64>]) -> f64 {
    let city = row[2].map_or(0.0, |city| [0.0, 150.0, 60.0].get(city as usize).copied().unwrap_or(70.0));
    100.0 + 3.0 * row[0].unwrap_or(80.0) + 0.5 * row[1].unwrap_or(3.5) + city
}

fn size_of(area: f64) -> usize {
    usize::from(area > 60.0) + usize::from(area > 90.0)
}

/// Predicts the price.
#[derive(Debug)]
struct Prices;

impl Engine for Prices {
    fn score(&self, batch: Batch) -> Result<Vec<Output>, EngineError> {
        Ok(batch.rows.iter().map(|row| Output::Number(price_of(row))).collect())
    }
}

/// Predicts the size.
#[derive(Debug)]
struct Sizes;

impl Engine for Sizes {
    fn score(&self, batch: Batch) -> Result<Vec<Output>, EngineError> {
        let size = |row: &[Option<f64>]| size_of(row[0].unwrap_or(80.0));
        Ok(batch.rows.iter().map(|row| Output::Class { class: size(row), probabilities: None }).collect())
    }
}

/// Returns the profile of the model that predicts the price.
pub fn regression() -> (ModelFile, LoadedModel) {
    let (table, rows) = reference("price", "size");
    let truth = table.target.iter().flatten().map(|price| price.parse().unwrap()).collect();
    profiled(table, &rows, Vec::new(), Truth::Numbers(truth), Arc::new(Prices))
}

/// Returns the profile of the model that predicts the size.
pub fn without_confidence() -> (ModelFile, LoadedModel) {
    let (table, rows) = reference("size", "price");
    let truth = table.target.iter().flatten().map(|size| SIZES.iter().position(|own| own == size).unwrap());
    let truth = Truth::Classes(truth.collect());
    profiled(table, &rows, SIZES.map(str::to_owned).to_vec(), truth, Arc::new(Sizes))
}

fn reference(target: &str, drop: &str) -> (model::ReferenceTable, Vec<Vec<Option<f64>>>) {
    let options = CsvOptions { drop: vec![drop.to_owned()], ..CsvOptions::new(target) };
    let table = read_reference(table(1, ROWS).as_bytes(), "flats", &options).unwrap();
    let value = |column: &Vec<f64>, row: usize| Some(column[row]).filter(|value| !value.is_nan());
    let rows = (0..ROWS).map(|row| table.values.iter().map(|column| value(column, row)).collect());
    let rows = rows.collect();
    (table, rows)
}

fn profiled(
    table: model::ReferenceTable,
    rows: &[Vec<Option<f64>>],
    classes: Vec<String>,
    truth: Truth,
    engine: Arc<dyn Engine>,
) -> (ModelFile, LoadedModel) {
    let outputs = engine
        .score(Batch { rows: BatchRows::new(&rows.concat(), table.columns.len()), others: &table.others })
        .unwrap();
    let input = ProfileInput {
        name: "flats".into(),
        table,
        classes,
        outputs,
        truth,
        engine: Some(Arc::clone(&engine)),
        accepts_missing: Vec::new(),
        external: None,
        server: None,
        seed: 42,
    };
    let file = profile(input, |_| ()).unwrap();
    let card = file.card.clone();
    (file, LoadedModel { card, engine })
}
