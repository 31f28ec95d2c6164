//! A drift spec, applied to one model: which features change and how, how often each class occurs, and the number of decimals of
//! the result.

use crate::{ClassShares, DriftSpec, Operation, Row, SpecError, origin::Origin, roles};
use model::{ModelCard, Numeric, simulator::round_to};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

/// A product with more decimals than this counts as continuous.
const MAX_DECIMALS: u8 = 12;

/// The distribution of the rows that drift.
#[derive(Debug, Clone)]
pub(crate) struct DriftedDistribution {
    /// The share of each class, if the spec changes it.
    pub(crate) shares: Option<Vec<f64>>,
    /// The number of classes, if the spec gives rows another class.
    relabelled: Option<usize>,
    shuffled: Vec<usize>,
    changes: Vec<Change>,
}

/// A change of one feature.
#[derive(Debug, Clone, PartialEq)]
struct Change {
    feature: usize,
    kind: Kind,
    /// Decimals of the changed value.
    decimals: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Add(f64),
    Multiply(f64),
    Noise(f64),
    Uniform([f64; 2]),
    /// A category that the reference does not have.
    Unseen(f64),
}

impl DriftedDistribution {
    /// Applies a spec to a model whose rows are drawn from `origin`.
    pub(crate) fn new(spec: &DriftSpec, card: &ModelCard, origin: &Origin) -> Result<Self, SpecError> {
        let mut distribution =
            Self { shares: None, relabelled: None, shuffled: Vec::new(), changes: Vec::new() };
        // An operation may change the number of decimals for the operations that follow.
        let mut decimals: Vec<Option<u8>> =
            card.features.iter().map(|feature| feature.numeric()?.decimals).collect();
        for (at, operation) in spec.operations.iter().enumerate() {
            let (name, features) = match operation {
                Operation::Shift { features, .. } => ("shift", features.as_slice()),
                Operation::Scale { features, .. } => ("scale", features.as_slice()),
                Operation::Noise { features, .. } => ("noise", features.as_slice()),
                Operation::Extreme { features } => ("extreme", features.as_slice()),
                Operation::Shuffle { features } => ("shuffle", features.as_slice()),
                Operation::ClassShares(_) => ("class_shares", [].as_slice()),
                Operation::Relabel => ("relabel", [].as_slice()),
            };
            let place = format!("operations[{at}].{name}");
            let numbers_only = matches!(
                operation,
                Operation::Shift { .. } | Operation::Scale { .. } | Operation::Noise { .. }
            );
            for feature in chosen(features, card, numbers_only, &place)? {
                if let Operation::Shuffle { .. } = operation {
                    distribution.shuffled.push(feature);
                    continue;
                }
                let values = &card.features[feature];
                let Some(&Numeric { sd, extreme, decimals: written, .. }) = values.numeric() else {
                    let unseen = values.categorical().map(|own| own.unseen_value()).unwrap_or_default();
                    let kind = Kind::Unseen(unseen);
                    distribution.changes.push(Change { feature, kind, decimals: None });
                    continue;
                };
                let (kind, to) = match operation {
                    Operation::Shift { by_sd, .. } => (Kind::Add(finite(by_sd * sd)), decimals[feature]),
                    Operation::Scale { factor, .. } => {
                        (Kind::Multiply(*factor), product_decimals(decimals[feature], *factor))
                    }
                    Operation::Noise { by_sd, .. } => (Kind::Noise(finite(by_sd * sd)), decimals[feature]),
                    Operation::Extreme { .. } => (Kind::Uniform(extreme), written),
                    Operation::Shuffle { .. } | Operation::ClassShares(_) | Operation::Relabel => continue,
                };
                decimals[feature] = to;
                distribution.changes.push(Change { feature, kind, decimals: to });
            }
            match operation {
                Operation::ClassShares(wanted) => {
                    distribution.shares = Some(class_shares(wanted, card, origin.shares(), &place)?);
                }
                Operation::Relabel => {
                    check_relabel(card, origin, &place)?;
                    distribution.relabelled = Some(card.classes.len());
                }
                _ => {}
            }
        }
        distribution.shuffled.sort_unstable();
        distribution.shuffled.dedup();
        Ok(distribution)
    }

    /// Alters a row. Missing values stay missing, except in a shuffled feature, which takes the value of another row, missing or not.
    pub(crate) fn apply(&self, row: &mut Row, origin: &Origin, rng: &mut impl Rng) {
        let Row { values, class, .. } = row;
        for &feature in &self.shuffled {
            values[feature] = origin.draw_one(self.shares.as_deref(), feature, rng);
        }
        for Change { feature, kind, decimals } in &self.changes {
            values[*feature] = values[*feature].map(|value| kind.apply(value, *decimals, rng));
        }
        if let (Some(classes), Some(class)) = (self.relabelled, class)
            && classes > 1
        {
            *class = (*class + rng.random_range(1..classes)) % classes;
        }
    }
}

impl Kind {
    fn apply(self, value: f64, decimals: Option<u8>, rng: &mut impl Rng) -> f64 {
        let changed = match self {
            Self::Add(shift) => value + shift,
            Self::Multiply(factor) => value * factor,
            Self::Unseen(value) => return value,
            Self::Noise(sd) => value + finite(sd * rng.sample::<f64, _>(StandardNormal)),
            Self::Uniform([low, high]) => {
                let part: f64 = rng.random();
                let value = low * (1.0 - part) + high * part;
                // Rounding must not move the value back to the reference: in whole numbers, a range of 1.05 to 1.6 gives 2.
                return round_within(decimals, value, [low, high]);
            }
        };
        round_to(decimals, finite(changed))
    }
}

/// Rounds to a number between `low` and `high`, or, if there is none, to the next one above `high`.
fn round_within(decimals: Option<u8>, value: f64, [low, high]: [f64; 2]) -> f64 {
    let rounded = round_to(decimals, value);
    let Some(decimals) = decimals else { return rounded };
    let step = 0.1f64.powi(decimals.into());
    if rounded < low {
        round_to(Some(decimals), rounded + step)
    } else if rounded > high && round_to(Some(decimals), rounded - step) >= low {
        round_to(Some(decimals), rounded - step)
    } else {
        rounded
    }
}

/// Returns the number of decimals of a product. A unit is converted after the measurement, so the result has all decimals of the
/// product: 5.1 cm is 2.00787 in, not 2.0, and 0.051 m, not 0.1.
fn product_decimals(value: Option<u8>, factor: f64) -> Option<u8> {
    let sum = value?.checked_add(drift::bins::decimals(&[factor])?)?;
    (sum <= MAX_DECIMALS).then_some(sum)
}

/// Returns the positions of the features that match one of the patterns, in the model's order. With `numbers_only`, patterns with
/// `*` skip categorical features.
fn chosen(
    patterns: &[String],
    card: &ModelCard,
    numbers_only: bool,
    place: &str,
) -> Result<Vec<usize>, SpecError> {
    let features = &card.features;
    let error = |problem: String| SpecError::Model { place: format!("{place}.features"), problem };
    let mut chosen = Vec::new();
    for pattern in patterns {
        let fits = |at: &usize| !numbers_only || features[*at].numeric().is_some();
        let found: Vec<usize> = match roles::feature(pattern, card).map_err(error)? {
            Some(feature) if fits(&feature) => vec![feature],
            Some(feature) => {
                return Err(error(format!(
                    "{:?} is categorical; give a numeric feature, or use `extreme` or `shuffle`",
                    features[feature].name
                )));
            }
            None => (0..features.len()).filter(|&at| matches(pattern, &features[at].name)).collect(),
        };
        if found.is_empty() {
            let names: Vec<&str> = features.iter().map(|feature| feature.name.as_str()).collect();
            return Err(error(format!(
                "no feature is called {pattern:?}; the model's features are {}",
                names.join(", ")
            )));
        }
        let before = chosen.len();
        chosen.extend(found.into_iter().filter(fits));
        if chosen.len() == before {
            return Err(error(format!(
                "{pattern:?} matches only categorical features; use `extreme` or `shuffle`"
            )));
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen)
}

/// Replaces an infinity by the greatest number, because JSON has no infinities.
fn finite(value: f64) -> f64 {
    value.clamp(f64::MIN, f64::MAX)
}

/// Returns whether a name matches a pattern in which `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, rest)) => name.strip_prefix(before).is_some_and(|tail| {
            tail.char_indices().map(|(at, _)| at).chain([tail.len()]).any(|at| matches(rest, &tail[at..]))
        }),
    }
}

/// Checks that rows have classes that can be replaced.
fn check_relabel(card: &ModelCard, origin: &Origin, place: &str) -> Result<(), SpecError> {
    let error = |problem: &str| SpecError::Model { place: place.to_owned(), problem: problem.to_owned() };
    if card.predicts_number() {
        return Err(error(
            "gives rows another true class, but the model predicts a number; change the numbers in the target column of a table \
             and send its rows instead",
        ));
    }
    match origin {
        Origin::Pool { has_classes: false, .. } => Err(error(
            "gives rows another true class, but those of simulated rows are not known, because the reference has no true \
             classes; send rows of a table that has them instead",
        )),
        Origin::Pool { .. } | Origin::Table(_) => Ok(()),
    }
}

/// Returns the share of every class: the given shares, and the rest distributed over the other classes in their former proportions.
fn class_shares(
    wanted: &ClassShares,
    card: &ModelCard,
    reference: &[f64],
    place: &str,
) -> Result<Vec<f64>, SpecError> {
    let error = |problem: String| SpecError::Model { place: place.to_owned(), problem };
    if card.predicts_number() {
        return Err(error(
            "the model predicts a number and has no classes; change features instead, with `shift`, `scale`, `noise`, `extreme` or \
             `shuffle`"
                .into(),
        ));
    }
    if reference.iter().all(|&share| share == 0.0) {
        return Err(error(
            "no row of the table has a class of the model; name the column with the class in `target`".into(),
        ));
    }
    let mut shares: Vec<Option<f64>> = vec![None; reference.len()];
    match wanted {
        ClassShares::Last(share) => shares[reference.len() - 1] = Some(*share),
        ClassShares::Named(named) => {
            for (class, share) in named {
                let found = card.classes.iter().position(|name| name == class).ok_or_else(|| {
                    let classes = card.classes.join(", ");
                    error(format!("no class is called {class:?}; the model's classes are {classes}"))
                })?;
                shares[found] = Some(*share);
            }
        }
    }
    let rest = 1.0 - shares.iter().flatten().sum::<f64>();
    let others: f64 = shares.iter().zip(reference).filter(|(s, _)| s.is_none()).map(|(_, r)| r).sum();
    if others == 0.0 && rest.abs() > 1e-9 {
        let sum = 1.0 - rest;
        return Err(error(format!(
            "the shares of all classes must add up to 1, got {sum}; correct them, or leave out one class"
        )));
    }
    let of_rest = |reference: f64| if others == 0.0 { 0.0 } else { rest.max(0.0) * reference / others };
    let shares: Vec<f64> =
        shares.into_iter().zip(reference).map(|(share, &own)| share.unwrap_or(of_rest(own))).collect();
    match shares.iter().zip(reference).position(|(share, own)| *share > 0.0 && *own == 0.0) {
        Some(class) => Err(error(format!(
            "there is no row of class {:?} to draw; set its share to 0",
            card.classes[class]
        ))),
        None => Ok(shares),
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            altered(r#"scale: { features: "*", factor: 10 }"#),
            [Some(51.0), None, Some(14.0), Some(2.0)]
        );
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
        assert!(
            altered(&operations.replace(" scale", "scale")).iter().flatten().all(|value| value.is_finite())
        );
    }
}
