//! The truth that all rows of a benchmark come from, and references drawn from it.
//!
//! The model under test does not know the ground truth: for each reference as many rows are drawn as the model card's reference
//! has, a model is trained on them, and fresh rows of the same ground truth are its traffic. So the noise of the reference is
//! part of what is measured, and no reference row comes back but by chance.

use crate::{monitor::Monitor, seed::derive};
use anyhow::{Result, anyhow};
use driftsim::{DriftSpec, RowSource};
use model::{Categories, Column, ModelCard, Table, TrainOptions};

/// References that can't be trained on, say because a class has hardly a row, are drawn again so often.
const ATTEMPTS: u64 = 20;

/// Where rows come from.
#[derive(Debug, Clone)]
pub(crate) struct GroundTruth {
    pub(crate) card: ModelCard,
    /// Rows without drift.
    pub(crate) steady: RowSource,
}

/// A monitor for a model that was trained on rows of the ground truth.
#[derive(Debug, Clone)]
pub(crate) struct Trained {
    pub(crate) monitor: Monitor,
    /// Draws before this one that no model could be trained on.
    pub(crate) failures: u64,
}

impl GroundTruth {
    pub(crate) fn new(card: &ModelCard) -> Result<Self> {
        Ok(Self { card: card.clone(), steady: RowSource::new(card, &DriftSpec::steady(), 0)? })
    }

    /// Draws a reference and trains a model on it as the card's own was.
    ///
    /// # Errors
    /// When no draw of several can be trained on.
    pub(crate) fn train(&self, seed: u64) -> Result<Trained> {
        let mut failures = 0;
        loop {
            match model::train(&self.table(derive(seed, &[failures])), &self.options()) {
                Ok(file) => return Ok(Trained { monitor: Monitor::new(&file), failures }),
                Err(error) if failures + 1 == ATTEMPTS => {
                    return Err(anyhow!(error).context(format!(
                        "none of {ATTEMPTS} references drawn from the model's ground truth can be trained on"
                    )));
                }
                Err(_) => failures += 1,
            }
        }
    }

    /// As many rows as the card's reference has. Their classes are drawn too: a card's own may have been balanced by
    /// hand, as those of Iris were, but then its class shares would come without the noise that is to be measured.
    fn table(&self, seed: u64) -> Table {
        let rows = usize::try_from(self.card.reference.rows).unwrap_or(usize::MAX);
        let drawn = self.steady.reseeded(seed).take(rows).filter_map(|row| Some((row.values, row.class?)));
        let (rows, labels): (Vec<_>, Vec<_>) = drawn.unzip();
        let columns = self.card.features.iter().map(|feature| Column {
            name: feature.name.clone(),
            unit: feature.unit.clone(),
            extreme: feature.numeric().map(|numeric| numeric.extreme),
            categories: feature
                .categorical()
                .map(|own| Categories { known: own.categories.clone(), rare: own.rare.clone() }),
        });
        Table::from_rows(columns.collect(), self.card.classes.clone(), &rows, labels)
    }

    fn options(&self) -> TrainOptions {
        let training = &self.card.training;
        let rows = (training.train_rows + training.test_rows).max(1) as f64;
        // A profile was not trained here.
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
    fn references_are_drawn_afresh_and_reproducibly() {
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
        // One row has one class.
        card.reference.rows = 1;
        let error = format!("{:#}", GroundTruth::new(&card).unwrap().train(1).unwrap_err());
        assert!(
            error.starts_with(
                "none of 20 references drawn from the model's ground truth can be trained on: class "
            ),
            "{error}"
        );
    }
}
