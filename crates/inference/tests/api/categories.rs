//! Tests a table with text, booleans, codes and missing values, from the CSV file to the counters.

use crate::harness::Service;
use inference::{Settings, load_model};
use model::{CsvOptions, ModelFile, TrainOptions, read_csv};
use serde_json::json;
use std::process::Command;

/// Returns generated customers: two numbers, a text, a boolean, a code, and a plan that determines whether they leave.
pub fn customers() -> String {
    let plan = |row: usize| ["monthly", "yearly", "two years"][row * 7 % 3];
    let rows = (0..400).map(|row| {
        let leaves = if plan(row) == "monthly" && row % 5 != 0 { "yes" } else { "no" };
        let city = match row % 20 {
            0..=8 => "Oslo",
            9..=16 => "Rome",
            17 | 18 => "",
            _ => ["Bonn", "Lima", "Kyiv", "Bern"][row / 20 % 4],
        };
        let (age, code) = (20 + row * 13 % 50, row % 4 * 10);
        format!(
            "{age},{:.2},{city},{},{code},{},{leaves}\n",
            (row * 37 % 1000) as f64 / 10.0,
            row % 3 == 0,
            plan(row)
        )
    });
    "age,distance,city,new,code,plan,leaves\n".to_owned() + &rows.collect::<String>()
}

pub fn service() -> (Service, ModelFile) {
    let options = CsvOptions { categorical: vec!["code".into()], ..CsvOptions::new("leaves") };
    let table = read_csv(customers().as_bytes(), "customers.csv", &options).unwrap().table;
    let file = model::train(&table, &TrainOptions::new("customers")).unwrap();
    (Service::of(Settings::default(), file.clone()), file)
}

#[tokio::test]
async fn categories_are_accepted_as_the_table_writes_them() {
    let (service, ModelFile { card, .. }) = service();
    assert!(card.training.class_scores[1].recall > 0.5, "{:?}", card.training);
    let row =
        json!({ "age": 30, "distance": 5.5, "city": "Oslo", "new": true, "code": 20, "plan": "monthly" });
    let (status, body) = service.predict(&json!({ "features": row }).to_string()).await;
    assert_eq!((status, &body["class"]), (200, &json!("yes")), "{body}");
    // The same values as text, with leading and trailing spaces.
    let text = json!([30, 5.5, " Oslo ", "true", "20", "monthly"]);
    let (status, same) = service.predict(&json!({ "features": text }).to_string()).await;
    assert_eq!((status, &same["probabilities"]), (200, &body["probabilities"]), "{same}");
    for (signal, bin) in [("city", "Oslo"), ("new", "true"), ("code", "20"), ("plan", "monthly")] {
        assert_eq!(
            service.metric("signal_bin_total", &[("signal", signal), ("bin", bin)]).await,
            2.0,
            "{signal}"
        );
    }
}

#[tokio::test]
async fn inspect_prints_the_number_of_series_of_a_fresh_service() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("customers.csv"), customers()).unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_inference")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let (data, out) = (path("customers.csv"), path("customers.json"));
    run(&["train", "--data", &data, "--target", "leaves", "--categorical", "code", "--out", &out]);
    let words = run(&["inspect", "--model", &out]);
    let line = words.lines().last().unwrap();
    let numbers: Vec<usize> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [of_model, of_routes] = numbers[..] else { panic!("{line}") };

    let service = Service::of(Settings::default(), load_model(Some(out.as_ref())).unwrap());
    let page = service.get("/metrics").await.text().await.unwrap();
    let series: Vec<&str> = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let has_route = |line: &&&str| line.contains("endpoint=\"");
    assert_eq!(series.iter().filter(has_route).count(), of_routes, "{line}");
    assert_eq!(series.len(), of_model + of_routes, "{line}\n{page}");
}

#[tokio::test]
async fn a_category_that_is_not_in_the_reference_is_counted_and_scored() {
    let (service, _) = service();
    let row = json!([30, 5.5, "Atlantis", false, 99, "weekly"]);
    let (status, body) = service.predict(&json!({ "features": row }).to_string()).await;
    assert_eq!(status, 200, "{body}");
    for signal in ["city", "code", "plan"] {
        assert_eq!(
            service.metric("signal_bin_total", &[("signal", signal), ("bin", "other")]).await,
            1.0,
            "{signal}"
        );
    }
    // A missing value is accepted if the reference has some in the column, and refused otherwise. It is counted in both cases.
    let (status, _) =
        service.predict(&json!({ "features": [30, 5.5, null, false, 0, "yearly"] }).to_string()).await;
    assert_eq!(status, 200);
    let (status, body) =
        service.predict(&json!({ "features": [30, 5.5, "Rome", false, 0, null] }).to_string()).await;
    assert_eq!((status, &body["error"]["code"]), (422, &json!("missing_value")), "{body}");
    for signal in ["city", "plan"] {
        assert_eq!(service.metric("signal_bin_total", &[("signal", signal), ("bin", "missing")]).await, 1.0);
    }
}

#[tokio::test]
async fn texts_for_missing_values_are_counted_as_missing() {
    let text = customers().replace(",,", ",NA,");
    let options = CsvOptions {
        categorical: vec!["code".into()],
        missing: vec!["NA".into()],
        ..CsvOptions::new("leaves")
    };
    let table = read_csv(text.as_bytes(), "customers.csv", &options).unwrap().table;
    let file = model::train(&table, &TrainOptions::new("customers")).unwrap();
    let service = Service::of(Settings::default(), file);
    let mut answers = Vec::new();
    for city in [json!(null), json!("NA"), json!(" NA"), json!(""), json!(" ")] {
        let row = json!([30, 5.5, city, false, 0, "yearly"]);
        let (status, body) = service.predict(&json!({ "features": row }).to_string()).await;
        assert_eq!(status, 200, "{body}");
        answers.push(body["probabilities"].clone());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let count =
        async |signal, bin| service.metric("signal_bin_total", &[("signal", signal), ("bin", bin)]).await;
    assert_eq!((count("city", "missing").await, count("city", "other").await), (5.0, 0.0));
    // No row of the reference has a missing plan.
    let row = json!([30, 5.5, "Rome", false, 0, "NA"]);
    let (status, body) = service.predict(&json!({ "features": row }).to_string()).await;
    let error = &body["error"];
    assert_eq!(
        (status, &error["code"], &error["field"]),
        (422, &json!("missing_value"), &json!("features.plan"))
    );
    assert_eq!((count("plan", "missing").await, count("plan", "other").await), (1.0, 0.0));
}

#[tokio::test]
async fn a_value_of_the_wrong_type_names_the_field_and_an_example() {
    let (service, _) = service();
    let cases = [
        (
            json!([30, 5.5, 7, false, 0, "yearly"]),
            "not_a_category",
            "features[2]",
            "such as \"Oslo\", got a number",
        ),
        (
            json!([30, 5.5, "Rome", 1, 0, "yearly"]),
            "not_a_category",
            "features[3]",
            "such as false, got a number",
        ),
        (
            json!([30, 5.5, "Rome", true, false, "yearly"]),
            "not_a_category",
            "features[4]",
            "such as 0, got a boolean",
        ),
        (json!([30, 5.5, ["Rome"], true, 0, "yearly"]), "not_a_category", "features[2]", "got a list"),
        (json!(["30", 5.5, "Rome", true, 0, "yearly"]), "not_a_number", "features[0]", "got a string"),
    ];
    for (row, code, field, words) in cases {
        let (status, body) = service.predict(&json!({ "features": row }).to_string()).await;
        let error = &body["error"];
        assert_eq!((status, &error["code"], &error["field"]), (422, &json!(code), &json!(field)), "{body}");
        assert!(error["message"].as_str().unwrap().contains(words), "{body}");
    }
}

#[tokio::test]
async fn a_feature_with_the_name_of_an_output_has_a_separate_signal() {
    let (service, ModelFile { card, .. }) = service();
    let names: Vec<&str> = card.reference.signals.iter().map(|signal| signal.name.as_str()).collect();
    assert_eq!(
        names,
        ["age", "feature_distance", "city", "new", "code", "plan", "prediction", "confidence", "distance"]
    );
    service.predict(&json!({ "features": [30, 5.5, "Rome", true, 0, "yearly"] }).to_string()).await;
    let page = service.get("/metrics").await.text().await.unwrap();
    let rows = |signal: &str| {
        let prefix = format!("signal=\"{signal}\"");
        let own = page.lines().filter(|line| line.starts_with("signal_bin_total{") && line.contains(&prefix));
        own.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    assert_eq!((rows("feature_distance"), rows("distance")), (1.0, 1.0));
}

#[tokio::test]
async fn rows_of_the_simulator_are_accepted_and_judged_steady() {
    let (service, ModelFile { card, .. }) = service();
    assert!(card.simulator.check.drifting.is_empty(), "{:?}", card.simulator.check);
    let source = driftsim::RowSource::new(&card, &driftsim::DriftSpec::steady(), 5).unwrap();
    for row in source.take(200) {
        let values: Vec<_> = card
            .features
            .iter()
            .zip(&row.values)
            .map(|(f, &value)| driftsim::output::json(f, value))
            .collect();
        let (status, body) = service.predict(&json!({ "features": values }).to_string()).await;
        assert_eq!(status, 200, "{values:?} {body}");
    }
    let cities: f64 = {
        let mut sum = 0.0;
        for bin in ["Oslo", "Rome", "other", "missing"] {
            sum += service.metric("signal_bin_total", &[("signal", "city"), ("bin", bin)]).await;
        }
        sum
    };
    assert_eq!(cities, 200.0);
}
