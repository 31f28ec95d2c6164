//! The distribution of rows without drift: the classes of a model card, each with its own distribution.
//!
//! A row is drawn class first, then as L·ε with ε standard normal and L the factor of the class's copula, then value
//! by value through the class's marginals. It follows the reference in everything that the card contains: class shares,
//! each feature's distribution within each class, correlations within each class, gaps, decimals. It can't follow
//! what the card does not contain, such as a dependence that is not a correlation. From fewer than ten rows a class too little
//! is known for rows that stay within the reference's noise.
//!
//! No reference row is copied: the card has none. Rounded data of few features repeat themselves by chance, though,
//! as fresh flowers measured to a millimetre do.

mod concentration;

use crate::{
    SpecError,
    copula::{Expansion, factor},
    marginal::Marginal,
};
use concentration::is_overconcentrated;
use model::{ClassShape, Feature, ModelCard};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

/// How much of the correlations is tried in turn: all of it unless the rows then lie closer to their classes than the
/// reference's own.
const KEEPS: [f64; 12] = [1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0];

/// An end that this share of the rows sits at is the end of a scale.
const END_SHARE: f64 = 0.05;

/// Fewer different values than this make a scale: marks from 0 to 10 are eleven.
const MEASURED_VALUES: usize = 12;

/// Classes, how often each occurs, and how their rows are distributed.
#[derive(Debug, Clone)]
pub(crate) struct Population {
    /// Share of each class, adding up to 1.
    pub(crate) shares: Vec<f64>,
    classes: Vec<ClassDistribution>,
    /// Whether any row of any class has a gap.
    gaps: bool,
}

#[derive(Debug, Clone)]
struct ClassDistribution {
    /// Correlations of the normal variables, a square whose lower triangle counts.
    latent: Vec<f64>,
    /// Lower triangle of the copula's factor, row by row.
    factor: Vec<f64>,
    /// One a feature; `None` where the class has no values at all.
    marginals: Vec<Option<Marginal>>,
    /// Per feature, the share of rows without a value.
    missing: Vec<f64>,
}

impl Population {
    pub(crate) fn new(card: &ModelCard) -> Result<Self, SpecError> {
        check(card)?;
        let shapes = &card.reference.class_shapes;
        let rows: f64 = shapes.iter().map(|shape| shape.rows as f64).sum();
        let limits: Vec<[f64; 2]> = (0..card.features.len()).map(|feature| limits(card, feature)).collect();
        // Lists as long as this may be extracts of more values; shorter ones hold every value of their class.
        let extract =
            shapes.iter().flat_map(|shape| &shape.quantiles).map(Vec::len).max().unwrap_or_default();
        let classes: Vec<ClassDistribution> = shapes
            .iter()
            .map(|shape| ClassDistribution::new(shape, &card.features, &limits, extract))
            .collect();
        let mut population = Self {
            shares: shapes.iter().map(|shape| shape.rows as f64 / rows).collect(),
            gaps: classes.iter().flat_map(|class| &class.missing).any(|&missing| missing > 0.0),
            classes,
        };
        // Correlations of few rows are overstated as a whole: rows drawn from them concentrate along their least spread
        // directions, where fresh rows would not be (J. Schäfer, K. Strimmer, "A shrinkage approach to large-scale
        // covariance matrix estimation", 2005). It shows from a third as many features as rows of a class.
        for keep in KEEPS {
            population.classes.iter_mut().for_each(|class| class.tie(keep));
            if !is_overconcentrated(&population, card) {
                break;
            }
        }
        Ok(population)
    }

    /// A row of `class`. Takes one normal number a feature, then, if rows can have gaps, one uniform number a feature:
    /// as many whatever the class and the values, so that row n of a seed is made of the same numbers in every drift.
    /// Overwrites `values`; `noise` is scratch.
    pub(crate) fn draw(
        &self,
        class: usize,
        rng: &mut impl Rng,
        noise: &mut Vec<f64>,
        values: &mut Vec<Option<f64>>,
    ) {
        let law = &self.classes[class];
        noise.clear();
        noise.extend((0..law.marginals.len()).map(|_| rng.sample::<f64, _>(StandardNormal)));
        let mut start = 0;
        values.clear();
        for (feature, marginal) in law.marginals.iter().enumerate() {
            let line = &law.factor[start..=start + feature];
            let z = line.iter().zip(noise.iter()).map(|(l, e)| l * e).sum();
            values.push(marginal.as_ref().map(|marginal| marginal.at(z)));
            start += feature + 1;
        }
        if self.gaps {
            for (value, &missing) in values.iter_mut().zip(&law.missing) {
                if rng.random::<f64>() < missing {
                    *value = None;
                }
            }
        }
    }

    /// Returns how many values a row has.
    pub(crate) fn features(&self) -> usize {
        self.classes.first().map_or(0, |class| class.marginals.len())
    }

    /// Returns one feature of a row of `class`, on its own.
    pub(crate) fn draw_one(&self, class: usize, feature: usize, rng: &mut impl Rng) -> Option<f64> {
        let law = &self.classes[class];
        let z = rng.sample::<f64, _>(StandardNormal);
        let present = rng.random::<f64>() >= law.missing[feature];
        law.marginals[feature].as_ref().filter(|_| present).map(|marginal| marginal.at(z))
    }
}

/// Returns the class that a uniform number in [0, 1) selects by the classes' shares.
pub fn pick(shares: &[f64], uniform: f64) -> usize {
    let mut below = 0.0;
    let found = shares.iter().position(|share| {
        below += share;
        uniform < below
    });
    // Rounding can leave the sum of the shares a hair below 1.
    found.or_else(|| shares.iter().rposition(|&share| share > 0.0)).unwrap_or_default()
}

impl ClassDistribution {
    fn new(shape: &ClassShape, features: &[Feature], limits: &[[f64; 2]], extract: usize) -> Self {
        let count = features.len();
        let missing: Vec<f64> =
            (0..count).map(|f| missing(shape, f, features[f].missing_ratio, extract)).collect();
        let marginals: Vec<Option<Marginal>> = (0..count)
            .map(|f| {
                let list = &shape.quantiles[f];
                let rows = (shape.rows as f64 * (1.0 - missing[f])).max(list.len() as f64);
                (!list.is_empty()).then(|| Marginal::new(list, rows, limits[f], features[f].decimals))
            })
            .collect();
        let expansions: Vec<Expansion> = marginals.iter().map(|m| Expansion::of(m.as_ref())).collect();
        let mut latent = vec![0.0; count * count];
        for i in 0..count {
            for j in 0..i {
                let target = correlation(shape, &missing, i, j);
                latent[i * count + j] = expansions[i].solve(&expansions[j], target);
            }
        }
        Self { latent, factor: Vec::new(), marginals, missing }
    }

    /// Ties the features together with so much of their correlations.
    fn tie(&mut self, keep: f64) {
        let count = self.marginals.len();
        self.factor = factor(|i, j| keep * self.latent[i * count + j], count);
    }
}

/// Returns the share of a class's rows without a value.
fn missing(shape: &ClassShape, feature: usize, overall: f64, extract: usize) -> f64 {
    let values = shape.quantiles[feature].len();
    if values < extract || values as u64 >= shape.rows {
        1.0 - (values as f64 / shape.rows as f64).min(1.0)
    } else {
        overall
    }
}

/// Returns the correlation of two features within a class, gaps aside.
///
/// The card's covariance takes a missing value as the mean of the whole column. If gaps strike at random, that leaves
/// (1 − mᵢ)(1 − mⱼ) of a covariance, and of a variance (1 − m)·σ² + m·(1 − m)·μ², with μ the mean of the class's
/// values, of which the card's mean is (1 − m)·μ.
fn correlation(shape: &ClassShape, missing: &[f64], i: usize, j: usize) -> f64 {
    let variance = |f: usize| {
        let kept = 1.0 - missing[f];
        let mean = shape.means[f] / kept;
        (shape.covariance[f][f] - missing[f] * kept * mean * mean) / kept
    };
    let covariance = shape.covariance[i][j] / ((1.0 - missing[i]) * (1.0 - missing[j]));
    let correlation = covariance / (variance(i) * variance(j)).sqrt();
    // Constant columns, and columns without values, have none.
    if correlation.is_finite() { correlation.clamp(-1.0, 1.0) } else { 0.0 }
}

/// Returns what no fresh value goes beyond: the ends of a scale, and 0 where the reference is on one side of it.
///
/// A column of few different values is a scale (yes and no, marks out of ten), and so is an end that many rows share
/// (a sensor's limit). Data that were merely rounded also share their least and greatest values, but rarely.
fn limits(card: &ModelCard, feature: usize) -> [f64; 2] {
    let Some([least, greatest]) = card.features[feature].range else { return [f64::MIN, f64::MAX] };
    let lists = card.reference.class_shapes.iter().map(|shape| &shape.quantiles[feature]);
    let mut values: Vec<f64> = lists.flatten().copied().collect();
    let shares = |end: f64| values.iter().filter(|&&value| value == end).count() as f64 / values.len() as f64;
    let ends = [least, greatest].map(|end| shares(end) >= END_SHARE);
    values.sort_by(f64::total_cmp);
    values.dedup();
    let scale = values.len() < MEASURED_VALUES;
    let low = if least >= 0.0 { 0.0 } else { f64::MIN };
    let high = if greatest <= 0.0 { 0.0 } else { f64::MAX };
    [if scale || ends[0] { least } else { low }, if scale || ends[1] { greatest } else { high }]
}

/// Cards come over the wire too, so their parts may not fit together.
fn check(card: &ModelCard) -> Result<(), SpecError> {
    let ensure = |holds: bool, place: String, problem: &str| {
        if holds { Ok(()) } else { Err(SpecError::Card { place, problem: problem.to_owned() }) }
    };
    let (features, shapes) = (card.features.len(), &card.reference.class_shapes);
    ensure(features > 0, "features".into(), "there must be at least one")?;
    ensure(
        !shapes.is_empty() && shapes.len() == card.classes.len(),
        "reference.class_shapes".into(),
        "there must be one a class",
    )?;
    for (class, shape) in shapes.iter().enumerate() {
        let place = |part: &str| format!("reference.class_shapes[{class}].{part}");
        ensure(shape.rows > 0, place("rows"), "must be above 0")?;
        ensure(shape.means.len() == features, place("means"), "there must be one a feature")?;
        ensure(
            shape.covariance.len() == features && shape.covariance.iter().all(|line| line.len() == features),
            place("covariance"),
            "must have one row and one column a feature",
        )?;
        ensure(
            shape.quantiles.len() == features
                && shape.quantiles.iter().all(|list| list.is_sorted() && list.iter().all(|q| q.is_finite())),
            place("quantiles"),
            "there must be one ascending list of finite numbers a feature",
        )?;
    }
    for (at, feature) in card.features.iter().enumerate() {
        let [low, high] = feature.extreme;
        ensure(
            low.is_finite() && high.is_finite() && low <= high,
            format!("features[{at}].extreme"),
            "must be two ascending finite numbers",
        )?;
        ensure(
            feature.range.is_none_or(|[least, greatest]| least <= greatest),
            format!("features[{at}].range"),
            "must be two ascending numbers",
        )?;
        ensure(
            feature.sd.is_finite() && feature.sd > 0.0,
            format!("features[{at}].sd"),
            "must be a finite number above 0",
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uniform_number_picks_by_share_and_never_an_empty_class() {
        let shares = [0.0, 0.25, 0.0, 0.75, 0.0];
        assert_eq!([0.0, 0.24, 0.25, 0.99, 1.0].map(|u| pick(&shares, u)), [1, 1, 3, 3, 3]);
    }

    #[test]
    fn gaps_at_random_do_not_hide_a_correlation() {
        // 0.8 between features of variance 1 and class mean 2, a quarter and a half of the values missing.
        let shape = ClassShape {
            rows: 1000,
            means: vec![2.0 * 0.75, 2.0 * 0.5],
            covariance: vec![
                vec![0.75 + 0.25 * 0.75 * 4.0, 0.8 * 0.75 * 0.5],
                vec![0.8 * 0.75 * 0.5, 0.5 + 0.5 * 0.5 * 4.0],
            ],
            quantiles: vec![vec![0.0; 101]; 2],
        };
        assert!((correlation(&shape, &[0.25, 0.5], 1, 0) - 0.8).abs() < 1e-12);
    }

    type Damage = fn(&mut ModelCard);

    #[test]
    fn a_card_that_does_not_fit_together_is_refused_by_field() {
        let file = model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap();
        let broken = |change: Damage| {
            let mut card = file.card.clone();
            change(&mut card);
            Population::new(&card).unwrap_err().to_string()
        };
        let cases: [(Damage, &str); 8] = [
            (|card| card.features.clear(), "model card: features: there must be at least one"),
            (
                |card| card.classes.truncate(2),
                "model card: reference.class_shapes: there must be one a class",
            ),
            (|card| card.reference.class_shapes[1].rows = 0, "model card: reference.class_shapes[1].rows: "),
            (
                |card| card.reference.class_shapes[2].covariance[3].clear(),
                "model card: reference.class_shapes[2].covariance: ",
            ),
            (
                |card| card.reference.class_shapes[0].quantiles[0].reverse(),
                "model card: reference.class_shapes[0].quantiles: ",
            ),
            (|card| card.features[1].extreme = [2.0, 1.0], "model card: features[1].extreme: "),
            (|card| card.features[1].range = Some([2.0, 1.0]), "model card: features[1].range: "),
            (|card| card.features[1].sd = 0.0, "model card: features[1].sd: "),
        ];
        for (change, expected) in cases {
            assert!(broken(change).starts_with(expected), "{expected}");
        }
    }
}
