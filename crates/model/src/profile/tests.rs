//! Compares the parts of a profile with numbers that were computed by hand, with numpy or with scipy.

use super::*;
use crate::{CsvOptions, EngineError, read_reference, table::Categories};
use std::sync::Mutex;

/// Returns a table with these columns of numbers, named `a`, `b`, and so on.
fn numbers(columns: &[Vec<f64>]) -> ReferenceTable {
    let width = columns.len();
    let lines = (0..columns[0].len()).map(|row| columns.iter().map(move |column| column[row]));
    let named = |at: usize| Column::named(&char::from(b'a' + at as u8).to_string());
    let mut table = empty();
    table.columns = (0..width).map(named).collect();
    table.values = vec![Vec::new(); width];
    lines.for_each(|line| line.zip(&mut table.values).for_each(|(value, column)| column.push(value)));
    table
}

fn empty() -> ReferenceTable {
    let mut options = CsvOptions::new("");
    options.target = None;
    let text: String = (0..60).map(|row| format!("{row},{}\n", row % 7)).collect();
    let mut table = read_reference(format!("a,b\n{text}").as_bytes(), "t", &options).unwrap();
    table.notes.clear();
    table
}

fn categorical(name: &str, known: &[&str]) -> Column {
    let known = known.iter().map(|&text| text.to_owned()).collect();
    Column { categories: Some(Categories { known, ..Categories::default() }), ..Column::named(name) }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn class(class: usize, probabilities: &[f64]) -> Output {
    Output::Class { class, probabilities: Some(probabilities.iter().copied().collect()) }
}

fn close(got: f64, expected: f64) -> bool {
    (got - expected).abs() < 1e-12
}

/// Returns the input of a profile: 60 rows of two numbers, with a model of two classes that returns no probabilities.
fn input() -> ProfileInput {
    let bare = |row: usize| Output::Class { class: row % 2, probabilities: None };
    ProfileInput {
        name: "m".into(),
        table: empty(),
        classes: names(&["no", "yes"]),
        outputs: (0..60).map(bare).collect(),
        truth: Truth::Classes((0..60).map(|row| row % 2).collect()),
        engine: None,
        accepts_missing: Vec::new(),
        external: None,
        server: None,
        seed: 1,
    }
}

#[test]
fn a_table_without_a_model_has_the_signals_of_a_profiles_features() {
    // Each of the 60 codes has ten rows on average, and those that have a few more have a bin.
    let rows: String = (0..600_u64)
        .map(|row| {
            let number = if row % 9 == 0 { String::new() } else { (row * 37 % 100).to_string() };
            format!("{number},k{}\n", ((row * 2_654_435_761) >> 7) % 60)
        })
        .collect();
    let options = CsvOptions { target: None, ..CsvOptions::new("") };
    let table = read_reference(format!("distance,code\n{rows}").as_bytes(), "t", &options).unwrap();
    let signals = reference_signals(&table, 1);
    let own: Vec<u64> = table.columns[1]
        .categories
        .iter()
        .flat_map(|own| 0..own.known.len())
        .map(|code| table.values[1].iter().filter(|value| **value == code as f64).count() as u64)
        .collect();
    assert!(own.iter().zip(&signals[1].counts).any(|(own, corrected)| own > corrected), "{own:?}");
    let outputs = (0..600).map(|row| Output::Class { class: row % 2, probabilities: None }).collect();
    let truth = Truth::Classes((0..600).map(|row| row % 2).collect());
    let file = profile(ProfileInput { table, outputs, truth, ..input() }, |_| ()).unwrap();
    let of_profile = &file.card.reference.signals[..2];
    assert_eq!([&signals[0].name, &of_profile[0].name], ["distance", "feature_distance"]);
    for (own, of_profile) in signals.iter().zip(of_profile) {
        assert_eq!(
            (&own.bins, &own.counts, &own.expected),
            (&of_profile.bins, &of_profile.counts, &of_profile.expected)
        );
    }
}

mod input_checks {
    use super::*;

    /// Returns the reason why `input` is refused after a change, or an empty text if it is accepted.
    fn problem(change: impl FnOnce(&mut ProfileInput)) -> String {
        let mut input = input();
        change(&mut input);
        let ProfileInput { table, classes, outputs, truth, .. } = &input;
        check(table, classes, outputs, truth).err().map_or_else(String::new, |error| error.to_string())
    }

    fn regression(input: &mut ProfileInput) {
        input.classes.clear();
        input.outputs = (0..60).map(|row| Output::Number(f64::from(row))).collect();
        input.truth = Truth::Numbers((0..60).map(f64::from).collect());
    }

    #[test]
    fn outputs_that_fit_the_table_are_accepted() {
        assert_eq!(problem(|_| ()), "");
        assert_eq!(problem(|input| input.truth = Truth::Unknown), "");
        assert_eq!(problem(|input| input.outputs[3] = class(1, &[0.2, 0.8])), "");
        assert_eq!(problem(regression), "");
    }

    #[test]
    fn a_table_of_fewer_than_60_rows_is_refused() {
        let refused = problem(|input| {
            input.table = numbers(&[(0..59).map(f64::from).collect()]);
            input.outputs.truncate(59);
            input.truth = Truth::Unknown;
        });
        assert_eq!(refused, "the table has 59 rows, but a reference needs at least 60; add rows");
    }

    #[test]
    fn a_number_of_outputs_or_true_values_other_than_that_of_rows_is_refused() {
        assert_eq!(problem(|input| input.outputs.truncate(59)), "expected 60 outputs, one per row, got 59");
        let known = "expected 60 true values, one per row, got 59";
        assert_eq!(problem(|input| input.truth = Truth::Classes(vec![0; 59])), known);
        let of_numbers = |input: &mut ProfileInput| {
            regression(input);
            input.truth = Truth::Numbers(vec![0.0; 59]);
        };
        assert_eq!(problem(of_numbers), known);
    }

    #[test]
    fn outputs_that_do_not_fit_the_classes_are_refused() {
        let unfit = |output: Output| problem(|input| input.outputs[7] = output);
        for output in
            [class(2, &[0.5, 0.5]), class(1, &[0.2, 0.3, 0.5]), class(0, &[1.0]), Output::Number(1.0)]
        {
            assert!(unfit(output.clone()).starts_with("the output for row 7 does not fit"), "{output:?}");
        }
        let infinite = |input: &mut ProfileInput| {
            regression(input);
            input.outputs[0] = Output::Number(f64::INFINITY);
        };
        assert!(problem(infinite).starts_with("the output for row 0 does not fit"));
        let labels = problem(|input| input.classes[1] = "a\\b".into());
        assert_eq!(labels, "class \"a\\\\b\" has a control character or a backslash in its name; rename it");
    }

    #[test]
    fn true_values_of_another_kind_than_the_outputs_are_refused() {
        let none = "a true class is not a class of the model";
        let beyond = |input: &mut ProfileInput| {
            let Truth::Classes(labels) = &mut input.truth else { panic!() };
            labels[59] = 2;
        };
        assert_eq!(problem(beyond), none);
        let of_classes = |input: &mut ProfileInput| {
            regression(input);
            input.truth = Truth::Classes(vec![0; 60]);
        };
        assert_eq!(problem(of_classes), none);
        let numbers = |input: &mut ProfileInput| input.truth = Truth::Numbers(vec![1.0; 60]);
        assert_eq!(
            problem(numbers),
            "expected true classes, because the model predicts classes, got numbers"
        );
        let infinite = |input: &mut ProfileInput| {
            regression(input);
            input.truth = Truth::Numbers([vec![f64::NAN], vec![0.0; 59]].concat());
        };
        assert_eq!(problem(infinite), "a true number is not finite");
    }
}

mod groups {
    use super::*;

    fn sizes(groups: &[usize]) -> Vec<usize> {
        let mut sizes = vec![0; groups.iter().max().unwrap() + 1];
        groups.iter().for_each(|&group| sizes[group] += 1);
        sizes
    }

    #[test]
    fn groups_have_at_least_twenty_rows_per_encoded_column() {
        let of = |rows: usize, table: &ReferenceTable| {
            sizes(&similar(&(0..rows).map(|row| (row * 37 % rows) as f64).collect::<Vec<_>>(), table))
        };
        let one = numbers(&[vec![0.0]]);
        assert_eq!(of(39, &one), [39]);
        assert_eq!(of(41, &one), [20, 21]);
        assert_eq!(of(79, &one), [26, 26, 27]);
        assert_eq!(of(1001, &one), [200, 200, 200, 200, 201]);
        // A number has one column, and three categories have five, with those of `other` and `missing`.
        let mut six = numbers(&[vec![0.0], vec![0.0]]);
        six.columns[1] = categorical("b", &["x", "y", "z"]);
        assert_eq!(of(239, &six), [239]);
        assert_eq!(of(241, &six), [120, 121]);
    }

    #[test]
    fn equal_numbers_are_in_one_group_and_groups_are_in_ascending_order() {
        let one = numbers(&[vec![0.0]]);
        // The sorted numbers are 70 times 1, 20 times 2 and 10 times 3. Of the quintiles 1, 1, 1 and 2, only the last one begins a group.
        let values: Vec<f64> =
            (0..100).map(|row| [3.0, 1.0, 2.0][usize::from(row >= 10) + usize::from(row >= 80)]).collect();
        let groups = similar(&values, &one);
        assert_eq!((groups[0], groups[10], groups[99]), (1, 0, 1));
        assert_eq!(sizes(&groups), [70, 30]);
        // The quintiles begin at 1, 2, 3 and 3; the last two are one group, with the rows of 4.
        let values: Vec<f64> = (0..100).map(|row| f64::from(1 + row / 30)).collect();
        assert_eq!(sizes(&similar(&values, &one)), [30, 30, 40]);
    }

    #[test]
    fn groups_are_true_classes_or_predicted_ones_if_those_are_unknown() {
        let table = numbers(&[(0..80).map(f64::from).collect()]);
        let classes = names(&["no", "yes", "never"]);
        let predicted: Vec<f64> = (0..80).map(|row| f64::from(row % 2)).collect();
        let truth: Vec<usize> = (0..80).map(|row| usize::from(row < 30)).collect();
        let known = grouped(&table, &classes, &predicted, &Truth::Classes(truth.clone()));
        assert_eq!((&known.labels, &known.classes), (&truth, &classes));
        assert_eq!(
            (&known.values, &known.columns, &known.notation),
            (&table.values, &table.columns, &table.notation)
        );
        let unknown = grouped(&table, &classes, &predicted, &Truth::Unknown);
        assert_eq!(unknown.class_counts(), [40, 40, 0]);
        assert_eq!(unknown.labels[..3], [0, 1, 0]);
    }

    #[test]
    fn groups_of_a_regression_are_of_true_numbers_if_they_are_known() {
        let table = numbers(&[(0..80).map(f64::from).collect()]);
        let rising: Vec<f64> = (0..80).map(f64::from).collect();
        let falling: Vec<f64> = rising.iter().map(|number| -number).collect();
        let by_truth = grouped(&table, &[], &rising, &Truth::Numbers(falling));
        assert_eq!(by_truth.classes, ["0", "1", "2", "3"]);
        assert_eq!((by_truth.labels[0], by_truth.labels[79]), (3, 0));
        let by_prediction = grouped(&table, &[], &rising, &Truth::Unknown);
        assert_eq!((by_prediction.labels[0], by_prediction.labels[79]), (0, 3));
    }

    #[test]
    fn a_group_without_rows_has_an_entry_in_the_shape() {
        let centre = |rows: u64, mean: f64| ClassCentre { rows, means: vec![mean, mean] };
        let square = |value: f64| vec![vec![value; 2]; 2];
        let spread = Spread::PerClass { covariances: vec![square(1.0), square(2.0)] };
        let shape = Shape { classes: vec![centre(3, 5.0), centre(4, 6.0)], spread };
        let filled = with_empty_groups(shape.clone(), &[3, 0, 4]);
        assert_eq!(filled.classes, [centre(3, 5.0), centre(0, 0.0), centre(4, 6.0)]);
        let Spread::PerClass { covariances } = filled.spread else { panic!() };
        assert_eq!(covariances, [square(1.0), square(0.0), square(2.0)]);
        let shared = Spread::Shared { factors: vec![vec![1.0, 2.0]], residual: vec![3.0, 4.0] };
        let filled = with_empty_groups(Shape { spread: shared.clone(), ..shape }, &[0, 3, 4]);
        assert_eq!((filled.classes[0].rows, filled.classes[1].rows), (0, 3));
        assert_eq!(filled.spread, shared);
    }
}

mod scores {
    use super::*;

    #[test]
    fn errors_agree_with_numpy() {
        // e = predicted - truth; abs(e).mean(), abs(e).std(ddof=1), sqrt((e**2).mean()), e.mean(),
        // 1 - (e**2).sum()/((truth - truth.mean())**2).sum()
        let found = errors(&[1.0, 2.5, -3.0, 4.0, 0.5], &[1.5, 2.0, -1.0, 4.0, 3.0]);
        assert!(close(found.mean_absolute, 1.1), "{found:?}");
        assert!(close(found.absolute_sd, 1.08397416943394), "{found:?}");
        assert!(close(found.root_mean_square, 1.466287829861518), "{found:?}");
        assert!(close(found.bias, -0.9), "{found:?}");
        assert!(close(found.r_squared.unwrap(), 0.24295774647887325), "{found:?}");
        assert_eq!(errors(&[1.0, 2.0], &[3.0, 3.0]).r_squared, None);
        assert_eq!(errors(&[1.0], &[3.0]).absolute_sd, 0.0);
    }

    /// Returns four rows of class 0 and six of class 1. Two of the first and one of the second are misclassified.
    fn ten() -> (Table, Vec<Output>, Truth) {
        let first = [0.9, 0.8, 0.4, 0.3, 0.6, 0.2, 0.2, 0.2, 0.1, 0.1];
        let outputs = first.map(|p: f64| class(usize::from(p < 0.5), &[p, 1.0 - p])).to_vec();
        let labels = vec![0, 0, 0, 0, 1, 1, 1, 1, 1, 1];
        let truth = Truth::Classes(labels);
        let table = grouped(&numbers(&[vec![0.0; 10]]), &names(&["no", "yes"]), &[], &truth);
        (table, outputs, truth)
    }

    #[test]
    fn the_report_has_the_scores_of_each_class() {
        let (table, outputs, truth) = ten();
        let confidences: Vec<f64> = outputs.iter().filter_map(Output::confidence).collect();
        let found = report(&table, &outputs, &truth, Some(&confidences), 7);
        assert_eq!((found.train_rows, found.test_rows, found.seed), (0, 10, 7));
        assert_eq!((found.held_out_accuracy, found.baseline_accuracy), (Some(0.7), Some(0.6)));
        assert_eq!(found.class_scores[0].recall, 0.5);
        assert_eq!((found.class_scores[1].rows, found.class_scores[1].recall), (6, 5.0 / 6.0));
        // There are 24 pairs of a row of class 0 and a row of class 1. In two of them, the row of class 1 has the lower probability of
        // class 1: 0.4, compared with 0.6 and 0.7.
        assert!(close(found.auroc.unwrap(), 22.0 / 24.0), "{found:?}");
        // Mean of −ln p over p = 0.9, 0.8, 0.4, 0.3, 0.4, 0.8, 0.8, 0.8, 0.9, 0.9, whose product is 0.8⁴·0.9³·0.4²·0.3.
        let product: f64 = 0.4096 * 0.729 * 0.16 * 0.3;
        assert!(close(found.calibration.unwrap().log_loss_before, -product.ln() / 10.0));
        // Both classes have fewer than 20 rows; the accuracy is within one standard error, √(0.7·0.3/10) = 0.145, of 0.6.
        assert_eq!(found.warnings.len(), 2, "{:?}", found.warnings);
    }

    #[test]
    fn without_probabilities_there_is_no_area_under_the_curve() {
        let (table, outputs, truth) = ten();
        let bare: Vec<Output> = outputs
            .iter()
            .map(|output| Output::Class { class: output.value() as usize, probabilities: None })
            .collect();
        let found = report(&table, &bare, &truth, None, 7);
        assert_eq!((found.held_out_accuracy, found.auroc, found.calibration), (Some(0.7), None, None));
    }

    #[test]
    fn with_a_class_without_rows_there_is_no_area_under_the_curve() {
        let (mut table, outputs, _) = ten();
        table.labels = vec![1; 10];
        let found = report(&table, &outputs, &Truth::Classes(vec![1; 10]), Some(&[0.9; 10]), 7);
        assert_eq!((found.auroc, found.baseline_accuracy), (None, Some(1.0)));
    }

    #[test]
    fn without_true_classes_the_report_has_no_scores() {
        let (table, outputs, _) = ten();
        for truth in [Truth::Unknown, Truth::Numbers(vec![1.0; 10])] {
            let found = report(&table, &outputs, &truth, None, 7);
            assert_eq!((found.held_out_accuracy, found.baseline_accuracy), (None, None));
            assert!(found.class_scores.is_empty() && found.warnings.is_empty());
        }
    }

    #[test]
    fn the_loss_of_a_probability_of_zero_is_finite() {
        let (table, mut outputs, truth) = ten();
        outputs[0] = class(1, &[0.0, 1.0]);
        let found = report(&table, &outputs, &truth, Some(&[0.9; 10]), 7);
        assert!(found.calibration.unwrap().log_loss_before.is_finite());
    }
}

mod importance {
    use super::*;

    /// Returns the importance of a feature with one category per line of `joint`, whose cells are the numbers of rows per category and
    /// class.
    fn of_counts(joint: &[&[usize]]) -> f64 {
        let (mut values, mut predicted) = (Vec::new(), Vec::new());
        for (category, line) in joint.iter().enumerate() {
            for (class, &rows) in line.iter().enumerate() {
                values.extend(vec![category as f64; rows]);
                predicted.extend(vec![class; rows]);
            }
        }
        let categories: Vec<String> = (0..joint.len()).map(|at| format!("c{at}")).collect();
        let present: Vec<Option<f64>> = values.iter().copied().map(Some).collect();
        let signals = [
            SignalReference::of_categories("a", &present, &categories),
            SignalReference::of_classes("prediction", &predicted, &names(&["no", "yes", "maybe"])),
        ];
        let predicted_values: Vec<f64> = predicted.iter().map(|&class| class as f64).collect();
        let mut reference = numbers(&[values]);
        reference.columns = vec![categorical("a", &[])];
        let table =
            grouped(&reference, &names(&["all"]), &vec![0.0; predicted_values.len()], &Truth::Unknown);
        let found = importances_of_outputs(&signals, &table, &predicted_values);
        assert_eq!(found.len(), 1);
        found[0]
    }

    #[test]
    fn without_an_engine_importance_is_the_corrected_mutual_information() {
        // scipy: p = t/t.sum(); entropy(p.sum(1)) + entropy(p.sum(0)) - entropy(p.ravel()), which is 0.17307045782221664, less
        // (3 − 1)·(2 − 1)/(2·100) = 0.01. Categories, `other` and `missing` without rows are not counted.
        assert!(close(of_counts(&[&[30, 10], &[5, 35], &[8, 12]]), 0.16307045782221663));
        assert!(close(of_counts(&[&[30, 10], &[5, 35], &[0, 0], &[8, 12]]), 0.16307045782221663));
        // 0.558157990914196 − (3 − 1)·(3 − 1)/(2·100)
        assert!(close(of_counts(&[&[20, 5, 0], &[4, 30, 6], &[0, 3, 32]]), 0.538157990914196));
    }

    #[test]
    fn importance_is_zero_if_the_information_is_within_chance() {
        // The information is 0.00057 nats, and 1/120 is expected by chance.
        assert_eq!(of_counts(&[&[18, 12], &[17, 13]]), 0.0);
        assert_eq!(of_counts(&[&[40, 60]]), 0.0);
    }

    /// The rows and the texts of other categories in one batch.
    type Scored = (Vec<Vec<Option<f64>>>, Vec<OtherCategory>);

    /// A model that returns the weighted sum of the features, with 100 for a missing value, and records its inputs.
    #[derive(Debug)]
    struct Sum {
        weights: Vec<f64>,
        seen: Mutex<Vec<Scored>>,
    }

    impl Sum {
        fn new(weights: &[f64]) -> Self {
            Self { weights: weights.to_vec(), seen: Mutex::default() }
        }

        fn of<'a>(&self, row: impl IntoIterator<Item = &'a Option<f64>>) -> f64 {
            row.into_iter().zip(&self.weights).map(|(value, weight)| value.unwrap_or(100.0) * weight).sum()
        }
    }

    impl Engine for Sum {
        fn score(&self, batch: Batch) -> Result<Vec<Output>, EngineError> {
            let rows: Vec<Vec<Option<f64>>> = batch.rows.iter().map(|row| row.to_vec()).collect();
            let outputs = rows.iter().map(|row| Output::Number(self.of(row))).collect();
            self.seen.lock().unwrap().push((rows, batch.others.to_vec()));
            Ok(outputs)
        }
    }

    /// Returns the importances of a model that returns the weighted sum of the features, and the model with the recorded inputs.
    fn of_sum(table: &ReferenceTable, weights: &[f64]) -> (Vec<f64>, Sum) {
        let engine = Sum::new(weights);
        let rows = table.values[0].len();
        let row = |at: usize| table.values.iter().map(move |column| present(column[at])).collect::<Vec<_>>();
        let outputs: Vec<Output> = (0..rows).map(|at| Output::Number(engine.of(&row(at)))).collect();
        let found = importances_of_engine(table, &outputs, &engine, &mut ChaCha8Rng::seed_from_u64(3));
        (found, engine)
    }

    #[test]
    fn importance_is_the_change_of_the_outputs_by_a_random_permutation() {
        let shuffled: Vec<f64> = (0..1000).map(|row| (row * 7919 % 1000) as f64).collect();
        let table =
            numbers(&[shuffled.clone(), shuffled, vec![4.0; 1000], (0..1000).map(f64::from).collect()]);
        let (found, _) = of_sum(&table, &[3.0, 0.5, 5.0, 0.0]);
        // Σ |i − π(i)| over the permutations of n numbers has the mean (n² − 1)/3 and the variance (n + 1)·(2n² + 7)/45
        // (P. Diaconis, R. L. Graham, "Spearman's footrule as a measure of disarray", 1977): 333,333 ± 6,670.
        for (importance, weight) in [(found[0], 3.0), (found[1], 0.5)] {
            assert!((importance / weight - 333_333.0).abs() < 4.0 * 6670.0, "{found:?}");
        }
        assert_eq!(found[2..], [0.0, 0.0]);
    }

    #[test]
    fn values_of_one_feature_at_a_time_are_exchanged() {
        let mut table = numbers(&[
            (0..2500).map(f64::from).collect(),
            (0..2500).map(|row| f64::from(row * row)).collect(),
        ]);
        table.values[1][6] = f64::NAN;
        let (found, engine) = of_sum(&table, &[1.0, 2.0]);
        // 2,500 rows are more than the limit, so every third row is used.
        let measured: Vec<usize> = (0..2500).step_by(3).collect();
        let seen = engine.seen.into_inner().unwrap();
        assert_eq!(seen.len(), 2);
        for (rows, _) in &seen {
            let column = |feature: usize| rows.iter().map(move |row| row[feature]);
            let own = |feature: usize| {
                let values = &table.values[feature];
                measured.iter().map(move |&row| present(values[row]))
            };
            let kept: Vec<bool> = (0..2).map(|feature| column(feature).eq(own(feature))).collect();
            let [exchanged, other] = if kept[0] { [1, 0] } else { [0, 1] };
            assert!(kept[other] && !kept[exchanged], "{kept:?}");
            let sorted = |mut values: Vec<Option<f64>>| {
                values.sort_by(|a, b| a.partial_cmp(b).unwrap());
                values
            };
            assert_eq!(sorted(column(exchanged).collect()), sorted(own(exchanged).collect()));
            // The change of the outputs is caused by the exchanged feature alone.
            let weight = [1.0, 2.0][exchanged];
            let moved = |(now, before): (Option<f64>, Option<f64>)| {
                weight * (now.unwrap_or(100.0) - before.unwrap_or(100.0)).abs()
            };
            let expected: f64 = column(exchanged).zip(own(exchanged)).map(moved).sum();
            assert!((found[exchanged] / expected - 1.0).abs() < 1e-12, "{found:?} {expected}");
        }
    }

    #[test]
    fn texts_of_other_categories_are_exchanged_together_with_their_values() {
        let mut table = numbers(&[(0..60).map(f64::from).collect(), (0..60).map(f64::from).collect()]);
        // Values from 1 on are other categories, each with a different text.
        table.columns[0] = categorical("a", &["known"]);
        table.others =
            (1..60).map(|row| OtherCategory { row, feature: 0, text: row.to_string().into() }).collect();
        let (_, engine) = of_sum(&table, &[1.0, 1.0]);
        let seen = engine.seen.into_inner().unwrap();
        assert_eq!(seen.len(), 2);
        for (rows, texts) in seen {
            assert_eq!(texts.len(), 59);
            for OtherCategory { row, feature, text } in texts {
                assert_eq!((feature, rows[row][0]), (0, Some(text.parse().unwrap())));
            }
        }
    }

    #[test]
    fn importance_is_zero_if_the_engine_fails() {
        #[derive(Debug)]
        struct Failing;
        impl Engine for Failing {
            fn score(&self, _: Batch) -> Result<Vec<Output>, EngineError> {
                Err(EngineError::Failed("out of order".into()))
            }
        }
        let table = numbers(&[(0..60).map(f64::from).collect()]);
        let outputs = vec![Output::Number(1.0); 60];
        assert_eq!(
            importances_of_engine(&table, &outputs, &Failing, &mut ChaCha8Rng::seed_from_u64(3)),
            [0.0]
        );
    }

    #[test]
    fn the_number_of_measured_rows_falls_with_the_number_of_features() {
        let count = |rows: usize, features: usize| measured_rows(rows, features).len();
        assert_eq!((count(1000, 4), count(1001, 4), count(3000, 400), count(60, 9)), (1000, 501, 1000, 60));
        assert_eq!(measured_rows(2001, 4)[..3], [0, 3, 6]);
        // With 800 features 500 rows are used. With 100,000 features it would be 4 rows, but at least 60 are used.
        assert_eq!((count(500, 800), count(501, 800), count(600, 100_000)), (500, 251, 60));
    }
}

mod warnings {
    use super::*;

    /// Returns the warnings about a card with two classes after a change.
    fn of(truth: &Truth, change: impl FnOnce(&mut ModelCard)) -> Vec<String> {
        let mut card = profile(input(), |_| ()).unwrap().card;
        (card.reference.accuracy, card.reference.confidence, card.training.auroc) =
            (Some(0.8), Some(0.8), Some(0.9));
        change(&mut card);
        limits(&card, truth, None)
    }

    fn known(change: impl FnOnce(&mut ModelCard)) -> Vec<String> {
        of(&Truth::Classes(vec![0; 60]), change)
    }

    fn numeric(r_squared: f64) -> Vec<String> {
        of(&Truth::Numbers(vec![0.0; 60]), |card| {
            card.classes.clear();
            (card.reference.accuracy, card.reference.confidence, card.training.auroc) = (None, None, None);
            card.reference.errors =
                Some(ErrorReference { r_squared: Some(r_squared), ..errors(&[0.0], &[1.0]) });
        })
    }

    #[test]
    fn a_good_model_has_no_warnings() {
        assert!(known(|_| ()).is_empty());
        assert!(numeric(0.5).is_empty());
    }

    #[test]
    fn a_warning_reports_a_difference_of_confidence_and_accuracy_above_chance() {
        // Four standard errors of a confidence of 0.8 are 4·√(0.8·0.2/100) = 0.16 with 100 rows and 0.016 with 10,000, where three
        // hundredths are the limit.
        for (rows, limit) in [(100, 0.16), (10_000, 0.03)] {
            let at = |difference: f64| {
                known(|card| {
                    card.reference.rows = rows;
                    card.reference.accuracy = Some(0.8 + difference);
                })
            };
            assert!(at(limit - 0.001).is_empty() && at(0.001 - limit).is_empty(), "{rows}");
            let (low, high) = (at(limit + 0.001), at(-limit - 0.001));
            assert!(low.len() == 1 && low[0].contains("probabilities are too low, which"), "{low:?}");
            assert!(high.len() == 1 && high[0].contains("probabilities are too high, which"), "{high:?}");
        }
    }

    #[test]
    fn a_warning_reports_a_perfect_score() {
        let perfect = known(|card| card.reference.accuracy = Some(1.0));
        assert!(
            perfect.len() == 1 && perfect[0].starts_with("the model makes no error on 60 rows"),
            "{perfect:?}"
        );
        let explained = numeric(0.9991);
        assert!(explained.len() == 1 && explained[0].contains("explains all of the variance on 60 rows"));
        assert!(numeric(0.999).is_empty());
    }

    #[test]
    fn a_warning_reports_a_model_that_is_not_better_than_the_mean() {
        for r_squared in [0.0, -0.5] {
            let warnings = numeric(r_squared);
            assert!(
                warnings.len() == 1 && warnings[0].contains("always predicting the mean"),
                "{warnings:?}"
            );
        }
        assert!(numeric(0.001).is_empty());
    }

    #[test]
    fn a_warning_reports_classes_in_reversed_order() {
        let auroc = |auroc: f64| known(|card| card.training.auroc = Some(auroc));
        assert!(auroc(0.4).is_empty());
        let reversed = auroc(0.399);
        assert!(reversed.len() == 1 && reversed[0].contains("order of the classes may be reversed"));
    }

    #[test]
    fn warnings_report_what_is_not_known() {
        let without = known(|card| card.reference.confidence = None);
        assert!(without.len() == 1 && without[0].contains("returns no probabilities"), "{without:?}");
        let classes = of(&Truth::Unknown, |card| card.reference.accuracy = None);
        assert!(
            classes.len() == 1
                && classes[0].contains("accuracy, recall and precision on the reference are not known"),
            "{classes:?}"
        );
        let number = of(&Truth::Unknown, |card| {
            card.classes.clear();
            (card.reference.accuracy, card.reference.confidence) = (None, None);
        });
        assert!(number.len() == 1 && number[0].contains("error on the reference is not known"), "{number:?}");
    }
}

mod whole {
    use super::*;

    #[test]
    fn a_profile_of_a_classifier_has_accuracy_and_confidence() {
        let mut input = input();
        let of =
            |row: usize| if row.is_multiple_of(2) { class(0, &[0.75, 0.25]) } else { class(1, &[0.1, 0.9]) };
        input.outputs = (0..60).map(of).collect();
        input.truth = Truth::Classes((0..60).map(|row| if row < 15 { 0 } else { row % 2 }).collect());
        input.accepts_missing = vec![false, true];
        let mut steps = Vec::new();
        let card = profile(input, |step| steps.push(step)).unwrap().card;
        assert_eq!(steps, [Step::Reference, Step::Simulator]);
        // Seven of 60 rows are misclassified: the odd ones below 15.
        assert_eq!(card.reference.accuracy, Some(53.0 / 60.0));
        assert!(close(card.reference.confidence.unwrap(), (0.75 + 0.9) / 2.0));
        assert_eq!(card.reference.errors, None);
        assert_eq!([false, true], [0, 1].map(|feature: usize| card.features[feature].accepts_missing));
        let prediction = &card.reference.signals[2];
        assert_eq!((prediction.name.as_str(), &prediction.counts[..]), ("prediction", &[30, 30][..]));
        assert_eq!(card.reference.shape.classes.iter().map(|class| class.rows).collect::<Vec<_>>(), [37, 23]);
        assert!(card.is_profile() && card.training.test_rows == 60);
    }

    #[test]
    fn a_profile_of_a_regression_has_errors_and_the_importance_of_features() {
        #[derive(Debug)]
        struct Second;
        impl Engine for Second {
            fn score(&self, batch: Batch) -> Result<Vec<Output>, EngineError> {
                Ok(batch.rows.iter().map(|row| Output::Number(row[1].unwrap_or_default())).collect())
            }
        }
        let table = empty();
        let predicted_values = table.values[1].clone();
        let with = |engine: Option<Arc<dyn Engine>>| {
            let input = ProfileInput {
                classes: Vec::new(),
                outputs: predicted_values.iter().copied().map(Output::Number).collect(),
                truth: Truth::Numbers(predicted_values.iter().map(|value| value - 2.0).collect()),
                engine,
                ..input()
            };
            profile(input, |_| ()).unwrap().card
        };
        let card = with(Some(Arc::new(Second)));
        assert_eq!([0, 1].map(|feature: usize| card.features[feature].importance), [0.0, 1.0]);
        let errors = card.reference.errors.unwrap();
        assert!(close(errors.bias, 2.0) && close(errors.mean_absolute, 2.0), "{errors:?}");
        assert_eq!((card.reference.accuracy, card.reference.confidence), (None, None));
        // Without an engine, importance is mutual information, of which the first feature has a little by chance.
        let card = with(None);
        let [first, second] = [0, 1].map(|feature: usize| card.features[feature].importance);
        assert!(second > 0.8 && close(first + second, 1.0), "{first} {second}");
    }

    #[test]
    fn features_of_a_table_are_described_without_outputs() {
        let mut table = empty();
        table.values[1][0] = f64::NAN;
        let features = reference_features(&table);
        assert_eq!(features.iter().map(|feature| feature.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(features[0].numeric().unwrap().range, Some([0.0, 59.0]));
        // The mean of 0 to 59.
        assert!(close(features[0].numeric().unwrap().mean, 29.5));
        assert_eq!([0, 1].map(|feature: usize| features[feature].missing_ratio), [0.0, 1.0 / 60.0]);
        assert_eq!(features[0].importance, 0.0);
    }
}
