//! Checks that the parts of a model file, or of a model card, do not contradict each other.

use super::{FileError, ModelFile};
use crate::{
    Categorical, Feature, ModelCard,
    card::{OUTPUT_SIGNALS, is_label, signal_names},
    encoding::Encoding,
    shape::Spread,
};
use drift::{Bins, SignalReference};

impl ModelFile {
    pub(super) fn check(&self) -> Result<(), FileError> {
        self.card.check()?;
        let (classes, width) = (self.card.classes.len(), Encoding::new(&self.card.features).weights_width());
        if let Some(weights) = &self.weights {
            ensure(
                self.card.reference.shape.classes.iter().all(|class| class.rows > 0),
                "card.reference.shape",
                "there must be one centre per class, and each class must have rows",
            )?;
            let coefficients = &weights.coefficients;
            ensure(
                classes > 0
                    && coefficients.len() == classes
                    && coefficients.iter().all(|row| row.len() == width),
                "weights.coefficients",
                "there must be one row per class, and one column per encoded column and per weighted category",
            )?;
            ensure(weights.intercepts.len() == classes, "weights.intercepts", "there must be one per class")?;
        }
        ensure(
            self.weights.is_none() || self.external.is_none(),
            "external",
            "must be absent if the file has weights",
        )?;
        if let Some(external) = &self.external {
            let labels: Vec<&str> = external.labels.iter().map(String::as_str).collect();
            let distinct = labels.iter().enumerate().all(|(at, label)| !labels[..at].contains(label));
            ensure(distinct, "external.labels", "must be different")?;
            ensure(
                self.card.reference.confidence.is_some() == (external.probabilities > 0),
                "external.probabilities",
                "the card must have a confidence exactly if there are probabilities",
            )?;
            ensure(external.labels.len() == classes, "external.labels", "there must be one per class")?;
            ensure(
                matches!((external.probabilities, classes), (0, _) | (1, 2))
                    || external.probabilities == classes,
                "external.probabilities",
                "there must be one per class, a single one for two classes, or none",
            )?;
            ensure(
                external.temperature.is_finite() && external.temperature > 0.0,
                "external.temperature",
                "must be finite and above 0",
            )?;
        }
        if let Some(server) = &self.server {
            ensure(self.weights.is_none(), "server", "must be absent if the file has weights")?;
            server.check(&self.card).or_else(|(field, problem)| ensure(false, field, problem))?;
        }
        Ok(())
    }
}

fn ensure(holds: bool, field: &'static str, problem: &str) -> Result<(), FileError> {
    if holds { Ok(()) } else { Err(FileError::Inconsistent { field, problem: problem.to_owned() }) }
}

impl ModelCard {
    /// Checks that the parts of a card are consistent, because those of a card over HTTP may not be.
    ///
    /// # Errors
    /// Returns the first inconsistent part, and what is wrong with it.
    pub fn check(&self) -> Result<(), FileError> {
        let (card, features, classes) = (self, self.features.len(), self.classes.len());
        ensure(features > 0, "card.features", "there must be at least one")?;
        ensure(classes != 1, "card.classes", "there must be at least two, or none if a number is predicted")?;
        ensure(
            card.features.iter().filter_map(Feature::numeric).all(|own| own.sd.is_finite() && own.sd > 0.0),
            "card.features",
            "every sd must be finite and above 0",
        )?;
        let ascending_range = |[low, high]: [f64; 2]| low.is_finite() && high.is_finite() && low <= high;
        ensure(
            card.features.iter().filter_map(Feature::numeric).all(|own| ascending_range(own.extreme)),
            "card.features",
            "every extreme must be two ascending finite numbers",
        )?;
        let missing = |f: &Feature| (0.0..=1.0).contains(&f.missing_ratio);
        ensure(card.features.iter().all(missing), "card.features", "every missing_ratio must be in [0, 1]")?;
        let names: Vec<&str> = card.features.iter().map(|f| f.name.as_str()).collect();
        ensure(
            distinct(&names),
            "card.features",
            "names must be different, without control characters and backslashes",
        )?;
        let names: Vec<&str> = card.classes.iter().map(String::as_str).collect();
        ensure(
            distinct(&names),
            "card.classes",
            "names must be different, without control characters and backslashes",
        )?;
        ensure(
            card.features.iter().filter_map(Feature::categorical).all(Categorical::is_consistent),
            "card.features",
            "the weighted categories must be in ascending order and none of the others",
        )?;
        let width = Encoding::new(&card.features).width();
        let reference = &card.reference;
        ensure(reference.rows > 0, "card.reference.rows", "must be above 0")?;
        ensure(
            [reference.accuracy, reference.confidence]
                .iter()
                .flatten()
                .all(|share| (0.0..=1.0).contains(share)),
            "card.reference",
            "accuracy and confidence must be in [0, 1]",
        )?;
        ensure(
            classes > 0 || (reference.accuracy.is_none() && reference.confidence.is_none()),
            "card.reference",
            "a predicted number has neither accuracy nor confidence",
        )?;
        let names = signal_names(card.features.iter().map(|feature| feature.name.as_str()));
        let outputs =
            OUTPUT_SIGNALS.iter().filter(|&&name| name != "confidence" || reference.confidence.is_some());
        ensure(
            reference
                .signals
                .iter()
                .map(|s| s.name.as_str())
                .eq(names.iter().map(String::as_str).chain(outputs.copied())),
            "card.reference.signals",
            "there must be one per feature, in their order, then prediction, confidence if the model gives one, and distance",
        )?;
        ensure(
            reference.signals.iter().all(|s| {
                s.expected.len() == s.bins.len()
                    && s.counts.len() == s.bins.len()
                    && s.rows == reference.rows
                    && s.counts.iter().try_fold(0_u64, |sum, &count| sum.checked_add(count)) == Some(s.rows)
                    && s.expected.iter().all(|&ratio| ratio > 0.0 && ratio <= 1.0)
            }),
            "card.reference.signals",
            "every bin needs an expected ratio above 0 and a count, and the counts must add up to the reference rows",
        )?;
        let signals = reference.by_role();
        let output = |s: &SignalReference| matches!(&s.bins, Bins::Numeric { edges } if ascending(edges));
        let of_feature =
            |(feature, signal): (&Feature, &SignalReference)| match (&signal.bins, feature.categorical()) {
                (Bins::Numeric { edges }, None) => ascending(edges),
                (Bins::Categories { categories }, Some(own)) => *categories == own.categories,
                _ => false,
            };
        ensure(
            card.features.iter().zip(signals.features).all(of_feature)
                && signals.confidence.is_none_or(output)
                && output(signals.distance)
                && match &signals.prediction.bins {
                    Bins::Classes { labels } => classes > 0 && *labels == card.classes,
                    Bins::Numeric { edges } => classes == 0 && ascending(edges),
                    Bins::Categories { .. } => false,
                },
            "card.reference.signals",
            "bins of numbers must have ascending edges; those of categories and of prediction are the model's own",
        )?;
        let shape = &reference.shape;
        // If a number is predicted, the shape is of groups of rows instead of classes.
        let groups = if classes == 0 { shape.classes.len() } else { classes };
        let spread = match &shape.spread {
            Spread::PerClass { covariances } => {
                let square =
                    |own: &Vec<Vec<f64>>| own.len() == width && own.iter().all(|line| line.len() == width);
                covariances.len() == groups && covariances.iter().all(square)
            }
            Spread::Shared { factors, residual } => {
                factors.iter().chain([residual]).all(|line| line.len() == width)
                    && residual.iter().all(|&variance| variance > 0.0)
            }
        };
        ensure(
            spread
                && groups > 0
                && shape.classes.len() == groups
                && shape.classes.iter().any(|class| class.rows > 0)
                && shape.classes.iter().all(|class| class.means.len() == width),
            "card.reference.shape",
            "there must be one centre per class, with one number per encoded column, and a covariance of that size",
        )?;
        card.pool()
            .map(drop)
            .map_err(|error| FileError::Inconsistent { field: "card", problem: error.to_string() })
    }
}

fn ascending(edges: &[f64]) -> bool {
    edges.is_sorted_by(|a, b| a < b)
}

/// Returns whether names are distinct and valid as metric labels.
fn distinct(names: &[&str]) -> bool {
    names.iter().enumerate().all(|(at, name)| is_label(name) && !names[..at].contains(name))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::iris_file, *};
    use crate::{
        CsvOptions, TrainOptions, card::Values, logistic::Weights, read_csv, simulator::Levels, train,
    };

    type Change = fn(&mut ModelFile);

    fn weights(file: &mut ModelFile) -> &mut Weights {
        file.weights.as_mut().unwrap()
    }

    fn numeric(file: &mut ModelFile) -> &mut crate::card::Numeric {
        let Values::Numeric(numeric) = &mut file.card.features[2].values else { panic!() };
        numeric
    }

    fn edges(file: &mut ModelFile, signal: usize) -> &mut Vec<f64> {
        let Bins::Numeric { edges } = &mut file.card.reference.signals[signal].bins else { panic!() };
        edges
    }

    fn covariances(file: &mut ModelFile) -> &mut Vec<Vec<Vec<f64>>> {
        let Spread::PerClass { covariances } = &mut file.card.reference.shape.spread else { panic!() };
        covariances
    }

    fn shared(factors: [usize; 2], residual: &[f64]) -> Spread {
        Spread::Shared {
            factors: factors.map(|width| vec![0.1; width]).to_vec(),
            residual: residual.to_vec(),
        }
    }

    #[test]
    fn the_error_for_inconsistent_parts_names_the_part() {
        let file = iris_file();
        let cases: [(&str, &str, Change); 41] = [
            ("card.features", "at least one", |f| f.card.features.clear()),
            ("card.classes", "at least two", |f| f.card.classes.truncate(1)),
            ("card.features", "every sd", |f| numeric(f).sd = 0.0),
            ("card.features", "every sd", |f| numeric(f).sd = f64::INFINITY),
            ("card.features", "every extreme", |f| numeric(f).extreme = [2.0, 1.0]),
            ("card.features", "every extreme", |f| numeric(f).extreme = [1.0, f64::NAN]),
            ("card.features", "every missing_ratio", |f| f.card.features[1].missing_ratio = 1.5),
            ("card.features", "every missing_ratio", |f| f.card.features[1].missing_ratio = f64::NAN),
            ("card.features", "names must be different", |f| f.card.features[1].name = "sepal_length".into()),
            ("card.features", "names must be different", |f| f.card.features[1].name = "a\\b".into()),
            ("card.classes", "names must be different", |f| f.card.classes[2] = "setosa".into()),
            ("card.classes", "names must be different", |f| f.card.classes[2] = "a\nb".into()),
            ("weights.coefficients", "one row per class", |f| weights(f).coefficients.truncate(2)),
            ("weights.coefficients", "one row per class", |f| weights(f).coefficients[1].truncate(3)),
            ("weights.intercepts", "one per class", |f| weights(f).intercepts.truncate(2)),
            ("card.reference.rows", "must be above 0", |f| f.card.reference.rows = 0),
            ("card.reference", "accuracy and confidence", |f| f.card.reference.accuracy = Some(1.5)),
            ("card.reference", "accuracy and confidence", |f| f.card.reference.confidence = Some(-0.1)),
            ("card.reference.signals", "one per feature", |f| f.card.reference.signals[0].name = "x".into()),
            ("card.reference.signals", "one per feature", |f| f.card.reference.signals.truncate(6)),
            ("card.reference.signals", "every bin", |f| f.card.reference.signals[1].expected.truncate(3)),
            ("card.reference.signals", "every bin", |f| f.card.reference.signals[1].counts.push(0)),
            ("card.reference.signals", "every bin", |f| f.card.reference.signals[1].rows += 1),
            ("card.reference.signals", "every bin", |f| f.card.reference.signals[1].counts[2] += 1),
            ("card.reference.signals", "every bin", |f| f.card.reference.signals[1].counts[2] = u64::MAX),
            ("card.reference.signals", "every bin", |f| f.card.reference.signals[1].expected[0] = 0.0),
            ("card.reference.signals", "every bin", |f| f.card.reference.signals[1].expected[0] = 1.5),
            ("card.reference.signals", "bins of numbers", |f| edges(f, 0).reverse()),
            ("card.reference.signals", "bins of numbers", |f| edges(f, 0)[1] = f64::NAN),
            ("card.reference.signals", "bins of numbers", |f| {
                let edges = edges(f, 0);
                edges[1] = edges[0];
            }),
            ("card.reference.signals", "bins of numbers", |f| edges(f, 5).reverse()),
            ("card.reference.signals", "bins of numbers", |f| edges(f, 6).reverse()),
            ("card.reference.signals", "bins of numbers", |f| {
                f.card.reference.signals[4].bins = Bins::Classes { labels: vec!["a".into(); 3] };
            }),
            ("card.reference.shape", "one centre per class", |f| covariances(f).truncate(2)),
            ("card.reference.shape", "one centre per class", |f| covariances(f)[1].truncate(3)),
            ("card.reference.shape", "one centre per class", |f| covariances(f)[1][2].truncate(3)),
            ("card.reference.shape", "one centre per class", |f| f.card.reference.shape.classes.truncate(2)),
            ("card.reference.shape", "one centre per class", |f| f.card.reference.shape.classes[0].rows = 0),
            ("card.reference.shape", "one centre per class", |f| {
                f.card.reference.shape.classes[0].means.push(0.0);
            }),
            ("card", "codes", |f| f.card.simulator.codes.clear()),
            ("card", "levels", |f| f.card.simulator.levels.push(Levels::default())),
        ];
        for (at, (field, problem, change)) in cases.into_iter().enumerate() {
            let mut changed = file.clone();
            change(&mut changed);
            let error = changed.check().unwrap_err().to_string();
            let expected = format!("{field}: ");
            assert!(error.starts_with(&expected) && error.contains(problem), "case {at}: {error}");
        }
        for [factors, residual] in [[[4, 3], [4, 0]], [[4, 4], [3, 0]], [[4, 4], [3, 1]]] {
            let mut changed = file.clone();
            let residual = [vec![1.0; residual[0]], vec![0.0; residual[1]]].concat();
            changed.card.reference.shape.spread = shared(factors, &residual);
            assert!(changed.check().unwrap_err().to_string().starts_with("card.reference.shape"));
        }
    }

    #[test]
    fn values_at_the_limits_are_accepted() {
        let changes: [Change; 5] = [
            |f| f.card.features[1].missing_ratio = 1.0,
            |f| f.card.reference.accuracy = Some(1.0),
            |f| f.card.reference.confidence = Some(0.0),
            |f| f.card.reference.signals[1].expected[0] = 1.0,
            |f| f.card.reference.shape.spread = shared([4, 4], &[1e-4; 4]),
        ];
        let file = iris_file();
        for (at, change) in changes.into_iter().enumerate() {
            let mut changed = file.clone();
            change(&mut changed);
            assert!(changed.check().is_ok(), "case {at}");
        }
    }

    #[test]
    fn bins_must_have_the_categories_of_the_feature() {
        let body: String = (0..80).map(|row| format!("{},{}\n", ["a", "b"][row % 2], row / 3 % 2)).collect();
        let text = format!("letter,class\n{body}");
        let table = read_csv(text.as_bytes(), "t", &CsvOptions::new("class")).unwrap().table;
        let file = train(&table, &TrainOptions::new("t")).unwrap();
        let refused = |bins: Bins| {
            let mut changed = file.clone();
            changed.card.reference.signals[0].bins = bins;
            changed.check().unwrap_err().to_string().contains("bins of numbers must have ascending edges")
        };
        assert!(refused(Bins::Categories { categories: vec!["a".into(), "c".into()] }));
        assert!(refused(Bins::Numeric { edges: vec![0.0, 1.0] }));
        assert!(refused(Bins::Classes { labels: ["a", "b", "c", "d"].map(str::to_owned).to_vec() }));
        let mut numbers = iris_file();
        let bins = numbers.card.reference.signals[0].bins.len();
        let categories = (2..bins).map(|at| at.to_string()).collect();
        numbers.card.reference.signals[0].bins = Bins::Categories { categories };
        assert!(numbers.check().is_err());
    }
}
