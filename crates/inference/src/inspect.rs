//! `inference inspect`: prints a model card.

use crate::{
    metrics::{self, Metrics},
    route::Route,
    train,
};
use anyhow::Result;
use cli_io::{printable::printable_lines, stdout::print};
use drift::FalseAlarmBudget;
use model::{Calibration, ModelFile, ServerModel, ServerProbabilities, Values};

/// Prints the model card.
///
/// # Errors
/// Returns an error if standard output cannot be written to.
pub fn run(file: &ModelFile) -> Result<()> {
    print(printable_lines(&describe(file)))
}

/// Returns a summary of a profile: the scores and the calibration of its model.
pub fn summary(file: &ModelFile) -> String {
    let (card, report) = (&file.card, &file.card.training);
    let reference = &card.reference;
    let mut text = train::columns(file);
    text += &format!("  {} reference rows", reference.rows);
    if let (Some(accuracy), Some(baseline)) = (reference.accuracy, report.baseline_accuracy) {
        text +=
            &format!(": accuracy {accuracy:.3}, {baseline:.3} by always predicting the most frequent class");
    }
    text += &report.auroc.map_or(String::new(), |auroc| format!(", AUROC {auroc:.3}"));
    if let Some(errors) = &reference.errors {
        text += &format!(
            ": mean absolute error {:.4}, root mean square error {:.4}, bias {:.4}",
            errors.mean_absolute, errors.root_mean_square, errors.bias
        );
        text += &errors.r_squared.map_or(String::new(), |r_squared| format!(", R² {r_squared:.3}"));
    }
    text += "\n";
    if let Some(confidence) = reference.confidence {
        text += &format!("  mean confidence {confidence:.3}");
        if let Some(calibration) = &report.calibration {
            let Calibration { temperature, log_loss, log_loss_before } = calibration;
            text += &format!(
                ", log loss {log_loss_before:.3}; calibrated with temperature {temperature:.2} it would be {log_loss:.3}"
            );
        }
        text += "\n";
    }
    text += &train::scores(report, &card.classes);
    text += &train::simulator(file);
    text
}

/// Returns lines about the requests and answers of a model server.
pub(crate) fn server(server: &ServerModel, classes: &[String]) -> String {
    let tensor = server.tensor.as_ref().map_or(String::new(), |name| format!(" in tensor {name:?}"));
    let protocol = server.protocol.map_or(String::new(), |own| format!(" of protocol {}", own.name()));
    let mut text =
        format!("  requests{protocol} have {} columns{tensor}, in this order:\n", server.inputs.len());
    for (at, input) in server.inputs.iter().enumerate() {
        let feature = if input.name == input.feature {
            String::new()
        } else {
            format!(" is feature {:?}", input.feature)
        };
        text += &format!("    {:<4}{:?}{feature}\n", at + 1, input.name);
    }
    text += &server.form.as_ref().map_or(String::new(), |form| format!("  rows are sent as {form}\n"));
    let prediction =
        server.output.as_ref().map_or("found by its name".to_owned(), |name| format!("{name:?}"));
    let probabilities = match server.probabilities {
        ServerProbabilities::None => "no probabilities",
        ServerProbabilities::PerClass => "one probability per class",
        ServerProbabilities::SecondClass => "the probability of the second class",
        ServerProbabilities::PredictedClass => "the probability of the predicted class",
    };
    let place = server.probabilities_output.as_ref().map_or(String::new(), |name| format!(" in {name:?}"));
    let logits = if server.logits { ", as logits" } else { "" };
    // A server that returns only probabilities predicts the most probable class.
    let has_label = server.output.is_some() || server.probabilities_output.is_none();
    let prediction = if has_label {
        format!("the prediction is {prediction}")
    } else {
        "there is no prediction".to_owned()
    };
    text += &format!("  of answers, {prediction}, with {probabilities}{place}{logits}\n");
    if server.labels != classes {
        let pairs: Vec<String> =
            server.labels.iter().zip(classes).map(|(label, class)| format!("{label} is {class}")).collect();
        text += &format!("  labels of the server: {}\n", pairs.join(", "));
    }
    text
}

/// Returns the text that `inspect` prints.
pub fn describe(file: &ModelFile) -> String {
    let (card, report) = (&file.card, &file.card.training);
    let mut text = format!("{} {}\n", card.name, card.version);
    if card.predicts_number() {
        text += "predicts a number\n";
    } else {
        text += &format!("classes   {}\n", card.classes.join(", "));
    }
    if file.weights.is_some() {
        let alpha = report.alpha.map_or(String::new(), |alpha| format!("alpha {alpha}, "));
        text += &format!("{alpha}seed {}\n", report.seed);
        text += &train::report(report, &card.classes);
        text += &train::simulator(file);
    } else {
        let made_with =
            file.external.as_ref().map(|external| format!(", made with the ONNX model {}", external.sha256));
        text += &format!("profile{}\n", made_with.unwrap_or_default());
        text += &summary(file);
        text += &file.server.as_ref().map_or(String::new(), |own| server(own, &file.card.classes));
    }
    for warning in &report.warnings {
        text += &format!("warning: {warning}\n");
    }

    text += "\nfeatures\n";
    for feature in &card.features {
        let values = match &feature.values {
            Values::Numeric(numeric) => {
                let unit = feature.unit.as_ref().map_or(String::new(), |unit| format!(" {unit}"));
                numeric.range.map_or("never filled".into(), |[low, high]| format!("{low} to {high}{unit}"))
            }
            Values::Categorical(categorical) => {
                let weighted = match categorical.weighted.len() {
                    0 => String::new(),
                    weighted => format!(" with bins and {weighted} more with weights"),
                };
                format!("{} categories{weighted}", categorical.categories.len())
            }
        };
        let missing = if feature.missing_ratio > 0.0 {
            format!(", {:.1} % missing", 100.0 * feature.missing_ratio)
        } else {
            String::new()
        };
        let importance = 100.0 * feature.importance;
        text += &format!("  {:<24} {values}{missing}, {importance:.1} % of the importance\n", feature.name);
    }

    text += &format!("\nsignals, against {} reference rows\n", card.reference.rows);
    let signals = &card.reference.signals;
    let budget = FalseAlarmBudget::default();
    for signal in signals {
        let critical = signal.critical_chi2(budget.alpha(signals.len()));
        // For unlimited traffic, where only the noise of the reference remains.
        let noise = 1.0 / signal.rows as f64;
        let floor = (critical * noise).max(drift::PRACTICAL_PSI);
        // This is a value of the true PSI. Chance adds to the measured PSI, so with many bins the detectable PSI may be below the
        // limit, which would look like a contradiction. Therefore it is shown as at least the limit.
        let detectable = drift::detectable_psi(floor, noise, signal.degrees_of_freedom()).max(floor);
        text += &format!(
            "  {} (with much traffic, it drifts above PSI {floor:.3}; a PSI of {detectable:.3} is detected nine times in ten)\n",
            signal.name
        );
        for (label, expected) in signal.bins.labels().iter().zip(&signal.expected) {
            text += &format!("    {label:<24} {:6.2} %\n", 100.0 * expected);
        }
    }
    let metrics = Metrics::new();
    metrics.of_model(card, &budget);
    let of_model = metrics::series_count(&metrics.render());
    // Only the watcher has these two.
    let routes = Route::ALL.iter().filter(|route| !matches!(route, Route::Observe | Route::CloudEvents));
    routes.for_each(|&route| drop(metrics.of_route(route)));
    let of_routes = metrics::series_count(&metrics.render()) - of_model;
    text += &format!("\n{of_model} metric series, and {of_routes} of the routes of `serve`\n");
    text
}
