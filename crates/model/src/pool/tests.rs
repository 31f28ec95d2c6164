use super::{
    bins::outputs_of,
    check::{check_rows, drifting},
    *,
};
use crate::{Column, ModelFile, TrainOptions, iris, table::Categories, train};
use rand::SeedableRng;

fn iris_file() -> ModelFile {
    train(&iris::table(), &TrainOptions::new("iris")).unwrap()
}

#[test]
fn the_size_of_the_pool_grows_with_the_table_within_limits() {
    let rows = [(147, 5), (3_000, 5), (100_000, 5), (100_000, 1_000), (10, 2_000_000)];
    assert_eq!(rows.map(|(rows, width)| pool_rows(rows, width)), [2_000, 12_000, 20_000, 900, 1]);
    assert_eq!([1, 100, 1_000, 1_000_000].map(check_rows), [40_000, 40_000, 4_000, 60]);
    let tables = [(0, 5), (20_000, 5), (20_001, 5), (2_500, 1_000), (2_501, 1_000), (50, 5_000_000)];
    assert_eq!(tables.map(|(rows, columns)| source_step(rows, columns)), [1, 1, 2, 1, 2, 50]);
}

#[test]
fn codes_have_the_order_of_the_values_they_stand_for() {
    let names = |names: [&str; 2]| names.map(str::to_owned).to_vec();
    let categories = Categories { known: names(["a", "b"]), weighted: names(["p", "q"]), rare: Vec::new() };
    let columns = vec![Column::named("x"), Column { categories: Some(categories), ..Column::named("c") }];
    let rows = [[Some(5.0), Some(0.0)], [Some(1.0), Some(4.0)], [Some(9.0), None], [None, Some(1.0)]];
    let rows = rows.map(|row| row.to_vec());
    let table = Table::from_rows(columns, ["y", "z"].map(str::to_owned).to_vec(), &rows, vec![1, 0, 0, 1]);
    let levels = [Levels { points: vec![5.0], edges: vec![0.0, 4.0, 10.0] }, Levels::default()];
    let (coded, details) = coded(&table, &levels);
    let codes: Vec<&[u8]> = coded.iter().map(|column| column.codes.as_slice()).collect();
    assert_eq!(codes, [[1, 0, 0, 1], [0, 1, 2, MISSING], [0, 2, MISSING, 1]]);
    assert_eq!(coded.iter().map(|column| column.categorical).collect::<Vec<_>>(), [true, false, true]);
    // Code 2 stands for the first interval, 5 for the point, 7 for the second interval.
    let order = [0, 1, 2, 255].map(|code: usize| coded[1].order[code]);
    assert_eq!(order, [1, 0, 2, MISSING]);
    assert_eq!((coded[0].order[1], coded[2].order[255]), (1, 255));
    // Value 4 is the second weighted category, whose code is that of other categories.
    assert_eq!(details.len(), 1);
    assert_eq!((details[0].column, &details[0].bytes), (2, &vec![[0, 0], [0, 2], [0, 0], [0, 0]]));
}

#[test]
fn the_confusion_matrix_has_one_row_per_class() {
    let columns = vec![Column::named("x")];
    let classes = ["y", "z"].map(str::to_owned).to_vec();
    let table = Table::from_rows(columns, classes, &vec![vec![Some(1.0)]; 4], vec![0, 0, 1, 1]);
    let mut card = iris_file().card;
    let prediction = card.reference.signals.iter_mut().find(|signal| signal.name == "prediction");
    prediction.unwrap().bins = drift::Bins::Classes { labels: table.classes.clone() };
    assert_eq!(confusion(&table, &[0.0, 1.0, 1.0, 1.0], &card), [1.0, 1.0, 0.0, 2.0]);
}

#[test]
fn candidates_are_binned_in_every_signal_and_in_the_confusion_matrix() {
    let file = iris_file();
    let confusion = [40.0, 10.0, 0.0, 30.0, 10.0, 0.0, 0.0, 0.0, 10.0];
    let targets = targets(&file.card, Some(&confusion));
    assert_eq!(targets.len(), 8);
    assert!(targets.iter().all(|shares| (shares.iter().sum::<f64>() - 1.0).abs() < 1e-12));
    assert_eq!((targets[7][0], targets[7][3]), (0.4, 0.3));
    let signal = &file.card.reference.signals[2];
    assert_eq!(targets[2][1], signal.counts[1] as f64 / 147.0);

    let pool = file.card.pool().unwrap();
    let predictor = Predictor::built_in(&file).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    // Both rows have the first code of every feature; their classes are 1 and 2.
    let codes = [[1, 0, 0, 0, 0], [2, 0, 0, 0, 0]].concat();
    let bins = candidate_bins(&codes, 5, &pool, &file.card, Some(&predictor), &mut rng);
    assert_eq!(bins.len(), 8);
    let row: Vec<Option<f64>> =
        file.card.simulator.levels.iter().map(|levels| Some(levels.points[0])).collect();
    let prediction = predictor.predict_row(&row).unwrap();
    for (feature, signal) in file.card.reference.signals[..4].iter().enumerate() {
        assert_eq!(usize::from(bins[feature][0]), signal.bins.index(row[feature]));
    }
    let distance = &file.card.reference.signals[6].bins;
    assert_eq!(usize::from(bins[6][1]), distance.index(Some(prediction.distance)));
    let class = prediction.class().unwrap() as u16;
    assert_eq!(bins[7], [3 + class, 6 + class]);
}

#[test]
fn a_row_that_overflows_has_the_greatest_distance() {
    let file = iris_file();
    let row = |first| [Some(first), Some(1.0), Some(1.0), Some(1.0)].to_vec();
    let predictor = Predictor::built_in(&file).unwrap();
    let outputs = outputs_of(Some(&predictor), &[row(1e300), row(5.0)], &file.card);
    assert_eq!(outputs[0], [0.0, 1.0, f64::MAX]);
    let other: Vec<f64> = predictor.predict_row(&row(5.0)).unwrap().signal_values().collect();
    assert_eq!(outputs[1], other, "one row does not change another");
}

#[test]
fn drifting_returns_the_names_of_the_signals_that_drift() {
    let file = iris_file();
    let row = |value: f64| bins_of(&file.card, &[Some(value); 4], &[0.0, 0.9, 1.0]);
    let of_table: Vec<Vec<u16>> = iris::table()
        .rows()
        .zip(iris::table().labels)
        .map(|(row, label)| {
            let prediction = Predictor::built_in(&file).unwrap().predict_row(&row).unwrap();
            let outputs = [label as f64, prediction.confidence.unwrap(), prediction.distance];
            bins_of(&file.card, &row, &outputs)
        })
        .collect();
    assert!(drifting(&of_table, &file.card).is_empty());
    let far = drifting(&vec![row(1e6); 100], &file.card);
    assert!(far.len() >= 4 && far[0] == "sepal_length", "{far:?}");
    // There is no verdict on fewer than 60 rows.
    assert!(drifting(&vec![row(1e6); 59], &file.card).is_empty());
    assert!(!drifting(&vec![row(1e6); 60], &file.card).is_empty());
}

#[test]
fn a_simulator_has_the_result_of_its_check() {
    let file = iris_file();
    let check = &file.card.simulator.check;
    assert_eq!((check.rows, check.held_out_rows), (40_000, 0));
    assert!(check.drifting.is_empty() && check.held_out_drifting.is_empty(), "{check:?}");
    // A pool of one row repeats that row.
    let one = Simulator::new(file.card.simulator.levels.clone(), 1, &[0; 5]);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let check = super::check(&one, &[48, 50, 49], &file.card, Predictor::built_in(&file).as_ref(), &mut rng);
    assert!(check.drifting.len() >= 4 && check.rows == 40_000, "{check:?}");
}

#[test]
fn few_rows_per_class_widen_the_intervals_of_a_simulator() {
    // With 150 rows per class, the ends of the range −149.5 to 149.5 move by 149.5/150, rounded to tenths.
    let rows: Vec<Vec<Option<f64>>> = (0..300).map(|row| vec![Some(f64::from(row) - 149.5)]).collect();
    let classes = ["x", "y"].map(str::to_owned).to_vec();
    let labels = (0..300).map(|row| row % 2).collect();
    let table = Table::from_rows(vec![Column::named("a")], classes, &rows, labels);
    let file = train(&table, &TrainOptions::new("t")).unwrap();
    let edges = &file.card.simulator.levels[0].edges;
    assert_eq!((edges.first(), edges.last()), (Some(&-150.5), Some(&150.5)));
}

#[test]
fn held_out_rows_are_judged_only_if_there_are_60() {
    let rows: Vec<Vec<Option<f64>>> = (0..300).map(|row| vec![Some(f64::from(row % 50))]).collect();
    let labels: Vec<usize> = (0..300).map(|row| row / 150).collect();
    let classes = ["x", "y"].map(str::to_owned).to_vec();
    let table = Table::from_rows(vec![Column::named("a")], classes, &rows, labels);
    for (test_fraction, rows) in [(0.2, 60), (0.19, 0)] {
        let file = train(&table, &TrainOptions { test_fraction, ..TrainOptions::new("t") }).unwrap();
        assert_eq!(file.card.simulator.check.held_out_rows, rows);
        assert!(file.card.simulator.check.held_out_drifting.is_empty());
        assert_eq!(file.card.simulator.rows, 2_000);
    }
}
