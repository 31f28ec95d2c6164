use super::*;
use crate::{RowSource, fixtures};
use model::Values;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn iris() -> ModelCard {
    model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap().card
}

fn pool(card: &ModelCard) -> Origin {
    Origin::Pool { pool: card.pool().unwrap(), has_classes: true }
}

fn distribution(operations: &str) -> Result<DriftedDistribution, String> {
    let spec = DriftSpec::from_yaml(&format!("operations: [{operations}]"), "d").unwrap();
    let card = iris();
    DriftedDistribution::new(&spec, &card, &pool(&card)).map_err(|error| error.to_string())
}

fn altered(operations: &str) -> Vec<Option<f64>> {
    let values = vec![Some(5.1), None, Some(1.4), Some(0.2)];
    let mut row = Row { values, class: Some(0), number: None, drifted: true };
    let pool = pool(&iris());
    distribution(operations).unwrap().apply(&mut row, &pool, &mut ChaCha8Rng::seed_from_u64(1));
    row.values
}

#[test]
fn errors_about_unknown_features_and_classes_list_the_known_ones() {
    let cases = [
        (
            r#"shift: { features: [sepal_width, "petel*"], by_sd: 1 }"#,
            "operations[0].shift.features: no feature is called \"petel*\"; \
             the model's features are sepal_length, sepal_width, petal_length, petal_width",
        ),
        (
            "class_shares: { named: { rose: 0.5 } }",
            "operations[0].class_shares: no class is called \"rose\"; \
             the model's classes are setosa, versicolor, virginica",
        ),
        (
            "class_shares: { named: { setosa: 0.2, versicolor: 0.2, virginica: 0.2 } }",
            "operations[0].class_shares: the shares of all classes must add up to 1, got 0.6",
        ),
    ];
    for (operation, expected) in cases {
        let error = distribution(operation).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_star_matches_any_characters() {
    for (pattern, name) in
        [("*", ""), ("petal*", "petal_width"), ("*_width", "petal_width"), ("p*l*h", "petal_length")]
    {
        assert!(matches(pattern, name), "{pattern} {name}");
    }
    for (pattern, name) in [("petal", "petal_width"), ("*x", "petal"), ("p*x*", "petal"), ("", "a")] {
        assert!(!matches(pattern, name), "{pattern} {name}");
    }
}

#[test]
fn classes_without_a_given_share_share_the_rest_in_proportion() {
    let shares = distribution("class_shares: { named: { setosa: 0.01 } }").unwrap().shares.unwrap();
    assert!((shares[0] - 0.01).abs() < 1e-12 && (shares[1] / shares[2] - 50.0 / 49.0).abs() < 1e-12);
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    let last = distribution("class_shares: { last: 0.9 }").unwrap().shares.unwrap();
    assert_eq!(last[2], 0.9);
}

#[test]
fn a_unit_is_converted_without_losing_decimals() {
    assert_eq!(altered(r#"scale: { features: "*", factor: 10 }"#), [Some(51.0), None, Some(14.0), Some(2.0)]);
    assert_eq!(
        altered(r#"scale: { features: "*", factor: 0.01 }"#),
        [Some(0.051), None, Some(0.014), Some(0.002)]
    );
    assert_eq!(altered("scale: { features: sepal_length, factor: 0.3937 }")[0], Some(2.00787));
}

#[test]
fn shifts_and_noise_keep_the_decimals_of_the_feature() {
    // 0.76 × 1.5 = 1.14 on petal_width, 1.75 × 1.5 = 2.6 on petal_length.
    let shifted = altered(r#"shift: { features: "petal*", by_sd: 1.5 }"#);
    assert_eq!(shifted, [Some(5.1), None, Some(4.0), Some(1.3)]);
    let noisy = altered(r#"noise: { features: "*", by_sd: 1 }"#);
    assert!(noisy.iter().flatten().all(|&value| value == round_to(Some(1), value)));
    assert_ne!(noisy[0], Some(5.1));
}

#[test]
fn extreme_values_of_whole_numbers_lie_above_the_range() {
    let spec = DriftSpec::preset("giant").unwrap();
    let mut card = iris();
    let Values::Numeric(numeric) = &mut card.features[0].values else { panic!() };
    (numeric.decimals, numeric.extreme) = (Some(0), [1.05, 1.6]);
    let pool = pool(&card);
    let distribution = DriftedDistribution::new(&spec, &card, &pool).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..100 {
        let mut row = Row { values: vec![Some(0.0); 4], class: None, number: None, drifted: true };
        distribution.apply(&mut row, &pool, &mut rng);
        assert_eq!(row.values[0], Some(2.0));
        assert!((4.5..=6.0).contains(&row.values[1].unwrap()));
    }
}

#[test]
fn a_class_without_rows_cannot_be_drawn() {
    let wanted = ClassShares::Named(vec![("setosa".to_owned(), 0.5)]);
    let place = "operations[0].class_shares";
    let error = |shares: &[f64]| class_shares(&wanted, &iris(), shares, place).unwrap_err().to_string();
    assert_eq!(
        error(&[0.0, 0.5, 0.5]),
        "operations[0].class_shares: there is no row of class \"setosa\" to draw; set its share to 0"
    );
    // In a table without labels, all shares are 0.
    assert!(error(&[0.0; 3]).contains("no row of the table has a class of the model"));
}

#[test]
fn operations_on_classes_are_refused_if_classes_are_unknown() {
    let error = |card: &ModelCard, operation: &str| {
        let spec = DriftSpec::from_yaml(&format!("operations: [{operation}]"), "d").unwrap();
        let source = RowSource::new(card, &spec, 1);
        source.map(|_| ()).map_err(|error| error.to_string())
    };
    let regression = fixtures::regression().card;
    for (operation, expected) in [
        (
            "class_shares: { last: 0.9 }",
            "operations[0].class_shares: the model predicts a number and has no classes; change features instead",
        ),
        (
            "class_shares: { named: { a: 0.9 } }",
            "operations[0].class_shares: the model predicts a number and has no classes; change features instead",
        ),
        (
            "relabel: {}",
            "operations[0].relabel: gives rows another true class, but the model predicts a number; change the numbers",
        ),
    ] {
        let error = error(&regression, operation).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    let without_truth = fixtures::without_truth().card;
    let unknown = error(&without_truth, "relabel: {}").unwrap_err();
    assert!(unknown.contains("those of simulated rows are not known"), "{unknown}");
    assert_eq!(error(&without_truth, "class_shares: { named: { low: 0.9 } }"), Ok(()));
    assert_eq!(
        error(&without_truth, "class_shares: { last: 0.9 }").unwrap_err(),
        "operations[0].class_shares: there is no row of class \"none\" to draw; set its share to 0"
    );
}

#[test]
fn class_shares_are_of_predicted_classes_if_true_ones_are_unknown() {
    let card = fixtures::without_truth().card;
    let spec = DriftSpec::from_yaml("operations: [class_shares: { named: { high: 0.9 } }]", "d").unwrap();
    let rows = RowSource::new(&card, &spec, 1).unwrap().take(1000);
    let high = rows.filter(|row| row.values[0].is_some_and(|area| area > 80.0)).count();
    // Four standard deviations, √(1000 · 0.9 · 0.1) each, are 38; a synthetic row may lie just beyond the border between the classes.
    assert!((850..=950).contains(&high), "{high}");
}

#[test]
fn relabel_changes_the_class_but_not_the_values() {
    let distribution = distribution("relabel: {}").unwrap();
    let pool = pool(&iris());
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut counts = [0; 3];
    for _ in 0..1000 {
        let values = vec![Some(5.1), None, Some(1.4), Some(0.2)];
        let mut row = Row { values: values.clone(), class: Some(1), number: None, drifted: true };
        distribution.apply(&mut row, &pool, &mut rng);
        assert_eq!(row.values, values);
        counts[row.class.unwrap()] += 1;
    }
    // Four standard deviations, √(1000 · ½ · ½) each, are 63.
    assert!(counts[1] == 0 && (counts[0] - 500_i32).abs() < 63, "{counts:?}");
    let mut unlabelled = Row { values: vec![None; 4], class: None, number: None, drifted: true };
    distribution.apply(&mut unlabelled, &pool, &mut rng);
    assert_eq!(unlabelled.class, None);
}

#[test]
fn changes_of_the_largest_numbers_stay_finite() {
    let operations = r#"scale: { features: "*", factor: 1e308 }, scale: { features: "*", factor: -1e308 },
        noise: { features: "*", by_sd: 1e308 }, shift: { features: "*", by_sd: -1e308 }"#;
    assert!(altered(&operations.replace(" scale", "scale")).iter().flatten().all(|value| value.is_finite()));
}
