//! Profiles for the unit tests: one of a model that predicts a number, and one whose true classes are unknown.

#![allow(clippy::unwrap_used, reason = "a broken fixture may panic")]

use model::{CsvOptions, ModelFile, Output, ProfileInput, Truth, profile, read_reference};
use std::fmt::Write;

/// Returns a table of flats: two numbers, a text, and the price.
pub(crate) fn flats(rows: usize) -> String {
    let mut text = "area,floor,city,price\n".to_owned();
    for row in 0..rows {
        let (area, floor) = (20.0 + (row * 7919 % 1000) as f64 / 10.0, row * 31 % 7);
        let city = ["Aachen", "Bonn", "Celle"][row * 17 % 3];
        let price = 3.0 * area + 5.0 * floor as f64 + (row * 13 % 11) as f64;
        writeln!(text, "{area},{floor},{city},{price}").unwrap();
    }
    text
}

/// Returns the profile of a model that predicts the price of a flat.
pub(crate) fn regression() -> ModelFile {
    let table = read_reference(flats(400).as_bytes(), "flats", &CsvOptions::new("price")).unwrap();
    let price = |row: usize| 3.0 * table.values[0][row] + 5.0 * table.values[1][row] + 5.0;
    let outputs = (0..400).map(|row| Output::Number(price(row))).collect();
    let numbers = table.target.iter().flatten().map(|text| text.parse().unwrap()).collect();
    profiled(ProfileInput {
        name: "flats".into(),
        table,
        classes: Vec::new(),
        outputs,
        truth: Truth::Numbers(numbers),
        engine: None,
        accepts_missing: Vec::new(),
        external: None,
        server: None,
        seed: 42,
    })
}

/// Returns the profile of a model with the classes `low`, `high` and `none`, which never predicts `none`. The model has no
/// probabilities, and the true classes are unknown.
pub(crate) fn without_truth() -> ModelFile {
    let mut options = CsvOptions::new("price");
    (options.target, options.drop) = (None, vec!["price".into()]);
    let table = read_reference(flats(400).as_bytes(), "flats", &options).unwrap();
    let class = |area: f64| Output::Class { class: usize::from(area > 80.0), probabilities: None };
    let outputs = table.values[0].iter().map(|&area| class(area)).collect();
    profiled(ProfileInput {
        name: "sizes".into(),
        classes: ["low", "high", "none"].map(str::to_owned).to_vec(),
        table,
        outputs,
        truth: Truth::Unknown,
        engine: None,
        accepts_missing: Vec::new(),
        external: None,
        server: None,
        seed: 42,
    })
}

fn profiled(input: ProfileInput) -> ModelFile {
    profile(input, |_| ()).unwrap()
}
