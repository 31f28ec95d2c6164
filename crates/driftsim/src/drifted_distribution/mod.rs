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
mod tests;
