//! The second pass over a file: reads the values of the columns, whose types are known, and finds the categories.

use super::{
    CsvOptions,
    column::{ColumnType, Profile},
    column_notes::{About, ColumnNote},
    layout::Layout,
    rows::{cell_of, is_missing, rows_of},
};
use crate::{
    OtherCategory,
    card::Categorical,
    table::{Categories, Column},
};
use std::collections::{BTreeSet, HashMap};

/// The number of rows from which on a category has a bin and a weight of its own; at most [`MAX_CATEGORIES`] of a column have them.
pub(crate) const CATEGORY_ROWS: usize = 10;
pub(crate) const MAX_CATEGORIES: usize = 64;

/// The number of rows from which on a category without a bin has a weight of its own.
pub(crate) const WEIGHT_ROWS: usize = 5;

/// The greatest number of weights, over all classes, of the categories that have no bin. A weight takes about 20 bytes of the file. In a
/// table with more of them, categories need more rows to have one.
const MAX_WEIGHTS: usize = 50_000;

/// The greatest number of rare categories of a column that are kept as examples.
const MAX_RARE: usize = 5;

/// The columns of a table, with their values.
pub(super) struct Values {
    pub(super) columns: Vec<Column>,
    pub(super) values: Vec<Vec<f64>>,
    /// The texts of the categories that have no bin of their own, if they are kept.
    pub(super) others: Vec<OtherCategory>,
}

/// What is kept of categories that have no bin of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OtherCategories {
    /// Values of their own, for the weights of a model with this number of classes, if they have enough rows.
    Weighted { classes: usize },
    /// The text of each, for a model that was trained elsewhere.
    Texts,
}

#[expect(clippy::too_many_arguments, reason = "the second pass uses all results of the first")]
pub(super) fn read_values(
    text: &[u8],
    options: &CsvOptions,
    layout: &Layout,
    columns: &[usize],
    types: &[ColumnType],
    profiles: &[Profile],
    rows: usize,
    kept: OtherCategories,
    notes: &mut Vec<ColumnNote>,
) -> Values {
    let mut values: Vec<Vec<f64>> = columns.iter().map(|_| Vec::with_capacity(rows)).collect();
    let mut counts: Vec<Option<Counts>> = columns
        .iter()
        .zip(types)
        .map(|(&at, column_type)| {
            (*column_type == ColumnType::Categorical).then(|| Counts::of(&profiles[at]))
        })
        .collect();
    let least = match kept {
        OtherCategories::Weighted { classes } => least_rows(counts.iter().flatten(), classes),
        OtherCategories::Texts => usize::MAX,
    };
    let mut known: Vec<Known> = Vec::new();
    let described = columns.iter().zip(&mut counts).map(|(&at, counts)| {
        let categories = counts.take().map(|counts| {
            let rare = counts.0.len() - counts.frequent();
            let categories = counts.categories(least);
            if rare > 0 {
                let (frequent, weighted) = (categories.known.len(), categories.weighted.len());
                // A model that was trained elsewhere may use such a column.
                let about = if frequent + weighted == 0 && kept != OtherCategories::Texts {
                    About::OnlyRareCategories { categories: rare, least }
                } else {
                    About::RareCategories { frequent, rare, weighted, least }
                };
                notes.push(ColumnNote { column: layout.header[at].clone(), about });
            }
            categories
        });
        known.push(Known::of(categories.as_ref()));
        Column { categories, ..Column::named(&layout.header[at]) }
    });
    let described: Vec<Column> = described.collect();
    let mut others = Vec::new();
    rows_of(text, options, layout, |record| {
        let features = columns.iter().zip(types).zip(&mut values).zip(&known).enumerate();
        for (feature, (((&at, column_type), values), known)) in features {
            let cell = cell_of(&record[at], options);
            let value = match column_type {
                _ if is_missing(cell, options) => f64::NAN,
                ColumnType::Numeric => cell.parse().unwrap_or(f64::NAN),
                ColumnType::Categorical => known.value(cell) as f64,
            };
            if kept == OtherCategories::Texts
                && *column_type == ColumnType::Categorical
                && value >= known.frequent as f64
            {
                others.push(OtherCategory { row: values.len(), feature, text: cell.into() });
            }
            values.push(value);
        }
    });
    Values { columns: described, values, others }
}

/// The number of rows of each category of a column, the most frequent first.
struct Counts<'a>(Vec<(&'a String, usize)>);

impl<'a> Counts<'a> {
    fn of(profile: &'a Profile) -> Self {
        let mut counts: Vec<(&String, usize)> = profile.texts().collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        Self(counts)
    }

    /// Returns the number of categories that have a bin.
    fn frequent(&self) -> usize {
        self.0.iter().take(MAX_CATEGORIES).take_while(|(_, count)| *count >= CATEGORY_ROWS).count()
    }

    /// Returns the number of categories without a bin that have at least `least` rows.
    fn weighted(&self, least: usize) -> usize {
        self.0[self.frequent()..].iter().take_while(|(_, count)| *count >= least).count()
    }

    /// Returns the categories. Those without a bin have a weight if they have at least `least` rows.
    fn categories(&self, least: usize) -> Categories {
        let names = |counts: &[(&String, usize)]| counts.iter().map(|(name, _)| (*name).clone()).collect();
        let (frequent, others) = self.0.split_at(self.frequent());
        let (weighted, rest) = others.split_at(self.weighted(least));
        let rare = names(&rest[..rest.len().min(MAX_RARE)]);
        // The order of the weighted categories is that of the model card.
        let own = Categorical::new(sorted(names(frequent)), names(weighted), rare);
        Categories { known: own.categories, weighted: own.weighted, rare: own.rare }
    }
}

/// Returns the number of rows that a category without a bin needs to have a weight.
fn least_rows<'a>(columns: impl Iterator<Item = &'a Counts<'a>> + Clone, classes: usize) -> usize {
    let weights = |least: usize| columns.clone().map(|own| own.weighted(least)).sum::<usize>() * classes;
    let mut least = WEIGHT_ROWS;
    while weights(least) > MAX_WEIGHTS {
        least += (least / 2).max(1);
    }
    least
}

/// The values of a column's categories by their texts.
struct Known {
    values: HashMap<String, usize>,
    frequent: usize,
}

impl Known {
    fn of(categories: Option<&Categories>) -> Self {
        let own = |texts: fn(&Categories) -> &Vec<String>| categories.into_iter().flat_map(texts).cloned();
        let frequent = categories.map_or(0, |own| own.known.len());
        let values = own(|own| &own.known).zip(0..).chain(own(|own| &own.weighted).zip(frequent + 1..));
        Self { values: values.collect(), frequent }
    }

    /// Returns the value of a category, which is that of any other category if it has neither a bin nor a weight.
    fn value(&self, text: &str) -> usize {
        self.values.get(text).copied().unwrap_or(self.frequent)
    }
}

/// Sorts names by value if all are integers, and otherwise by text.
pub(super) fn sorted(names: Vec<String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    if names.iter().all(|name| name.parse::<i64>().is_ok()) {
        names.sort_by_key(|name| name.parse::<i64>().unwrap_or_default());
    }
    names
}
