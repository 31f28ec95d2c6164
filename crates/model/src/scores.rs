//! Scores of a model on rows that its weights were not fitted to, compared with always predicting the most frequent class.

use crate::{Table, card::ClassScore, reference::Outputs};
use smartcore::metrics::roc_auc_score;

/// The fewest rows of a class for which recall is judged. With 20 rows, the 95 % interval of a recall of one half is ±0.22.
const FEW_ROWS: usize = 20;

/// The greatest number of classes that a warning names.
const MAX_NAMED: usize = 10;

/// Returns recall and precision of each class.
pub(crate) fn class_scores(table: &Table, outputs: &Outputs) -> Vec<ClassScore> {
    let classes = table.classes.len();
    let (mut actual, mut predicted, mut right) =
        (vec![0_u64; classes], vec![0_u64; classes], vec![0_u64; classes]);
    for (&label, &prediction) in table.labels.iter().zip(&outputs.predictions) {
        actual[label] += 1;
        predicted[prediction] += 1;
        right[label] += u64::from(label == prediction);
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

/// Returns sentences about what limits the use of a model.
pub(crate) fn warnings(
    table: &Table,
    scores: &[ClassScore],
    accuracy: f64,
    baseline: f64,
    held_out: usize,
) -> Vec<String> {
    let mut warnings = Vec::new();
    // The margin is one standard error of the accuracy.
    let margin = (accuracy * (1.0 - accuracy) / table.len() as f64).sqrt();
    if accuracy <= baseline + margin {
        warnings.push(format!(
            "the model is not better than always predicting the most frequent class: its accuracy is {accuracy:.3}, and that of the most \
            frequent class {baseline:.3}"
        ));
    }
    let few = table.classes.iter().zip(scores).filter(|(_, score)| (score.rows as usize) < FEW_ROWS);
    let few: Vec<(String, u64)> = few.map(|(class, score)| (format!("{class:?}"), score.rows)).collect();
    match few.as_slice() {
        [] => {}
        [(class, rows)] => warnings.push(format!(
            "class {class} has {rows} rows, but at least {FEW_ROWS} are needed to judge its recall"
        )),
        many => {
            let named = |(class, rows): &(String, u64)| format!("{class} ({rows})");
            warnings.push(format!(
                "{} classes have too few rows to judge their recall ({}); at least {FEW_ROWS} are needed",
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
        [class] => warnings
            .push(format!("the recall of class {class} is 0: none of its rows was predicted as this class")),
        many => warnings.push(format!(
            "the recall of {} classes is 0 ({}): none of their rows was correctly classified",
            many.len(),
            listed(many.to_vec())
        )),
    }
    if held_out == 0 {
        warnings.push("no rows were held out, so the accuracy is that of cross-validation".into());
    }
    warnings
}

/// Returns the first names, separated by commas, and the number of further names.
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
    fn scores_agree_with_scikit_learn() {
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
    fn each_limitation_of_a_model_has_a_warning() {
        let labels: Vec<usize> = (0..100).map(|row| usize::from(row < 2)).collect();
        let table = table(&labels);
        let scores = class_scores(&table, &outputs(&[0; 100], &[0.1; 100]));
        let warnings = warnings(&table, &scores, 0.98, 0.98, 0);
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(warnings[0].contains("not better than always predicting the most frequent class"));
        assert!(warnings[1].contains("class \"yes\" has 2 rows"));
        assert!(super::warnings(&table, &scores[..1], 0.99, 0.5, 20).is_empty());
    }

    #[test]
    fn recall_is_judged_from_20_rows_on() {
        let of = |yes: usize, predicted: usize| {
            let labels: Vec<usize> = (0..100).map(|row| usize::from(row < yes)).collect();
            let table = table(&labels);
            let predictions: Vec<usize> = (0..100).map(|row| usize::from(row < predicted)).collect();
            let scores = class_scores(&table, &outputs(&predictions, &[0.1; 100]));
            super::warnings(&table, &scores, 0.99, 0.5, 20)
        };
        assert!(of(19, 0)[0].contains("class \"yes\" has 19 rows") && of(19, 0).len() == 1);
        assert_eq!(
            of(20, 0),
            ["the recall of class \"yes\" is 0: none of its rows was predicted as this class"]
        );
        assert!(of(20, 1).is_empty());
    }

    #[test]
    fn classes_with_the_same_fault_share_a_warning() {
        let of = |classes: usize, rows: usize| {
            let labels: Vec<usize> = (0..classes * rows).map(|row| row % classes).collect();
            let mut table = table(&labels);
            table.classes = (0..classes).map(|class| format!("c{class}")).collect();
            // Every prediction is the class after the true one, so that no row is correctly classified.
            let predictions: Vec<usize> = labels.iter().map(|label| (label + 1) % classes).collect();
            let scores = class_scores(&table, &outputs(&predictions, &vec![0.1; labels.len()]));
            super::warnings(&table, &scores, 0.99, 0.5, 20)
        };
        assert_eq!(
            of(3, 5),
            ["3 classes have too few rows to judge their recall (\"c0\" (5), \"c1\" (5), \"c2\" (5)); \
            at least 20 are needed"]
        );
        assert_eq!(
            of(2, 20),
            ["the recall of 2 classes is 0 (\"c0\", \"c1\"): none of their rows was correctly classified"]
        );
        for warning in [of(100, 5), of(100, 20)] {
            let [warning] = &warning[..] else { panic!("{warning:?}") };
            assert!(warning.contains("\"c9\"") && !warning.contains("\"c10\""), "{warning}");
            assert!(warning.contains("100 classes") && warning.contains(" and 90 more)"), "{warning}");
        }
    }

    #[test]
    fn an_accuracy_within_a_standard_error_of_the_baseline_has_a_warning() {
        // The standard error is √(0.6·0.4/96) = 0.05.
        let table = table(&(0..96).map(|row| row % 2).collect::<Vec<_>>());
        let warns = |baseline: f64| !super::warnings(&table, &[], 0.6, baseline, 20).is_empty();
        assert!(warns(0.551) && !warns(0.549));
        let warnings = super::warnings(&table, &[], 0.6, 0.2, 0);
        assert_eq!(warnings, ["no rows were held out, so the accuracy is that of cross-validation"]);
        // Accuracy 1 has no standard error.
        assert!(!super::warnings(&table, &[], 1.0, 1.0, 1).is_empty());
    }

    #[test]
    fn the_area_under_the_curve_exists_only_for_two_classes() {
        let mut three = table(&[0, 1, 0, 1]);
        three.classes.push("maybe".into());
        assert_eq!(auroc(&three, &outputs(&[0; 4], &[0.1; 4])), None);
    }
}
