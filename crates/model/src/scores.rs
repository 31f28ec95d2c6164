//! How well a model does on rows that its weights have not seen, beside always answering the commonest class.

use crate::{Table, card::ClassScore, reference::Outputs};
use smartcore::metrics::roc_auc_score;

/// Recall is not judged for a class of fewer rows than this: with 20 rows, the 95 % interval of a recall of one half is ±0.22.
const FEW_ROWS: usize = 20;

/// The most classes that a warning names.
const MAX_NAMED: usize = 10;

/// Returns recall and precision of each class.
pub(crate) fn class_scores(table: &Table, outputs: &Outputs) -> Vec<ClassScore> {
    let classes = table.classes.len();
    let (mut actual, mut predicted, mut right) =
        (vec![0_u64; classes], vec![0_u64; classes], vec![0_u64; classes]);
    for (&label, &answer) in table.labels.iter().zip(&outputs.predictions) {
        actual[label] += 1;
        predicted[answer] += 1;
        right[label] += u64::from(label == answer);
    }
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    (0..classes)
        .map(|class| ClassScore {
            rows: actual[class],
            recall: share(right[class], actual[class]),
            precision: (predicted[class] > 0).then(|| share(right[class], predicted[class])),
        })
        .collect()
}

/// Returns the area under the receiver operating characteristic, if there are two classes.
pub(crate) fn auroc(table: &Table, outputs: &Outputs) -> Option<f64> {
    let labels: Vec<f64> = table.labels.iter().map(|&label| label as f64).collect();
    (table.classes.len() == 2).then(|| roc_auc_score(&labels, &outputs.last))
}

/// Returns what limits the use of a model, in sentences.
pub(crate) fn warnings(
    table: &Table,
    scores: &[ClassScore],
    accuracy: f64,
    baseline: f64,
    held_out: usize,
) -> Vec<String> {
    let mut warnings = Vec::new();
    // One standard error of the accuracy.
    let margin = (accuracy * (1.0 - accuracy) / table.len() as f64).sqrt();
    if accuracy <= baseline + margin {
        warnings.push(format!(
            "the model is no better than always answering the commonest class: accuracy {accuracy:.3}, {baseline:.3} without a model"
        ));
    }
    let few = table.classes.iter().zip(scores).filter(|(_, score)| (score.rows as usize) < FEW_ROWS);
    let few: Vec<(String, u64)> = few.map(|(class, score)| (format!("{class:?}"), score.rows)).collect();
    match few.as_slice() {
        [] => {}
        [(class, rows)] => warnings.push(format!(
            "class {class} has {rows} rows: at least {FEW_ROWS} are needed to judge how well it is recognised"
        )),
        many => {
            let named = |(class, rows): &(String, u64)| format!("{class} ({rows})");
            warnings.push(format!(
                "{} classes have too few rows, {}: at least {FEW_ROWS} are needed to judge how well a class is recognised",
                many.len(),
                listed(many.iter().map(named).collect())
            ));
        }
    }
    let missed = table
        .classes
        .iter()
        .zip(scores)
        .filter(|(_, score)| score.rows as usize >= FEW_ROWS && score.recall == 0.0);
    let missed: Vec<String> = missed.map(|(class, _)| format!("{class:?}")).collect();
    match missed.as_slice() {
        [] => {}
        [class] => {
            warnings.push(format!("class {class} is never recognised: none of its rows was predicted as it"))
        }
        many => warnings.push(format!(
            "{} classes are never recognised, {}: none of their rows was predicted as its class",
            many.len(),
            listed(many.to_vec())
        )),
    }
    if held_out == 0 {
        warnings.push("no rows were held out: the accuracy is that of cross-validation".into());
    }
    warnings
}

/// Returns the first names, separated by commas, and how many more there are.
fn listed(mut names: Vec<String>) -> String {
    let more = names.len().saturating_sub(MAX_NAMED);
    names.truncate(MAX_NAMED);
    let names = names.join(", ");
    if more > 0 { format!("{names} and {more} more") } else { names }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Column;

    fn table(labels: &[usize]) -> Table {
        let rows: Vec<Vec<Option<f64>>> = labels.iter().map(|_| vec![Some(1.0)]).collect();
        let classes = ["no", "yes"].map(str::to_owned).to_vec();
        Table::from_rows(vec![Column::named("a")], classes, &rows, labels.to_vec())
    }

    fn outputs(predictions: &[usize], last: &[f64]) -> Outputs {
        Outputs { predictions: predictions.to_vec(), confidences: vec![0.5; last.len()], last: last.to_vec() }
    }

    #[test]
    fn scores_are_those_of_scikit_learn() {
        // sklearn: recall_score and precision_score with average=None, roc_auc_score
        let table = table(&[0, 0, 0, 0, 1, 1, 1, 0]);
        let outputs = outputs(&[0, 1, 0, 0, 1, 0, 1, 0], &[0.1, 0.6, 0.3, 0.35, 0.8, 0.35, 0.7, 0.2]);
        let scores = class_scores(&table, &outputs);
        assert_eq!(scores[0], ClassScore { rows: 5, recall: 0.8, precision: Some(0.8) });
        assert_eq!(scores[1], ClassScore { rows: 3, recall: 2.0 / 3.0, precision: Some(2.0 / 3.0) });
        assert!((auroc(&table, &outputs).unwrap() - 13.5 / 15.0).abs() < 1e-12);
    }

    #[test]
    fn a_class_that_is_never_predicted_has_no_precision() {
        let scores = class_scores(&table(&[0, 1]), &outputs(&[0, 0], &[0.1, 0.2]));
        assert_eq!((scores[1].recall, scores[1].precision), (0.0, None));
    }

    #[test]
    fn warnings_name_what_limits_a_model() {
        let labels: Vec<usize> = (0..100).map(|row| usize::from(row < 2)).collect();
        let table = table(&labels);
        let scores = class_scores(&table, &outputs(&[0; 100], &[0.1; 100]));
        let warnings = warnings(&table, &scores, 0.98, 0.98, 0);
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(warnings[0].contains("no better than always answering the commonest class"));
        assert!(warnings[1].contains("class \"yes\" has 2 rows"));
        assert!(super::warnings(&table, &scores[..1], 0.99, 0.5, 20).is_empty());
    }

    #[test]
    fn a_class_of_19_rows_is_too_small_to_be_judged_and_one_of_20_is_not() {
        let of = |yes: usize, predicted: usize| {
            let labels: Vec<usize> = (0..100).map(|row| usize::from(row < yes)).collect();
            let table = table(&labels);
            let predictions: Vec<usize> = (0..100).map(|row| usize::from(row < predicted)).collect();
            let scores = class_scores(&table, &outputs(&predictions, &[0.1; 100]));
            super::warnings(&table, &scores, 0.99, 0.5, 20)
        };
        assert!(of(19, 0)[0].contains("class \"yes\" has 19 rows") && of(19, 0).len() == 1);
        assert_eq!(of(20, 0), ["class \"yes\" is never recognised: none of its rows was predicted as it"]);
        assert!(of(20, 1).is_empty());
    }

    #[test]
    fn classes_with_the_same_fault_share_a_warning() {
        let of = |classes: usize, rows: usize| {
            let labels: Vec<usize> = (0..classes * rows).map(|row| row % classes).collect();
            let mut table = table(&labels);
            table.classes = (0..classes).map(|class| format!("c{class}")).collect();
            // The class after the true one, so that no row is recognised.
            let predictions: Vec<usize> = labels.iter().map(|label| (label + 1) % classes).collect();
            let scores = class_scores(&table, &outputs(&predictions, &vec![0.1; labels.len()]));
            super::warnings(&table, &scores, 0.99, 0.5, 20)
        };
        assert_eq!(
            of(3, 5),
            ["3 classes have too few rows, \"c0\" (5), \"c1\" (5), \"c2\" (5): \
              at least 20 are needed to judge how well a class is recognised"]
        );
        assert_eq!(
            of(2, 20),
            ["2 classes are never recognised, \"c0\", \"c1\": none of their rows was predicted as its class"]
        );
        for warning in [of(100, 5), of(100, 20)] {
            let [warning] = &warning[..] else { panic!("{warning:?}") };
            assert!(warning.contains("\"c9\"") && !warning.contains("\"c10\""), "{warning}");
            assert!(warning.starts_with("100 classes") && warning.contains(" and 90 more: "), "{warning}");
        }
    }

    #[test]
    fn an_accuracy_within_a_standard_error_of_the_baseline_is_no_better() {
        // √(0.6·0.4/96) = 0.05
        let table = table(&(0..96).map(|row| row % 2).collect::<Vec<_>>());
        let warns = |baseline: f64| !super::warnings(&table, &[], 0.6, baseline, 20).is_empty();
        assert!(warns(0.551) && !warns(0.549));
        let warnings = super::warnings(&table, &[], 0.6, 0.2, 0);
        assert_eq!(warnings, ["no rows were held out: the accuracy is that of cross-validation"]);
        // Accuracy 1 has no standard error.
        assert!(!super::warnings(&table, &[], 1.0, 1.0, 1).is_empty());
    }

    #[test]
    fn ranking_is_measured_for_two_classes_only() {
        let mut three = table(&[0, 1, 0, 1]);
        three.classes.push("maybe".into());
        assert_eq!(auroc(&three, &outputs(&[0; 4], &[0.1; 4])), None);
    }
}
