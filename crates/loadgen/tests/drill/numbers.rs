//! Tests of the built-in scenarios, and of true numbers as feedback, with profiles of regression models and of models without
//! confidence.

use crate::{
    assert_came_to, flats, run,
    service::Service,
    tables::{played, shortened},
};
use inference::{LoadedModel, Settings};
use std::process::Command;

fn serving(model: LoadedModel) -> Service {
    Service::serving(Settings { allow_fault_injection: true, ..Settings::default() }, model)
}

#[test]
fn normal_and_drift_pass_with_regression_models_and_models_without_confidence() {
    let models = [(flats::regression(), true), (flats::without_confidence(), false)];
    let threads = models.map(|((file, model), predicts_number)| {
        std::thread::spawn(move || {
            let drifting = &file.card.simulator.check.drifting;
            assert!(drifting.is_empty(), "simulated rows drift in {drifting:?}");
            let service = serving(model);
            played(&shortened("normal"), &service, &[]);
            let (words, report) = played(&shortened("drift"), &service, &[]);
            let expectations = report["expectations"].as_array().unwrap();
            let shares = expectations
                .iter()
                .find(|outcome| outcome["expected"].as_str().unwrap().starts_with("class_share"))
                .unwrap();
            let verdict = if predicts_number { "not_checked" } else { "passed" };
            assert_eq!(shares["verdict"], verdict, "{words}");
            let reason = "the model predicts a number, so there are no shares of classes";
            assert_eq!(shares["detail"] == reason, predicts_number, "{words}");
        })
    });
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn true_numbers_of_a_table_are_sent_as_feedback() {
    let (_, model) = flats::regression();
    let reference_error = model.card.reference.errors.as_ref().unwrap().mean_absolute;
    assert!((reference_error / flats::ERROR - 1.0).abs() < 0.1, "{reference_error}");
    let service = serving(model);
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("fresh.csv");
    std::fs::write(&rows, flats::table(2, 1000)).unwrap();
    let scenario = folder.path().join("scenario.yaml");
    std::fs::write(
        &scenario,
        "
name: true_numbers
payloads:
  real: { source: { model: {} }, feedback: { after: 50ms } }
phases:
  - { name: calm, executor: constant-arrival-rate, rate: 100, duration: 4s }
expect:
  vitals: [ { vital: client_error_ratio, phase: calm, stays_below: 0.01 } ]
",
    )
    .unwrap();
    let scenario = scenario.to_str().unwrap();
    let (code, words, report) = run(scenario, &service, None, &["--table", rows.to_str().unwrap()]);
    assert_came_to(0, code, &words);
    assert_eq!((&report["feedback"]["due"], &report["feedback"]["accepted"]), (&400.into(), &400.into()));
    assert_eq!(service.counted("feedback_absolute_error_count"), 400.0, "{words}");
    let mean = service.counted("feedback_absolute_error_sum") / 400.0;
    // The errors are uniform from 0 to 20, so four standard deviations of their mean, 4 · 20 / √12 / √400, are 1.2. Rows without a
    // floor add a little.
    assert!((mean - flats::ERROR).abs() < 1.4, "{mean}");

    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["run", "--target", &format!("http://{}", service.address), "--scenario", scenario])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(104), "{words}");
    let expected = "payloads.real.feedback: model flats predicts a number, and the true numbers of simulated rows are not \
                    known; take rows from a table with the true numbers (source: { table: FILE.csv }, or loadgen run --table \
                    FILE.csv for all payloads)";
    assert!(words.contains(expected), "{words}");
}
