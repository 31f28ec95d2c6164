//! Draws rows from the pool of a model, or from a table.

use crate::{TableRows, records::Label};
use model::{Pool, simulator::pick_class};
use rand::{Rng, RngExt};
use std::sync::Arc;

#[derive(Debug, Clone)]
pub(crate) enum Origin {
    Pool {
        pool: Pool,
        /// Whether the groups of the pool are the true classes. Otherwise they are predicted classes or groups of similar numbers.
        has_classes: bool,
    },
    Table(Arc<TableRows>),
}

impl Origin {
    /// Returns the share of each class, or of each group of the pool; all are 0 if no row has a class.
    pub(crate) fn shares(&self) -> &[f64] {
        match self {
            Self::Pool { pool, .. } => pool.shares(),
            Self::Table(table) => table.shares(),
        }
    }

    /// Draws a row and returns its true class or number, if it is known; `shares` replaces the shares of the classes or groups.
    pub(crate) fn draw(
        &self,
        shares: Option<&[f64]>,
        rng: &mut impl Rng,
        values: &mut Vec<Option<f64>>,
    ) -> Option<Label> {
        match self {
            Self::Pool { pool, has_classes } => {
                let group = pick_class(shares.unwrap_or(pool.shares()), rng.random());
                pool.draw(group, rng, values);
                has_classes.then_some(Label::Class(group))
            }
            Self::Table(table) => table.draw(shares, rng, values),
        }
    }

    /// Draws one feature of a row, on its own.
    pub(crate) fn draw_one(&self, shares: Option<&[f64]>, feature: usize, rng: &mut impl Rng) -> Option<f64> {
        match self {
            Self::Pool { pool, .. } => {
                let group = pick_class(shares.unwrap_or(pool.shares()), rng.random());
                pool.draw_one(group, feature, rng)
            }
            Self::Table(table) => table.draw_one(shares, feature, rng),
        }
    }
}
