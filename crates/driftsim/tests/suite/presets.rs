//! Each preset moves the signals that it is meant to move, and no others that it leaves alone.

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
fn giants_move_every_signal_and_keep_to_their_ranges() {
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
fn giant_irises_are_those_of_the_article() {
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
fn a_petal_shift_moves_petals_and_what_follows_from_them() {
    let drifting = drifting(&iris(), &DriftSpec::preset("petal_shift").unwrap());
    assert_eq!(drifting, ["petal_length", "petal_width", "prediction", "confidence", "distance"]);
}

#[test]
fn a_petal_shift_needs_petals() {
    let file = awkward();
    let error = RowSource::new(&file.card, &DriftSpec::preset("petal_shift").unwrap(), 1).unwrap_err();
    let expected = "operations[0].shift.features: no feature is called \"petal*\"; \
                    the model's features are income, smoker, visits, lab";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_unit_change_moves_every_signal() {
    for file in [iris(), awkward()] {
        assert_eq!(drifting(&file, &DriftSpec::preset("unit_change").unwrap()), all_signals(&file));
    }
}

#[test]
fn a_prior_shift_moves_predictions_and_leaves_classes_as_they_are() {
    for file in [iris(), awkward()] {
        let prior_shift = DriftSpec::preset("prior_shift").unwrap();
        assert!(drifting(&file, &prior_shift).contains(&"prediction".to_owned()));
        let last = file.card.classes.len() - 1;
        let drawn: Vec<_> = rows(&file, &prior_shift, 1).take(10_000).collect();
        let share = drawn.iter().filter(|row| row.class == Some(last)).count() as f64 / 10_000.0;
        assert!((share - 0.9).abs() < 0.01, "{share}");
        // The same flower whenever the class is the same by chance.
        let steady = rows(&file, &DriftSpec::steady(), 1);
        assert!(
            steady.zip(&drawn).all(|(steady, row)| steady.class != row.class || steady.values == row.values)
        );
    }
}

#[test]
fn noise_moves_distance_and_some_features() {
    for (file, noisy) in [(iris(), "petal_width"), (awkward(), "income")] {
        let drifting = drifting(&file, &DriftSpec::preset("noise").unwrap());
        assert!(drifting.contains(&"distance".to_owned()), "{drifting:?}");
        assert!(drifting.contains(&noisy.to_owned()), "{drifting:?}");
    }
}

#[test]
fn a_shuffled_feature_keeps_its_marginal_and_loses_its_company() {
    let spec = DriftSpec::from_yaml("operations: [shuffle: { features: petal_length }]", "shuffle").unwrap();
    let drifting = drifting(&iris(), &spec);
    assert!(drifting.contains(&"distance".to_owned()), "{drifting:?}");
    assert!(drifting.iter().all(|signal| !signal.contains("al_")), "{drifting:?}");
}

#[test]
fn the_share_decides_how_many_rows_drift() {
    for preset in presets() {
        let spec = DriftSpec { share: 0.3, ..preset.spec };
        let drifted = rows(&iris(), &spec, 1).take(10_000).filter(|row| row.drifted).count();
        assert!((2800..3200).contains(&drifted), "{}: {drifted}", preset.name);
    }
    assert!(rows(&iris(), &DriftSpec::steady(), 1).take(1000).all(|row| !row.drifted));
}
