//! A drift spec applied to one model: which features change and how, how often each class occurs, and to how many
//! decimals the result is rounded.

use crate::{ClassShares, DriftSpec, Operation, SpecError, roles};
use model::{
    ModelCard, Numeric, Pool,
    simulator::{pick_class, round_to},
};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

/// More decimals than this say nothing: a product then counts as continuous.
const MAX_DECIMALS: u8 = 12;

/// The distribution of the rows that drift.
#[derive(Debug, Clone)]
pub(crate) struct DriftedDistribution {
    /// Share of each class.
    pub(crate) shares: Vec<f64>,
    shuffled: Vec<usize>,
    changes: Vec<Change>,
}

/// What happens to one feature.
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
    pub(crate) fn new(spec: &DriftSpec, card: &ModelCard, pool: &Pool) -> Result<Self, SpecError> {
        let mut distribution =
            Self { shares: pool.shares().to_vec(), shuffled: Vec::new(), changes: Vec::new() };
        // Operations may change how many decimals there are, for those that follow.
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
                    Operation::Shuffle { .. } | Operation::ClassShares(_) => continue,
                };
                decimals[feature] = to;
                distribution.changes.push(Change { feature, kind, decimals: to });
            }
            if let Operation::ClassShares(shares) = operation {
                distribution.shares = class_shares(shares, card, pool.shares(), &place)?;
            }
        }
        distribution.shuffled.sort_unstable();
        distribution.shuffled.dedup();
        Ok(distribution)
    }

    /// Alters a row. Gaps stay gaps, but for a shuffled feature, whose gaps move with its values.
    pub(crate) fn apply(&self, values: &mut [Option<f64>], pool: &Pool, rng: &mut impl Rng) {
        for &feature in &self.shuffled {
            let class = pick_class(&self.shares, rng.random());
            values[feature] = pool.draw_one(class, feature, rng);
        }
        for Change { feature, kind, decimals } in &self.changes {
            values[*feature] = values[*feature].map(|value| kind.apply(value, *decimals, rng));
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
                // Rounding must not bring it back towards the reference: 1.05 to 1.6 is 2 in whole numbers.
                return round_within(decimals, value, [low, high]);
            }
        };
        round_to(decimals, finite(changed))
    }
}

/// Rounds to a number between `low` and `high`, or, where there is none, to the next one beyond `high`.
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

/// Decimals of a product. A unit is converted after measuring, by software, so the result is as fine as the product
/// of the two decimal numbers: 5.1 cm are 2.00787 in, not 2.0, and 0.051 m, not 0.1.
fn product_decimals(value: Option<u8>, factor: f64) -> Option<u8> {
    let sum = value?.checked_add(drift::bins::decimals(&[factor])?)?;
    (sum <= MAX_DECIMALS).then_some(sum)
}

/// Positions of the features that any of the patterns names, in the model's order. With `numbers_only`, patterns pass over
/// categorical features.
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
                "{pattern:?} names categorical features only; use `extreme` or `shuffle`"
            )));
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen)
}

/// JSON has no infinities: an overflow stops at the greatest number.
fn finite(value: f64) -> f64 {
    value.clamp(f64::MIN, f64::MAX)
}

/// Returns whether a name fits a pattern in which `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, rest)) => name.strip_prefix(before).is_some_and(|tail| {
            tail.char_indices().map(|(at, _)| at).chain([tail.len()]).any(|at| matches(rest, &tail[at..]))
        }),
    }
}

/// Returns the share of every class: those that are named, and the rest as it was among the others.
fn class_shares(
    wanted: &ClassShares,
    card: &ModelCard,
    reference: &[f64],
    place: &str,
) -> Result<Vec<f64>, SpecError> {
    let error = |problem: String| SpecError::Model { place: place.to_owned(), problem };
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
        return Err(error(format!("the shares of all classes must add up to 1, got {sum}; leave one out")));
    }
    let share = |(share, reference): (Option<f64>, &f64)| share.unwrap_or(rest.max(0.0) * reference / others);
    Ok(shares.into_iter().zip(reference).map(share).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Values;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn iris() -> ModelCard {
        model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap().card
    }

    fn pool(card: &ModelCard) -> Pool {
        card.pool().unwrap()
    }

    fn distribution(operations: &str) -> Result<DriftedDistribution, String> {
        let spec = DriftSpec::from_yaml(&format!("operations: [{operations}]"), "d").unwrap();
        let card = iris();
        DriftedDistribution::new(&spec, &card, &pool(&card)).map_err(|error| error.to_string())
    }

    fn altered(operations: &str) -> Vec<Option<f64>> {
        let mut values = vec![Some(5.1), None, Some(1.4), Some(0.2)];
        let pool = pool(&iris());
        distribution(operations).unwrap().apply(&mut values, &pool, &mut ChaCha8Rng::seed_from_u64(1));
        values
    }

    #[test]
    fn what_the_model_does_not_have_is_named_with_what_it_has() {
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
    fn patterns_match_as_in_a_shell() {
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
    fn named_classes_leave_the_rest_to_the_others() {
        let shares = distribution("class_shares: { named: { setosa: 0.01 } }").unwrap().shares;
        assert!((shares[0] - 0.01).abs() < 1e-12 && (shares[1] / shares[2] - 50.0 / 49.0).abs() < 1e-12);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let last = distribution("class_shares: { last: 0.9 }").unwrap().shares;
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
    fn shifts_and_noise_are_rounded_like_the_data() {
        // 0.76 × 1.5 = 1.14 on petal_width, 1.75 × 1.5 = 2.6 on petal_length.
        let shifted = altered(r#"shift: { features: "petal*", by_sd: 1.5 }"#);
        assert_eq!(shifted, [Some(5.1), None, Some(4.0), Some(1.3)]);
        let noisy = altered(r#"noise: { features: "*", by_sd: 1 }"#);
        assert!(noisy.iter().flatten().all(|&value| value == round_to(Some(1), value)));
        assert_ne!(noisy[0], Some(5.1));
    }

    #[test]
    fn giants_of_whole_numbers_are_beyond_the_range() {
        let spec = DriftSpec::preset("giant").unwrap();
        let mut card = iris();
        let Values::Numeric(numeric) = &mut card.features[0].values else { panic!() };
        (numeric.decimals, numeric.extreme) = (Some(0), [1.05, 1.6]);
        let pool = pool(&card);
        let distribution = DriftedDistribution::new(&spec, &card, &pool).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..100 {
            let mut values = vec![Some(0.0); 4];
            distribution.apply(&mut values, &pool, &mut rng);
            assert_eq!(values[0], Some(2.0));
            assert!((4.5..=6.0).contains(&values[1].unwrap()));
        }
    }

    #[test]
    fn the_largest_numbers_stay_finite() {
        let operations = r#"scale: { features: "*", factor: 1e308 }, scale: { features: "*", factor: -1e308 },
            noise: { features: "*", by_sd: 1e308 }, shift: { features: "*", by_sd: -1e308 }"#;
        assert!(
            altered(&operations.replace(" scale", "scale")).iter().flatten().all(|value| value.is_finite())
        );
    }
}
