//! Properties that hold for every drift spec and every seed.

use crate::{
    common::{awkward, iris},
    monitor::rows,
};
use driftsim::{ClassShares, DriftSpec, Operation};
use model::ModelFile;
use proptest::prelude::*;
use std::sync::LazyLock;

static IRIS: LazyLock<ModelFile> = LazyLock::new(iris);
static AWKWARD: LazyLock<ModelFile> = LazyLock::new(awkward);

fn features() -> impl Strategy<Value = Vec<String>> {
    prop::sample::subsequence(vec!["*".to_owned(), "*l*".to_owned(), "*i*".to_owned()], 1..=3)
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![-10.0..10.0, any::<f64>().prop_filter("finite", |number| number.is_finite())]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        (features(), number()).prop_map(|(features, by_sd)| Operation::Shift { features, by_sd }),
        (features(), number()).prop_map(|(features, factor)| Operation::Scale { features, factor }),
        (features(), number())
            .prop_map(|(features, by_sd)| Operation::Noise { features, by_sd: by_sd.abs() }),
        features().prop_map(|features| Operation::Extreme { features }),
        features().prop_map(|features| Operation::Shuffle { features }),
        (0.0..=1.0).prop_map(|share| Operation::ClassShares(ClassShares::Last(share))),
    ]
}

fn spec() -> impl Strategy<Value = DriftSpec> {
    (0.0..=1.0, prop::collection::vec(operation(), 0..5)).prop_map(|(share, operations)| DriftSpec {
        description: String::new(),
        share,
        operations,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_same_seed_gives_the_same_rows_and_another_seed_other_rows(spec in spec(), seed in 0..u64::MAX) {
        let draw = |seed| rows(&IRIS, &spec, seed).take(30).collect::<Vec<_>>();
        prop_assert_eq!(draw(seed), draw(seed));
        let classes = |seed| draw(seed).iter().map(|row| row.class).collect::<Vec<_>>();
        let steady = |seed| rows(&IRIS, &DriftSpec::steady(), seed).take(30).collect::<Vec<_>>();
        prop_assert_ne!((classes(seed), steady(seed)), (classes(seed + 1), steady(seed + 1)));
    }

    #[test]
    fn every_drift_gives_complete_rows_of_finite_numbers(spec in spec(), seed in any::<u64>()) {
        for row in rows(&AWKWARD, &spec, seed).take(50) {
            prop_assert_eq!(row.values.len(), 4);
            prop_assert!(row.class.unwrap() < 3);
            for (value, feature) in row.values.iter().zip(&AWKWARD.card.features) {
                prop_assert!(value.is_none_or(f64::is_finite));
                prop_assert!(value.is_some() || feature.missing_ratio > 0.0);
            }
        }
    }

    #[test]
    fn rows_that_do_not_drift_equal_those_without_a_drift_spec(spec in spec(), seed in any::<u64>()) {
        let steady = rows(&AWKWARD, &DriftSpec::steady(), seed);
        for (row, steady) in rows(&AWKWARD, &spec, seed).zip(steady).take(50) {
            prop_assert!(row.drifted || row == steady);
        }
    }
}
