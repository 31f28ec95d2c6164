use super::*;
use crate::{Column, CrossValidation, CsvOptions, Output, iris, read_csv};
use rand::RngExt;

fn iris_model() -> ModelFile {
    train(&iris::table(), &TrainOptions::new("iris")).unwrap()
}

#[test]
fn the_model_of_iris_has_a_high_accuracy() {
    let report = iris_model().card.training;
    assert_eq!((report.train_rows, report.test_rows), (117, 30));
    assert!(report.held_out_accuracy.unwrap() >= 0.93, "{report:?}");
    assert!(report.cross_validation.as_ref().unwrap().mean_accuracy >= 0.93, "{report:?}");
}

#[test]
fn the_same_table_and_seed_give_the_same_bytes() {
    let text = iris_model().to_json().unwrap();
    assert_eq!(text, iris_model().to_json().unwrap());
    let other = TrainOptions { seed: 7, ..TrainOptions::new("iris") };
    assert_ne!(text, train(&iris::table(), &other).unwrap().to_json().unwrap());
}

#[test]
fn a_file_can_be_read_back_and_an_edited_one_is_refused() {
    let file = iris_model();
    let text = file.to_json().unwrap();
    let read = ModelFile::from_json(&text).unwrap();
    assert_eq!(read, file);
    assert_eq!(read.to_json().unwrap(), text);
    let edited = text.replace("\"setosa\"", "\"setoza\"");
    assert!(matches!(ModelFile::from_json(&edited), Err(FileError::Version { .. })));
    for (before, field) in [("\"format\": 3", "added"), ("\"expected\": [", "card.reference.signals.0.added")]
    {
        let added = text.replacen(before, &format!("\"added\": 1, {before}"), 1);
        let error = ModelFile::from_json(&added).unwrap_err();
        assert!(matches!(&error, FileError::UnknownField { field: found } if found == field), "{error}");
    }
    let future = text.replacen("\"format\": 3", "\"format\": 4", 1);
    assert!(matches!(ModelFile::from_json(&future), Err(FileError::Format { found: 4 })));
}

#[test]
fn a_signal_with_another_number_of_rows_than_the_reference_is_refused() {
    let mut file = iris_model();
    file.card.reference.signals[0].rows += 1;
    file.card.reference.signals[0].counts[0] += 1;
    let error = file.finished().unwrap_err();
    assert!(matches!(error, FileError::Inconsistent { field: "card.reference.signals", .. }), "{error}");
}

#[test]
fn models_of_unusual_tables_can_be_trained_and_give_predictions() {
    let cases: [(&str, String); 6] = [
        ("constant column", rows(60, |i| format!("1,{},{}", i, i % 2))),
        ("column always missing", rows(60, |i| format!(",{},{}", i, i % 3))),
        ("heavy ties", rows(60, |i| format!("{},{},{}", i % 2, i % 3, i % 2))),
        ("two rows a class", rows(4, |i| format!("{},{},{}", i, 4 - i, i % 2))),
        ("huge numbers", rows(60, |i| format!("{i}e148,-{i}e148,{}", i % 2))),
        ("tiny numbers", rows(60, |i| format!("{i}e-300,-{i}e-300,{}", i % 2))),
    ];
    for (name, text) in cases {
        let table = read(&text, name);
        let file = train(&table, &TrainOptions::new(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let text = file.to_json().unwrap();
        assert_eq!(ModelFile::from_json(&text).unwrap(), file, "{name}");
        let predictor = Predictor::built_in(&file).unwrap();
        for row in table.rows() {
            let prediction = predictor.predict_row(&row).unwrap_or_else(|error| panic!("{name}: {error}"));
            let Output::Class { probabilities, .. } = prediction.output else { panic!() };
            assert!((probabilities.unwrap().iter().sum::<f64>() - 1.0).abs() < 1e-9, "{name}");
        }
    }
}

fn read(text: &str, name: &str) -> Table {
    read_csv(text.as_bytes(), name, &CsvOptions::new("class")).unwrap_or_else(|error| panic!("{error}")).table
}

fn rows(count: usize, row: impl Fn(usize) -> String) -> String {
    let body: String = (0..count).map(|i| row(i) + "\n").collect();
    format!("a,b,class\n{body}")
}

#[test]
fn a_model_of_sixty_features_and_thirty_rows_can_be_trained() {
    let names: Vec<String> = (0..60).map(|f| format!("f{f}")).collect();
    let cell = |r: usize, f: usize| ((r * 37 + f * 101 + r * f) % 97).to_string();
    let body: String = (0..30)
        .map(|r| format!("{},{}\n", (0..60).map(|f| cell(r, f)).collect::<Vec<_>>().join(","), r % 3))
        .collect();
    let text = format!("{},class\n{body}", names.join(","));
    let table = read(&text, "wide");
    let file = train(&table, &TrainOptions::new("wide")).unwrap();
    assert_eq!(file.card.reference.signals.len(), 63);
}

#[test]
fn the_error_for_a_class_of_fewer_than_two_rows_names_the_class() {
    let mut table = iris::table();
    table.classes.push("orchid".into());
    for rows in [0, 1] {
        let error = train(&table, &TrainOptions::new("x")).unwrap_err().to_string();
        let expected = format!(
            "class \"orchid\": expected at least two rows, got {rows}; add rows of this class, or remove it"
        );
        assert_eq!(error, expected);
        table.values.iter_mut().for_each(|column| column.push(column[0]));
        table.labels.push(3);
    }
    assert!(train(&table, &TrainOptions::new("x")).is_ok());
}

#[test]
fn the_error_for_an_option_out_of_range_names_the_option() {
    let bad = TrainOptions { alpha: 0.0, ..TrainOptions::new("x") };
    assert_eq!(train(&iris::table(), &bad).unwrap_err().to_string(), "alpha must be above 0, got 0");
    let bad = TrainOptions { test_fraction: 1.0, ..TrainOptions::new("x") };
    assert!(
        train(&iris::table(), &bad).unwrap_err().to_string().starts_with("test-fraction must be in [0, 1)")
    );
}

/// Returns a table whose only column is constant.
fn constant(counts: &[usize]) -> Table {
    let labels: Vec<usize> = counts.iter().enumerate().flat_map(|(class, &rows)| vec![class; rows]).collect();
    let classes = (0..counts.len()).map(|class| format!("c{class}")).collect();
    Table::from_rows(vec![Column::named("a")], classes, &vec![vec![Some(7.0)]; labels.len()], labels)
}

#[test]
fn the_report_warns_about_a_model_that_always_predicts_one_class() {
    // 52 of 100 rows are of the most frequent class. The five folds of 20 rows have 11, 11, 10, 10 and 10 of them.
    let options = TrainOptions { test_fraction: 0.0, ..TrainOptions::new("t") };
    let report = train(&constant(&[52, 48]), &options).unwrap().card.training;
    assert_eq!((report.train_rows, report.test_rows, report.held_out_accuracy), (100, 0, None));
    let CrossValidation { folds, mean_accuracy, sd } = report.cross_validation.unwrap();
    // numpy.std([.55, .55, .5, .5, .5], ddof=1)
    assert!(folds == 5 && (mean_accuracy - 0.52).abs() < 1e-12 && (sd - 0.027386127875258306).abs() < 1e-12);
    assert_eq!(report.baseline_accuracy, Some(0.52));
    let report = train(&constant(&[60, 40]), &TrainOptions::new("t")).unwrap().card.training;
    assert_eq!((report.train_rows, report.test_rows, report.held_out_accuracy), (80, 20, Some(0.6)));
    assert!(report.warnings.iter().any(|warning| warning.contains("not better than always predicting")));
}

#[test]
fn the_folds_are_few_from_twenty_rows_per_free_weight_on() {
    let folds = |counts: &[usize]| {
        let options = TrainOptions { test_fraction: 0.0, ..TrainOptions::new("t") };
        train(&constant(counts), &options).unwrap().card.training.cross_validation.unwrap().folds
    };
    // A column and an intercept need 40 rows for two classes, and 80 for three.
    assert_eq!((folds(&[20, 20]), folds(&[21, 20])), (20, 5));
    assert_eq!((folds(&[30, 30, 20]), folds(&[30, 30, 21])), (20, 5));
    // With fewer rows than folds, some folds are empty.
    assert_eq!(folds(&[4, 3]), 7);
}

#[test]
fn the_accuracy_of_the_reference_is_measured_on_rows_that_were_not_fitted() {
    // The ten columns are random numbers, so weights are correct more often on rows that they were fitted to.
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let rows: Vec<Vec<Option<f64>>> =
        (0..400).map(|_| (0..10).map(|_| Some(rng.random::<f64>())).collect()).collect();
    let columns = (0..10).map(|at| Column::named(&format!("c{at}"))).collect();
    let classes = ["x", "y"].map(str::to_owned).to_vec();
    let table = Table::from_rows(columns, classes, &rows, (0..400).map(|row| row % 2).collect());
    let card = train(&table, &TrainOptions::new("t")).unwrap().card;
    assert_eq!(card.training.cross_validation.unwrap().folds, FOLDS, "there are many rows");
    let correct: f64 = card.training.class_scores.iter().map(|class| class.recall * class.rows as f64).sum();
    let accuracy = card.reference.accuracy.unwrap();
    assert!((accuracy - correct / 400.0).abs() < 1e-12);
    assert!(accuracy < 0.55, "{accuracy}");
}

#[test]
fn steps_are_reported_in_their_order() {
    let mut steps = Vec::new();
    train_with_progress(&constant(&[3, 2]), &TrainOptions::new("t"), |step| steps.push(step)).unwrap();
    assert_eq!(steps, [Step::Fit, Step::Validate, Step::Reference, Step::Simulator]);
}

#[test]
fn the_error_for_each_option_out_of_range_names_it() {
    for (test_fraction, alpha) in
        [(-0.1, 1.0), (f64::NAN, 1.0), (0.2, -1.0), (0.2, f64::INFINITY), (0.2, f64::NAN)]
    {
        let options = TrainOptions { test_fraction, alpha, ..TrainOptions::new("t") };
        assert!(matches!(check(&options), Err(TrainError::Option { .. })), "{test_fraction} {alpha}");
    }
    assert!(check(&TrainOptions { test_fraction: 0.0, ..TrainOptions::new("t") }).is_ok());
}

#[test]
fn many_categories_have_weights_and_keep_their_classes_in_simulated_rows() {
    // 200 categories have 60 to 11 rows. The class depends on the category, but for one row in ten.
    let cells: Vec<usize> = (0..200).flat_map(|at| std::iter::repeat_n(at, 60 - at / 4)).collect();
    let text = rows(cells.len(), |row| {
        let category = cells[row * 7919 % cells.len()];
        let class = (category / 3 + usize::from(row % 10 == 0)) % 2;
        format!("{},n{category:03},c{class}", row * 37 % 101)
    });
    let table = read(&text, "many");
    let file = train(&table, &TrainOptions::new("many")).unwrap();
    let own = file.card.features[1].categorical().unwrap();
    assert_eq!((own.categories.len(), own.weighted.len()), (64, 136));
    let weights = file.weights.as_ref().unwrap();
    assert!(weights.coefficients.iter().all(|line| line.len() == 1 + 66 + 136));
    let accuracy = file.card.training.held_out_accuracy.unwrap();
    assert!((0.87..0.93).contains(&accuracy), "{accuracy}");
    assert_eq!(file.card.simulator.check.drifting, Vec::<String>::new());
    assert_eq!(file.card.simulator.check.held_out_drifting, Vec::<String>::new());
    assert_eq!(ModelFile::from_json(&file.to_json().unwrap()).unwrap(), file);

    // Half of the rows have a category without a bin.
    let pool = file.card.pool().unwrap();
    let predictor = Predictor::built_in(&file).unwrap();
    let (mut rng, mut row) = (ChaCha8Rng::seed_from_u64(1), Vec::new());
    let (mut weighted, mut own_class, mut predicted) = (0, 0, 0);
    for draw in 0..4000 {
        pool.draw(draw % 2, &mut rng, &mut row);
        let value = row[1].unwrap();
        if value as usize <= own.categories.len() {
            continue;
        }
        weighted += 1;
        let number: usize = own.text(value)[1..].parse().unwrap();
        own_class += usize::from(number / 3 % 2 == draw % 2);
        predicted += usize::from(predictor.predict_row(&row).unwrap().class() == Some(draw % 2));
    }
    assert!((1800..2300).contains(&weighted), "{weighted}");
    for right in [own_class, predicted] {
        assert!(
            (0.87..0.93).contains(&(f64::from(right as u32) / f64::from(weighted))),
            "{right} {weighted}"
        );
    }

    // Weights for another number of categories are refused.
    let mut short = file;
    short.weights.as_mut().unwrap().coefficients[0].pop();
    assert!(short.finished().unwrap_err().to_string().contains("per weighted category"));
}
