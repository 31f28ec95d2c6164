//! Tests the built-in scenarios with five kinds of tables that differ from Iris: with text, missing values, columns that depend on
//! others, rare classes, codes, and many columns. Then sends real rows of each, with their true classes as feedback.

use crate::{assert_came_to, run, service::Service};
use inference::Settings;
use model::{CsvOptions, ModelFile, TrainOptions, read_csv};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::fmt::Write;

/// A kind of table: its name, the column with the class, and the function that generates its rows.
type Kind = (&'static str, &'static str, fn(&mut ChaCha8Rng, usize) -> String);

const KINDS: [Kind; 5] = [
    ("birds", "species", birds),
    ("customers", "leaves", customers),
    ("loans", "default", loans),
    ("codes", "buys", codes),
    ("pixels", "digit", pixels),
];

const ROWS: usize = 3000;

/// Returns an approximately normal random number: the sum of twelve uniform ones.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}

fn pick<'a>(rng: &mut ChaCha8Rng, among: &[&'a str]) -> &'a str {
    among[rng.random_range(0..among.len())]
}

/// Generates three classes, two text columns, and correlated numbers. One row in thirty has missing values.
fn birds(rng: &mut ChaCha8Rng, rows: usize) -> String {
    let mut text = "species,island,bill,flipper,mass,sex\n".to_owned();
    for _ in 0..rows {
        let class = [0, 0, 0, 1, 2, 2][rng.random_range(0..6)];
        let island = match class {
            0 => pick(rng, &["Dream", "Biscoe", "Torgersen"]),
            1 => "Dream",
            _ => "Biscoe",
        };
        let size = normal(rng);
        let sex = if rng.random::<f64>() < 0.03 { "" } else { ["female", "male"][usize::from(size > 0.0)] };
        let bill = [38.8, 48.8, 47.5][class] + 2.2 * size + normal(rng);
        let flipper = [190.0, 196.0, 217.0][class] + 4.0 * size + 3.0 * normal(rng);
        let mass = [3700.0, 3730.0, 5080.0][class] + 300.0 * size + 150.0 * normal(rng);
        let bill = if rng.random::<f64>() < 0.03 { String::new() } else { format!("{bill:.1}") };
        let _ = writeln!(
            text,
            "{},{island},{bill},{flipper:.0},{:.0},{sex}",
            ["Adelie", "Chinstrap", "Gentoo"][class],
            (mass / 25.0).round() * 25.0
        );
    }
    text
}

/// Generates two classes and mostly text columns, some of which depend on others. The total is the months times the monthly price.
fn customers(rng: &mut ChaCha8Rng, rows: usize) -> String {
    let mut text = "months,internet,backup,contract,paperless,monthly,total,leaves\n".to_owned();
    for _ in 0..rows {
        let months = rng.random_range(1..73_u32);
        let internet = pick(rng, &["fiber", "fiber", "dsl", "none"]);
        let backup = if internet == "none" { "no internet service" } else { pick(rng, &["yes", "no"]) };
        let contract =
            pick(rng, if months > 36 { &["yearly", "two years"] } else { &["monthly", "monthly", "yearly"] });
        let base = match internet {
            "fiber" => 80.0,
            "dsl" => 55.0,
            _ => 20.0,
        };
        let monthly = base + 10.0 * f64::from(backup == "yes") + 3.0 * normal(rng);
        let risk = 0.1 + 0.35 * f64::from(contract == "monthly") + 0.2 * f64::from(internet == "fiber");
        let leaves = rng.random::<f64>() < risk;
        let _ = writeln!(
            text,
            "{months},{internet},{backup},{contract},{},{monthly:.2},{:.2},{}",
            rng.random::<bool>(),
            monthly * f64::from(months),
            if leaves { "Yes" } else { "No" }
        );
    }
    text
}

/// Generates two classes; one row in thirty is of the second one.
fn loans(rng: &mut ChaCha8Rng, rows: usize) -> String {
    let mut text = "student,balance,income,default\n".to_owned();
    for _ in 0..rows {
        let student = rng.random::<f64>() < 0.3;
        let balance = (800.0 + 250.0 * f64::from(student) + 480.0 * normal(rng)).max(0.0);
        let income = if student { 18_000.0 } else { 40_000.0 } + 7000.0 * normal(rng);
        let defaults = balance > 1600.0 && rng.random::<f64>() < 0.6;
        let _ = writeln!(text, "{student},{balance:.2},{income:.1},{}", if defaults { "Yes" } else { "No" });
    }
    text
}

/// Generates forty columns of whole numbers from 0 to 9, most of them nearly always 0, and a class of one row in sixteen.
fn codes(rng: &mut ChaCha8Rng, rows: usize) -> String {
    let mut text: String = (0..40).map(|column| format!("m{column},")).collect();
    text += "buys\n";
    for _ in 0..rows {
        let rich = normal(rng);
        for column in 0..40 {
            let value = if column < 20 {
                4.0 + 2.0 * rich * f64::from(column % 3) / 2.0 + 1.5 * normal(rng)
            } else {
                2.0 * normal(rng) - 2.5
            };
            let _ = write!(text, "{},", value.round().clamp(0.0, 9.0));
        }
        let buys = rng.random::<f64>() < 0.06 + 0.04 * rich.clamp(-1.0, 3.0);
        let _ = writeln!(text, "{}", u8::from(buys));
    }
    text
}

/// Generates ten classes and 64 columns of whole numbers from 0 to 16, some of them always 0.
fn pixels(rng: &mut ChaCha8Rng, rows: usize) -> String {
    let mut text: String = (0..64).map(|column| format!("p{column},")).collect();
    text += "digit\n";
    // All tables of this kind have the same ten pictures.
    let mut drawing = ChaCha8Rng::seed_from_u64(10);
    let pictures: Vec<Vec<f64>> = (0..10)
        .map(|_| {
            (0..64).map(|at| if at % 8 == 0 { 0.0 } else { 16.0 * drawing.random::<f64>().powi(2) }).collect()
        })
        .collect();
    for _ in 0..rows {
        let digit = rng.random_range(0..10);
        for (at, &ink) in pictures[digit].iter().enumerate() {
            let value = if at % 8 == 0 { 0.0 } else { (ink + 3.0 * normal(rng)).round().clamp(0.0, 16.0) };
            let _ = write!(text, "{value},");
        }
        let _ = writeln!(text, "{digit}");
    }
    text
}

fn table((_, _, rows): Kind, seed: u64) -> String {
    rows(&mut ChaCha8Rng::seed_from_u64(seed), ROWS)
}

fn trained(kind: Kind) -> ModelFile {
    let (name, target, _) = kind;
    let table = read_csv(table(kind, 1).as_bytes(), name, &CsvOptions::new(target)).unwrap().table;
    model::train(&table, &TrainOptions::new(name)).unwrap()
}

/// Returns a built-in scenario in a quarter of the time, without thresholds on response times, because several services share
/// this machine.
pub fn shortened(name: &str) -> String {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios").join(name);
    let text = std::fs::read_to_string(file.with_extension("yaml")).unwrap();
    let mut shorter = String::new();
    for line in text.lines().filter(|line| !line.contains("response_time:")) {
        let mut parts = line.split("duration: ");
        shorter += parts.next().unwrap();
        for part in parts {
            let end = part.find([',', ' ', '}']).unwrap_or(part.len());
            let span = driftsim::duration::parse(&part[..end]).unwrap();
            let _ = write!(shorter, "duration: {}ms{}", (span.as_millis() / 4).max(8000), &part[end..]);
        }
        shorter.push('\n');
    }
    shorter
}

pub fn played(scenario: &str, service: &Service, flags: &[&str]) -> (String, Value) {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    std::io::Write::write_all(&mut file, scenario.as_bytes()).unwrap();
    let (code, words, report) = run(file.path().to_str().unwrap(), service, None, flags);
    assert_came_to(0, code, &words);
    let expectations = report["expectations"].as_array().unwrap();
    let of_the_service = |outcome: &&Value| outcome["verdict"] != "not_checked";
    assert!(
        expectations.iter().filter(of_the_service).all(|outcome| outcome["verdict"] == "passed"),
        "{words}"
    );
    (words, report)
}

fn shipped_scenarios_and_real_rows_on(kind: Kind) {
    let (name, target, _) = kind;
    let file = trained(kind);
    let drifting = &file.card.simulator.check.drifting;
    assert!(drifting.is_empty(), "{name}: simulated rows drift in {drifting:?}");
    let service = Service::of(Settings { allow_fault_injection: true, ..Settings::default() }, file);
    played(&shortened("normal"), &service, &[]);
    played(&shortened("drift"), &service, &[]);

    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("fresh.csv");
    std::fs::write(&rows, table(kind, 2)).unwrap();
    let scenario = "
name: real_rows
payloads:
  real: { source: { model: {} }, feedback: { after: 100ms, share: 0.5 } }
  drifted: { weight: 0, source: { drift: { operations: [ { shuffle: { features: '*' } }, { extreme: { features: most_important_feature } } ] } } }
phases:
  - { name: calm, executor: constant-arrival-rate, rate: 100, duration: 8s }
  - { name: drifted, executor: constant-arrival-rate, rate: 100, duration: 4s, mix: { drifted: 1 } }
expect:
  signals:
    - { signal: '*', phase: calm, stays: steady }
    - { signal: most_important_feature, phase: drifted, drifts_within: 4s }
";
    let (words, report) = played(scenario, &service, &["--table", rows.to_str().unwrap()]);
    let feedback = &report["feedback"];
    // Half of 800 are expected; the margin is four standard deviations, 4·√(800 · ½ · ½).
    let due = feedback["due"].as_u64().unwrap();
    assert!((343..=457).contains(&due) && feedback["accepted"] == due, "{name} ({target}): {words}");
    assert!(words.contains(&format!("{due} feedback = {due} accepted")), "{words}");
    let counted = service.counted("feedback_total");
    assert_eq!(counted, due as f64, "{name}");
    // The true classes are those of the rows and not random, so the model predicts most of them correctly.
    let right: f64 = service.counted_where("feedback_total", |labels| {
        let value = |label: &str| labels.split(&format!("{label}=\"")).nth(1)?.split('"').next();
        value("predicted") == value("actual")
    });
    assert!(right / counted > 0.6, "{name}: {right} of {counted}");
}

#[test]
fn built_in_scenarios_and_real_rows_pass_with_five_kinds_of_tables() {
    let threads: Vec<_> = KINDS
        .map(|kind| std::thread::spawn(move || shipped_scenarios_and_real_rows_on(kind)))
        .into_iter()
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}
