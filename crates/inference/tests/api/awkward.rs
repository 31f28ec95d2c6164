//! Trains and serves models of unusual references. Each signal must get a verdict, or the verdict "cannot tell".

use crate::harness::{Service, metric};
use drift::{Judgement, Verdict, judge};
use inference::Settings;
use model::{CsvOptions, ModelFile, Table, TrainOptions, read_csv};
use serde_json::{Value, json};
use std::fmt::Write;

/// Returns the content of a cell, given its row and its feature.
type Cell = fn(usize, usize) -> String;

struct Case {
    name: &'static str,
    rows: usize,
    features: usize,
    classes: usize,
    cell: Cell,
}

impl Case {
    /// Rows of this law; those from another row on are others.
    fn table(&self, first: usize, rows: usize) -> Table {
        let mut csv: String = (0..self.features).map(|feature| format!("f{feature},")).collect();
        csv += "class\n";
        for row in first..first + rows {
            (0..self.features).for_each(|feature| csv += &((self.cell)(row, feature) + ","));
            writeln!(csv, "c{}", row % self.classes).unwrap();
        }
        read_csv(csv.as_bytes(), "awkward.csv", &CsvOptions::new("class")).unwrap().table
    }
}

/// Returns a pseudo-random number from 0 to 10, plus 3 in every other row (G. L. Steele et al., SplitMix, 2014).
fn plain(row: usize, feature: usize) -> String {
    let mut mixed = ((row * 1009 + feature) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let uniform = ((mixed ^ (mixed >> 31)) % 1000) as f64 / 100.0;
    format!("{:.2}", uniform + (row % 2 * 3) as f64)
}

fn cases() -> Vec<Case> {
    let case = |name, rows, features, classes, cell| Case { name, rows, features, classes, cell };
    vec![
        case("a constant column", 120, 3, 2, |r, f| if f == 1 { "7".into() } else { plain(r, f) }),
        case("two classes", 120, 2, 2, plain),
        case("sixty features", 300, 60, 3, plain),
        case("sixty features and thirty rows", 30, 60, 2, plain),
        case("thirty rows", 30, 4, 3, plain),
        case("heavy ties", 120, 3, 2, |r, f| plain(r, f)[..1].into()),
        case("a column always missing", 120, 3, 2, |r, f| if f == 2 { String::new() } else { plain(r, f) }),
        case("all of it", 30, 60, 2, |r, f| match f % 4 {
            0 => "7".into(),
            1 => String::new(),
            2 => plain(r, f)[..1].into(),
            _ => plain(r, f),
        }),
        case(
            "nothing but gaps and constants",
            40,
            2,
            2,
            |_, f| if f == 0 { String::new() } else { "1".into() },
        ),
        case("four rows", 4, 2, 2, plain),
    ]
}

async fn send(service: &Service, rows: &[Vec<Option<f64>>]) {
    for batch in rows.chunks(50) {
        let (status, body) = service.predict(&json!({ "instances": batch }).to_string()).await;
        assert_eq!(status, 200, "{body}");
        let all: Vec<&Value> = body["predictions"].as_array().unwrap().iter().collect();
        assert!(
            all.iter().all(|answer| answer["probabilities"].as_array().unwrap().iter().all(Value::is_number))
        );
    }
}

/// Judges every signal from the published metrics, and checks that every number on the page is finite.
async fn judged(service: &Service, file: &ModelFile) -> Vec<(String, Judgement)> {
    let page = service.get("/metrics").await.text().await.unwrap();
    for line in page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(value.is_finite(), "{line}");
    }
    let read = |name: &str, labels: &[(&str, &str)]| {
        metric(&page, name, labels).unwrap_or_else(|| panic!("{name} {labels:?} is missing"))
    };
    let signals = &file.card.reference.signals;
    let judge = |signal: &drift::SignalReference| {
        let labels = signal.bins.labels();
        let of_bin = |name, bin: &String| read(name, &[("signal", &signal.name), ("bin", bin)]);
        let expected: Vec<f64> = labels.iter().map(|bin| of_bin("signal_bin_expected_ratio", bin)).collect();
        let counts: Vec<u64> = labels.iter().map(|bin| of_bin("signal_bin_total", bin) as u64).collect();
        let rows = read("signal_reference_rows", &[("version", &file.card.version)]) as u64;
        let critical = read("signal_critical_chi2", &[("signal", &signal.name)]);
        let freedom = read("signal_degrees_of_freedom", &[("signal", &signal.name)]) as usize;
        let judgement = judge(&expected, &counts, rows, critical).unwrap();
        assert!(judgement.psi.value.is_finite(), "{}: {judgement:?}", signal.name);
        assert!(!judgement.detectable_psi(freedom).is_nan());
        (signal.name.clone(), judgement)
    };
    signals.iter().map(judge).collect()
}

#[tokio::test]
async fn every_reference_gets_a_verdict_or_cannot_tell() {
    for case in cases() {
        let name = case.name;
        let file = model::train(&case.table(0, case.rows), &TrainOptions::new("awkward"))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let text = file.to_json().unwrap();
        let service = Service::of(Settings::default(), ModelFile::from_json(&text).unwrap());
        let words = |judged: &[(String, Judgement)]| -> Vec<String> {
            judged
                .iter()
                .map(|(signal, j)| format!("{signal} {:.2} > {:.2}", j.psi.value, j.threshold))
                .collect()
        };

        // There is no verdict without requests, and none after too few.
        let fresh: Vec<_> = case.table(10_000, 240).rows().collect();
        for sent in [0, 20] {
            send(&service, &fresh[..sent]).await;
            let judged = judged(&service, &file).await;
            let decided = judged.iter().find(|(_, j)| !matches!(j.verdict, Verdict::CannotTell { .. }));
            assert_eq!(decided, None, "{name} after {sent} rows");
        }
        send(&service, &fresh[20..]).await;
        let steady = judged(&service, &file).await;
        let unsteady = steady.iter().find(|(_, j)| j.verdict != Verdict::Steady);
        assert_eq!(unsteady, None, "{name}: {:?}", words(&steady));

        // Values move far out of their range, and missing values become present. Missing values stay where the reference has some.
        let drifted: Vec<Vec<Option<f64>>> = fresh
            .iter()
            .map(|row| {
                row.iter().map(|value| Some(value.map_or(5.0, |value| value * 10.0 + 100.0))).collect()
            })
            .collect();
        for _ in 0..4 {
            send(&service, &drifted).await;
        }
        let judged = judged(&service, &file).await;
        // With four reference rows, hardly any drift can be proven.
        let provable = judged.iter().any(|(_, j)| j.threshold < 3.0);
        let noticed = judged.iter().any(|(_, j)| j.verdict == Verdict::Drifting);
        assert_eq!(noticed, provable, "{name}: {:?}", words(&judged));
    }
}
