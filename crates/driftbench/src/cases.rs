//! Defines the drifts whose detection is timed.

use crate::ground_truth::GroundTruth;
use driftsim::{ClassShares, DriftSpec, Operation, RowSource, SpecError};

/// A kind of drift, such as one shifted feature. Each of its cases is timed, and the slowest one is reported.
#[derive(Debug, Clone)]
pub(crate) struct Drift {
    pub(crate) name: &'static str,
    /// The target for the median time until a verdict, in seconds; `None` if there is no target.
    pub(crate) target: Option<f64>,
    pub(crate) cases: Vec<Case>,
}

/// One drift of a kind, such as a shift of the feature `petal_length`.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// The feature or class that drifts; empty if the drift is not of a single one.
    pub(crate) about: String,
    pub(crate) rows: RowSource,
    /// The class that a stuck model predicts for every row.
    pub(crate) stuck: Option<usize>,
}

/// The factor by which values shrink if centimetres are converted to inches.
const INCHES: f64 = 1.0 / 2.54;

/// Returns all drifts of a ground truth.
///
/// # Errors
/// If the model card is inconsistent.
pub(crate) fn drifts(truth: &GroundTruth) -> Result<Vec<Drift>, SpecError> {
    let features: Vec<&str> = truth.card.features.iter().map(|feature| feature.name.as_str()).collect();
    let rows = truth.card.reference.rows as f64;
    let centres = truth.card.classes.iter().zip(&truth.card.reference.shape.classes);
    let classes: Vec<(&str, f64)> =
        centres.map(|(class, centre)| (class.as_str(), centre.rows as f64 / rows)).collect();

    let case = |about: &str, share: f64, operation: Operation| {
        let spec = DriftSpec { description: String::new(), share, operations: vec![operation] };
        Ok(Case { about: about.to_owned(), rows: RowSource::new(&truth.card, &spec, 0)?, stuck: None })
    };
    let each_feature = |operation: &dyn Fn(Vec<String>) -> Operation| {
        features.iter().map(|&name| case(name, 1.0, operation(vec![name.to_owned()]))).collect()
    };
    let each_class = |share: &dyn Fn(f64) -> f64| {
        let shares = |name: &str, of: f64| ClassShares::Named(vec![(name.to_owned(), share(of))]);
        classes.iter().map(|&(name, of)| case(name, 1.0, Operation::ClassShares(shares(name, of)))).collect()
    };
    let stuck = |(class, &(name, _)): (usize, &(&str, f64))| Case {
        about: name.to_owned(),
        rows: truth.steady.clone(),
        stuck: Some(class),
    };
    let giants = || Operation::Extreme { features: vec!["*".to_owned()] };
    let drift = |name, target, cases: Result<Vec<Case>, SpecError>| Ok(Drift { name, target, cases: cases? });
    [
        drift("giants", Some(15.0), case("", 1.0, giants()).map(|case| vec![case])),
        drift(
            "one feature in another unit (1/2.54)",
            Some(15.0),
            each_feature(&|features| Operation::Scale { features, factor: INCHES }),
        ),
        drift(
            "one feature +1 σ",
            Some(60.0),
            each_feature(&|features| Operation::Shift { features, by_sd: 1.0 }),
        ),
        drift("model stuck at one class", Some(15.0), Ok(classes.iter().enumerate().map(stuck).collect())),
        drift("one feature shuffled", Some(120.0), each_feature(&|features| Operation::Shuffle { features })),
        drift("one class only", None, each_class(&|_| 1.0)),
        drift(
            "one feature +0.5 σ",
            None,
            each_feature(&|features| Operation::Shift { features, by_sd: 0.5 }),
        ),
        drift("10 % giants", None, case("", 0.1, giants()).map(|case| vec![case])),
        drift("one class makes up half", None, each_class(&half)),
    ]
    .into_iter()
    .collect()
}

/// Returns the share that a class with the share `share` drifts to: one half or, if it already has that, the share plus half
/// of the rest.
fn half(share: f64) -> f64 {
    if share < 0.5 { 0.5 } else { (1.0 + share) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_drift_changes_the_rows_as_its_name_says() {
        let file = model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap();
        let truth = GroundTruth::new(&file.card).unwrap();
        let drifts = drifts(&truth).unwrap();
        let cases: Vec<usize> = drifts.iter().map(|drift| drift.cases.len()).collect();
        assert_eq!(cases, [1, 4, 4, 3, 4, 3, 4, 1, 3]);

        let rows = |drift: usize, case: usize| drifts[drift].cases[case].rows.reseeded(5).take(4000);
        let steady: Vec<_> = truth.steady.reseeded(5).take(4000).collect();
        let mean = |rows: &mut dyn Iterator<Item = f64>| rows.sum::<f64>() / 4000.0;
        for feature in 0..4 {
            let before = mean(&mut steady.iter().filter_map(|row| row.values[feature]));
            let after = |drift| mean(&mut rows(drift, feature).filter_map(|row| row.values[feature]));
            let sd = file.card.features[feature].numeric().unwrap().sd;
            assert!((after(1) * 2.54 / before - 1.0).abs() < 1e-6, "unit of {feature}");
            // Values are rounded to a millimetre.
            assert!((after(2) - before - sd).abs() < 0.051, "{feature}");
            assert!((after(4) - before).abs() < 0.1 * sd, "shuffled {feature}");
            assert!((after(6) - before - sd / 2.0).abs() < 0.051, "{feature}");
        }
        assert!(rows(5, 1).all(|row| row.class == Some(1)));
        let share =
            |drift, class| rows(drift, class).filter(|row| row.class == Some(class)).count() as f64 / 4000.0;
        assert!((share(8, 2) - 0.5).abs() < 0.03);
        let giants = rows(7, 0).filter(|row| row.drifted).count() as f64 / 4000.0;
        assert!((giants - 0.1).abs() < 0.02, "{giants}");
        assert!(rows(0, 0).all(|row| row.values[0] >= Some(8.0)));
        assert_eq!(drifts[3].cases[2].stuck, Some(2));
    }
}
