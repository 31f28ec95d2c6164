//! Each preset makes the signals drift that it is meant to change, and no others.

use crate::{
    common::{awkward, iris},
    monitor::{Monitor, rows},
};
use driftsim::{DriftSpec, RowSource, presets};
use model::ModelFile;

const ROWS: usize = 600;

fn drifting(file: &ModelFile, spec: &DriftSpec) -> Vec<String> {
    Monitor::new(file).drifting(rows(file, spec, 42), ROWS)
}

fn all_signals(file: &ModelFile) -> Vec<String> {
    file.card.reference.signals.iter().map(|signal| signal.name.clone()).collect()
}

#[test]
fn giants_make_every_signal_drift_and_exceed_every_range() {
    for file in [iris(), awkward()] {
        let giant = DriftSpec::preset("giant").unwrap();
        assert_eq!(drifting(&file, &giant), all_signals(&file));
        for row in rows(&file, &giant, 1).take(1000) {
            for (value, feature) in row.values.iter().zip(&file.card.features) {
                let [_, greatest] = feature.numeric().unwrap().range.unwrap();
                assert!(value.is_none_or(|value| value > greatest), "{} {value:?}", feature.name);
            }
        }
    }
}

#[test]
fn giant_irises_have_the_documented_ranges() {
    let ranges = [(8.0, 10.0), (4.5, 6.0), (7.0, 9.0), (3.0, 5.0)];
    let mut seen = [(f64::MAX, f64::MIN); 4];
    for row in rows(&iris(), &DriftSpec::preset("giant").unwrap(), 1).take(2000) {
        for (seen, value) in seen.iter_mut().zip(row.values) {
            *seen = (seen.0.min(value.unwrap()), seen.1.max(value.unwrap()));
        }
    }
    assert_eq!(seen, ranges);
}

#[test]
fn a_petal_shift_makes_petals_and_the_model_output_drift() {
    let drifting = drifting(&iris(), &DriftSpec::preset("petal_shift").unwrap());
    assert_eq!(drifting, ["petal_length", "petal_width", "prediction", "confidence", "distance"]);
}

#[test]
fn a_petal_shift_is_refused_for_a_model_without_petals() {
    let file = awkward();
    let error = RowSource::new(&file.card, &DriftSpec::preset("petal_shift").unwrap(), 1).unwrap_err();
    let expected = "operations[0].shift.features: no feature is called \"petal*\"; \
                    the model's features are income, smoker, visits, lab";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_unit_change_makes_every_signal_drift() {
    for file in [iris(), awkward()] {
        assert_eq!(drifting(&file, &DriftSpec::preset("unit_change").unwrap()), all_signals(&file));
    }
}

#[test]
fn a_prior_shift_changes_class_shares_but_not_the_values_of_a_class() {
    for file in [iris(), awkward()] {
        let prior_shift = DriftSpec::preset("prior_shift").unwrap();
        assert!(drifting(&file, &prior_shift).contains(&"prediction".to_owned()));
        let last = file.card.classes.len() - 1;
        let drawn: Vec<_> = rows(&file, &prior_shift, 1).take(10_000).collect();
        let share = drawn.iter().filter(|row| row.class == Some(last)).count() as f64 / 10_000.0;
        assert!((share - 0.9).abs() < 0.01, "{share}");
        // Where the class is the same by chance, the whole row is the same.
        let steady = rows(&file, &DriftSpec::steady(), 1);
        assert!(
            steady.zip(&drawn).all(|(steady, row)| steady.class != row.class || steady.values == row.values)
        );
    }
}

#[test]
fn noise_makes_the_distance_and_some_features_drift() {
    for (file, noisy) in [(iris(), "petal_width"), (awkward(), "income")] {
        let drifting = drifting(&file, &DriftSpec::preset("noise").unwrap());
        assert!(drifting.contains(&"distance".to_owned()), "{drifting:?}");
        assert!(drifting.contains(&noisy.to_owned()), "{drifting:?}");
    }
}

#[test]
fn a_shuffled_feature_keeps_its_distribution_and_loses_its_correlations() {
    let spec = DriftSpec::from_yaml("operations: [shuffle: { features: petal_length }]", "shuffle").unwrap();
    let drifting = drifting(&iris(), &spec);
    assert!(drifting.contains(&"distance".to_owned()), "{drifting:?}");
    assert!(drifting.iter().all(|signal| !signal.contains("al_")), "{drifting:?}");
}

#[test]
fn the_share_sets_how_many_rows_drift() {
    for preset in presets() {
        let spec = DriftSpec { share: 0.3, ..preset.spec };
        let drifted = rows(&iris(), &spec, 1).take(10_000).filter(|row| row.drifted).count();
        assert!((2800..3200).contains(&drifted), "{}: {drifted}", preset.name);
    }
    assert!(rows(&iris(), &DriftSpec::steady(), 1).take(1000).all(|row| !row.drifted));
}
