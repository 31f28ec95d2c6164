//! Checks that generated rows are as far from their classes as new rows are by the reference.

use super::{Population, pick};
use model::{ModelCard, classifier::Scaling, shape::Distance};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rows drawn to see: their share below a median is known to 1.6 %.
const ROWS: usize = 1000;

/// Of these rows and no others, so that a card always gives the same population.
const SEED: u64 = 0;

/// An excess below this changes the signal's PSI by less than 0.02 and is not worth weakening correlations for.
const PRACTICAL_EXCESS: f64 = 0.05;

/// Chance explains a share that is off by this many standard errors.
const STANDARD_ERRORS: f64 = 2.0;

/// Returns whether too many generated rows are closer to their class than about half of the reference rows, whose distances were
/// measured on shapes fitted without them. Returns false for a card without that signal.
pub(crate) fn is_overconcentrated(population: &Population, card: &ModelCard) -> bool {
    let Some(signal) = card.reference.signals.iter().find(|signal| signal.name == "distance") else {
        return false;
    };
    let mut below = 0.0;
    let Some(middle) = signal.expected.iter().position(|expected| {
        below += expected;
        below >= 0.5
    }) else {
        return false;
    };

    let scaling: Vec<Scaling> =
        card.features.iter().map(|feature| Scaling { mean: feature.mean, sd: feature.sd }).collect();
    let distance = Distance::new(&card.reference.class_shapes);
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let (mut noise, mut scratch, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let close = (0..ROWS).filter(|_| {
        let class = pick(&population.shares, rng.random());
        population.draw(class, &mut rng, &mut noise, &mut values);
        let standardised: Vec<f64> =
            scaling.iter().zip(&values).map(|(scaling, &value)| scaling.apply(value)).collect();
        signal.bins.index(Some(distance.of(&standardised, &mut scratch))) <= middle
    });
    let excess = close.count() as f64 / ROWS as f64 - below;
    let variance = below * (1.0 - below) * (1.0 / ROWS as f64 + 1.0 / signal.rows.max(1) as f64);
    excess > PRACTICAL_EXCESS.max(STANDARD_ERRORS * variance.sqrt())
}
