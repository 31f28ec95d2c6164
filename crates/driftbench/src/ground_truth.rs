//! Holds the distribution that all rows of a benchmark are drawn from (the ground truth), and draws references from it.
//!
//! For each reference, as many rows are drawn as the model card's reference has, and a model is trained on them. Its traffic
//! consists of newly drawn rows of the same ground truth, so a reference row occurs in the traffic only by chance, and the
//! noise of the reference is part of what is measured.

use crate::{monitor::Monitor, seed::derive};
use anyhow::{Result, anyhow};
use driftsim::{DriftSpec, RowSource};
use model::{Categories, Column, ModelCard, Table, TrainOptions};

/// How often a reference is drawn before giving up. A draw fails if no model can be trained on it, for example because a
/// class has too few rows.
const ATTEMPTS: u64 = 20;

/// The distribution of rows, given by a model card.
#[derive(Debug, Clone)]
pub(crate) struct GroundTruth {
    pub(crate) card: ModelCard,
    /// A source of rows without drift.
    pub(crate) steady: RowSource,
}

/// A monitor for a model that was trained on rows of the ground truth.
#[derive(Debug, Clone)]
pub(crate) struct Trained {
    pub(crate) monitor: Monitor,
    /// The number of references drawn before this one on which no model could be trained.
    pub(crate) failures: u64,
}

impl GroundTruth {
    pub(crate) fn new(card: &ModelCard) -> Result<Self> {
        Ok(Self { card: card.clone(), steady: RowSource::new(card, &DriftSpec::steady(), 0)? })
    }

    /// Draws a reference and trains a model on it, with the options that the card's own model was trained with.
    ///
    /// # Errors
    /// If no model can be trained on any of [`ATTEMPTS`] references.
    pub(crate) fn train(&self, seed: u64) -> Result<Trained> {
        let mut failures = 0;
        loop {
            match model::train(&self.table(derive(seed, &[failures])), &self.options()) {
                Ok(file) => return Ok(Trained { monitor: Monitor::new(&file), failures }),
                Err(error) if failures + 1 == ATTEMPTS => {
                    return Err(anyhow!(error).context(format!(
                        "--model: no model could be trained on any of {ATTEMPTS} references drawn from the distributions of this \
                         model; give one with more reference rows than {}",
                        self.card.reference.rows
                    )));
                }
                Err(_) => failures += 1,
            }
        }
    }

    /// Draws as many rows as the card's reference has. Their classes are drawn at random, even if the classes of the card's own
    /// table were balanced by hand, as those of Iris were, because the noise of the class shares is to be measured, too.
    fn table(&self, seed: u64) -> Table {
        let rows = usize::try_from(self.card.reference.rows).unwrap_or(usize::MAX);
        let drawn = self.steady.reseeded(seed).take(rows).filter_map(|row| Some((row.values, row.class?)));
        let (rows, labels): (Vec<_>, Vec<_>) = drawn.unzip();
        let columns = self.card.features.iter().map(|feature| Column {
            name: feature.name.clone(),
            unit: feature.unit.clone(),
            extreme: feature.numeric().map(|numeric| numeric.extreme),
            categories: feature.categorical().map(|own| Categories {
                known: own.categories.clone(),
                weighted: own.weighted.clone(),
                rare: own.rare.clone(),
            }),
        });
        Table::from_rows(columns.collect(), self.card.classes.clone(), &rows, labels)
    }

    fn options(&self) -> TrainOptions {
        let training = &self.card.training;
        let rows = (training.train_rows + training.test_rows).max(1) as f64;
        // The card of a profile does not have an alpha.
        let defaults = TrainOptions::new(&self.card.name);
        TrainOptions {
            name: defaults.name,
            test_fraction: training.test_rows as f64 / rows,
            seed: training.seed,
            alpha: training.alpha.unwrap_or(defaults.alpha),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::ModelFile;

    fn iris() -> ModelFile {
        model::train(&model::iris::table(), &TrainOptions::new("iris")).unwrap()
    }

    #[test]
    fn each_seed_draws_its_own_reference_reproducibly() {
        let truth = GroundTruth::new(&iris().card).unwrap();
        let table = truth.table(1);
        assert_eq!(table.len(), 147);
        assert_eq!(table, truth.table(1));
        let known: Vec<_> = table.rows().collect();
        let fresh = truth.table(2).rows().filter(|row| !known.contains(row)).count();
        // The pool has 2,000 rows, and flowers measured to a millimetre repeat by chance.
        assert!(fresh > 110, "{fresh} of 147");
    }

    #[test]
    fn a_ground_truth_without_a_trainable_model_is_an_error() {
        let mut card = iris().card;
        // A single row has a single class, and training needs at least two.
        card.reference.rows = 1;
        let error = format!("{:#}", GroundTruth::new(&card).unwrap().train(1).unwrap_err());
        assert!(
            error.starts_with(
                "--model: no model could be trained on any of 20 references drawn from the distributions of this model; \
                 give one with more reference rows than 1: class "
            ),
            "{error}"
        );
    }
}
