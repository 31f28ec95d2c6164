//! Generates rows with their arrival times: a Poisson process of rows from one source.

use driftsim::{Row, RowSource};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

/// The stream of random numbers for arrival times; a [`RowSource`] uses the streams with smaller numbers.
const ARRIVALS: u64 = 3;

/// An endless stream of rows at a mean rate, with independent exponential gaps between them.
#[derive(Debug, Clone)]
pub(crate) struct Traffic {
    source: RowSource,
    rng: ChaCha8Rng,
    /// The mean time between rows, in seconds.
    gap: f64,
    /// The time at which the next row arrives, in seconds.
    next: f64,
    row: Row,
}

impl Traffic {
    /// Creates traffic from the time `start` on, in seconds. A Poisson process has no memory, so it can begin at any time.
    pub(crate) fn new(truth: &RowSource, rate: f64, start: f64, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(ARRIVALS);
        let gap = 1.0 / rate;
        let first: f64 = Exp1.sample(&mut rng);
        let row = Row { values: Vec::new(), class: None, number: None, drifted: false };
        Self { source: truth.reseeded(seed), rng, gap, next: start + gap * first, row }
    }

    /// Passes every row that arrives before `end` to `seen`, with its time.
    #[inline]
    pub(crate) fn until(&mut self, end: f64, mut seen: impl FnMut(f64, &Row)) {
        while self.next < end {
            self.source.fill(&mut self.row);
            seen(self.next, &self.row);
            let wait: f64 = Exp1.sample(&mut self.rng);
            self.next += self.gap * wait;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftsim::DriftSpec;

    fn counts(rate: f64, slices: usize) -> Vec<f64> {
        let file = model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap();
        let truth = RowSource::new(&file.card, &DriftSpec::steady(), 0).unwrap();
        let mut traffic = Traffic::new(&truth, rate, 0.0, 3);
        (1..=slices)
            .map(|slice| {
                let mut rows = 0.0;
                traffic.until(5.0 * slice as f64, |_, _| rows += 1.0);
                rows
            })
            .collect()
    }

    #[test]
    fn counts_are_poisson() {
        // Mean and variance of 2,000 counts of mean 10: 0.07 and 0.32 are their standard errors.
        let counts = counts(2.0, 2000);
        let mean = counts.iter().sum::<f64>() / 2000.0;
        let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / 1999.0;
        assert!((mean - 10.0).abs() < 0.3, "{mean}");
        assert!((variance - 10.0).abs() < 1.3, "{variance}");
    }

    #[test]
    fn rows_do_not_depend_on_how_the_time_is_divided() {
        let file = model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap();
        let truth = RowSource::new(&file.card, &DriftSpec::steady(), 0).unwrap();
        let arrivals = |cuts: &[f64]| {
            let mut traffic = Traffic::new(&truth, 3.0, 0.0, 9);
            let mut rows = Vec::new();
            cuts.iter().for_each(|&cut| traffic.until(cut, |time, row| rows.push((time, row.clone()))));
            rows
        };
        let whole = arrivals(&[20.0]);
        assert!(whole.len() > 30);
        assert_eq!(whole, arrivals(&[5.0, 5.1, 20.0]));
    }
}
