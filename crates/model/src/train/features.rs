//! Describes the features of a table: their ranges and categories, and how much the predictions depend on each.

use crate::{
    Feature, Table,
    card::{Categorical, Numeric, Values},
    design::Design,
    encoding::Slot,
    logistic::Weights,
    table::Column,
};
use rayon::prelude::*;

/// Returns how much the logits depend on each feature.
pub(super) fn importances(design: &Design, table: &Table, weights: &Weights) -> Vec<f64> {
    let (mut start, mut first_weighted) = (0, design.width());
    let mut spreads = Vec::new();
    for (slot, values) in design.encoding.slots().iter().zip(&table.values) {
        let columns = start..start + slot.width();
        let weighted = first_weighted..first_weighted + slot.weighted_width();
        (start, first_weighted) = (columns.end, weighted.end);
        spreads.push(spread(*slot, values, weights, columns.chain(weighted)));
    }
    spreads
}

/// Describes the features of a table. Their importances are given as shares of the sum of `importances`.
pub(crate) fn features(table: &Table, design: &Design, importances: &[f64]) -> Vec<Feature> {
    let all: f64 = importances.iter().sum();
    let columns = table.columns.par_iter().zip(&table.values).zip(design.encoding.slots()).zip(importances);
    let describe = |(((column, values), slot), own): (((&Column, &Vec<f64>), &Slot), &f64)| Feature {
        name: column.name.clone(),
        unit: column.unit.clone(),
        values: describe(column, values, *slot),
        missing_ratio: missing_ratio(values),
        accepts_missing: false,
        importance: if all > 0.0 { own / all } else { 0.0 },
    };
    columns.map(describe).collect()
}

fn missing_ratio(values: &[f64]) -> f64 {
    values.iter().filter(|value| value.is_nan()).count() as f64 / values.len() as f64
}

fn describe(column: &Column, values: &[f64], slot: Slot) -> Values {
    let Slot::Numeric(scaling) = slot else {
        let categories = column.categories.clone().unwrap_or_default();
        return Values::Categorical(Categorical::new(categories.known, categories.weighted, categories.rare));
    };
    let present: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    let least = present.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = present.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = (!present.is_empty()).then_some([least, greatest]);
    Values::Numeric(Numeric {
        range,
        mean: scaling.mean,
        sd: scaling.sd,
        decimals: drift::bins::decimals(&present).filter(|_| range.is_some()),
        extreme: column.extreme.unwrap_or_else(|| beyond(range.unwrap_or([0.0, 0.0]))),
    })
}

/// Returns how much the logits depend on a feature: the standard deviation, over the rows, of its contribution to a class's logit,
/// averaged over the classes. The mean contribution to all classes is subtracted first, because it does not change the prediction.
/// `columns` are the feature's encoded columns, and then those of its weighted categories.
fn spread(slot: Slot, values: &[f64], weights: &Weights, columns: impl Iterator<Item = usize>) -> f64 {
    let classes = weights.coefficients.len() as f64;
    // The contribution of each column, class by class.
    let added: Vec<Vec<f64>> = columns
        .map(|column| {
            let mean = weights.coefficients.iter().map(|line| line[column]).sum::<f64>() / classes;
            weights.coefficients.iter().map(|line| line[column] - mean).collect()
        })
        .collect();
    match slot {
        // The present values have mean 0 and standard deviation 1, and missing ones count as 0.
        Slot::Numeric(_) => {
            let present = 1.0 - missing_ratio(values);
            present.sqrt() * added[0].iter().map(|weight| weight.abs()).sum::<f64>() / classes
        }
        Slot::Categorical { categories, weighted } => {
            let mut shares = vec![0.0; added.len()];
            for &value in values {
                let value = (!value.is_nan()).then_some(value);
                let at = Slot::weighted(categories, weighted, value)
                    .map_or_else(|| Slot::active(categories, value), |at| slot.width() + at);
                shares[at] += 1.0 / values.len() as f64;
            }
            let sd = |class: usize| {
                let own = || added.iter().map(|added| added[class]).zip(&shares);
                let mean: f64 = own().map(|(added, share)| share * added).sum();
                own().map(|(added, share)| share * (added - mean).powi(2)).sum::<f64>().sqrt()
            };
            (0..weights.coefficients.len()).map(sd).sum::<f64>() / classes
        }
    }
}

/// Returns a range of values above another range: it begins 0.05 widths above the greatest value and ends 0.6 widths above it.
fn beyond([least, greatest]: [f64; 2]) -> [f64; 2] {
    let width = (greatest - least).max(greatest.abs() * 0.1).max(1e-9);
    [0.05, 0.6].map(|part| greatest + part * width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn importance_is_the_standard_deviation_of_a_features_contribution() {
        // The first encoded column is of another feature.
        let numeric = Slot::Numeric(crate::encoding::Scaling { mean: 0.0, sd: 1.0 });
        let line = |values: [f64; 4]| values.to_vec();
        let weights = Weights {
            coefficients: vec![line([1.0, 1.0, 2.0, 3.0]), line([-3.0, -1.0, -2.0, -3.0])],
            intercepts: vec![0.0; 2],
        };
        // 1 and −3 minus their mean are 2 and −2.
        assert_eq!(spread(numeric, &[-1.0, 1.0], &weights, 0..1), 2.0);
        // numpy.std([-1, 1, 0, 0]) is √½.
        let gaps = spread(numeric, &[-1.0, 1.0, f64::NAN, f64::NAN], &weights, 0..1);
        assert!((gaps - 2.0 * 0.5_f64.sqrt()).abs() < 1e-12, "{gaps}");
        // The shares are 1/2, 1/4 and 1/4: numpy.sqrt(numpy.cov([1, 1, 2, 3], bias=True))
        let values = [0.0, 0.0, 1.0, f64::NAN];
        let slot = Slot::Categorical { categories: 1, weighted: 0 };
        let own = spread(slot, &values, &weights, 1..4);
        assert!((own - 0.82915619758885).abs() < 1e-12, "{own}");
        // A weighted category in the place of the missing value. It has the last column, and no row has the other two.
        let wide = Weights {
            coefficients: vec![
                line([1.0, 1.0, 2.0, 9.0]).into_iter().chain([3.0]).collect(),
                line([-3.0, -1.0, -2.0, 0.0]).into_iter().chain([-3.0]).collect(),
            ],
            intercepts: vec![0.0; 2],
        };
        let weighted = Slot::Categorical { categories: 1, weighted: 1 };
        let own = spread(weighted, &[0.0, 0.0, 1.0, 2.0], &wide, 1..5);
        assert!((own - 0.82915619758885).abs() < 1e-12, "{own}");
        // Weights that are equal for all classes do not change the prediction.
        let equal = Weights { coefficients: vec![line([1.0, 1.0, 2.0, 5.0]); 2], intercepts: vec![0.0; 2] };
        assert_eq!(spread(slot, &values, &equal, 1..4), 0.0);

        let categories =
            crate::Categories { known: vec!["a".into()], rare: vec!["b".into()], ..Default::default() };
        let columns = vec![Column::named("x"), Column { categories: Some(categories), ..Column::named("c") }];
        let rows: Vec<Vec<Option<f64>>> =
            [0.0, 0.0, 1.0, 9.0].map(|c| vec![Some(c + 1.5), (c < 9.0).then_some(c)]).to_vec();
        let table = Table::from_rows(columns, vec!["p".into(), "q".into()], &rows, vec![0, 0, 1, 1]);
        let design = Design::new(&table, &[0, 1, 2, 3]);
        let described = features(&table, &design, &importances(&design, &table, &weights));
        assert!((described[0].importance - 2.0 / 2.82915619758885).abs() < 1e-12);
        assert!((described[1].importance - 0.82915619758885 / 2.82915619758885).abs() < 1e-12);
        assert_eq!((described[0].missing_ratio, described[1].missing_ratio), (0.0, 0.25));
        let numeric = described[0].numeric().unwrap();
        assert_eq!((numeric.range, numeric.mean, numeric.decimals), (Some([1.5, 10.5]), 4.0, Some(1)));
        assert_eq!(described[1].categorical().unwrap().rare, ["b"]);
        let idle = features(&table, &design, &importances(&design, &table, &equal));
        assert_eq!((idle[0].importance, idle[1].importance), (0.0, 0.0));
    }

    #[test]
    fn the_extreme_range_lies_above_the_data() {
        let close = |range, expected: [f64; 2]| {
            beyond(range).iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-12)
        };
        assert!(close([0.0, 10.0], [10.5, 16.0]));
        // The width of a narrow range is taken as a tenth of the value.
        assert!(close([100.0, 101.0], [101.505, 107.06]) && close([-10.0, -9.5], [-9.4525, -8.93]));
        let [low, high] = beyond([0.0, 0.0]);
        assert!((low / 5e-11 - 1.0).abs() < 1e-12 && (high / 6e-10 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_column_without_values_has_no_range_and_no_decimals() {
        let slot = Slot::Numeric(crate::encoding::Scaling { mean: 0.0, sd: 1.0 });
        let Values::Numeric(numeric) = describe(&Column::named("a"), &[f64::NAN; 3], slot) else { panic!() };
        assert_eq!((numeric.range, numeric.decimals), (None, None));
        let Values::Numeric(numeric) = describe(&Column::named("a"), &[2.5, f64::NAN, 1.0], slot) else {
            panic!()
        };
        assert_eq!((numeric.range, numeric.decimals), (Some([1.0, 2.5]), Some(1)));
    }
}
