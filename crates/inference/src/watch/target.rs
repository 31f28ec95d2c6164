//! Recognises the requests for predictions among those that pass through the proxy.

use super::args::{ProfileArg, ProfileFor};
use crate::{foreign::Protocol, route::Route};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// The greatest number of segments of a known path for predictions, with the empty one before the first slash.
const MOST_SEGMENTS: usize = 7;

/// A request for predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    /// The route whose pattern is the label of the request's metrics.
    pub(super) route: Route,
    /// The protocol of its body.
    pub(super) protocol: Protocol,
    /// The position of the model's profile; `None` if no profile is of the model that the path names.
    pub(super) model: Option<usize>,
}

/// Finds the target of a request.
#[derive(Debug, Clone)]
pub(super) struct Targets {
    /// What each profile is for, and the position of its model.
    profiles: Vec<(ProfileFor, usize)>,
    protocol: Option<Protocol>,
}

impl Targets {
    /// Creates the targets of these profiles, with the positions of their models. `protocol` is that of all bodies; by default it
    /// follows from the path.
    pub(super) fn new(profiles: &[ProfileArg], models: &[usize], protocol: Option<Protocol>) -> Self {
        let of = profiles.iter().map(|profile| profile.of.clone());
        Self { profiles: of.zip(models.iter().copied()).collect(), protocol }
    }

    /// Returns the target of a POST to this path, or `None` if it is not a path for predictions. An encoded path has the
    /// same target, except that `%2F` does not separate segments.
    pub(super) fn find(&self, path: &str) -> Option<Target> {
        let by_path = |of: &ProfileFor| matches!(of, ProfileFor::Path(own) if is_same(own, path));
        let segments = Segments::of(path);
        let recognised = segments.as_ref().and_then(|segments| recognised(&segments.decoded()));
        if let Some(model) = self.of_profile(by_path) {
            let protocol = self.protocol.unwrap_or(recognised.map_or(Protocol::Native, |found| found.1));
            return Some(Target { route: usual_route(protocol), protocol, model: Some(model) });
        }
        // A profile of a path is for no other path.
        let (route, protocol, name) = recognised?;
        let protocol = self.protocol.unwrap_or(protocol);
        let is_of_path = self.profiles.iter().all(|(of, _)| matches!(of, ProfileFor::Path(_)));
        let model = if is_of_path { None } else { self.model(name) };
        Some(Target { route, protocol, model })
    }

    /// Returns the position of the profile for a model by its name, if there is one.
    pub(super) fn model(&self, name: Option<&str>) -> Option<usize> {
        let named = |of: &ProfileFor| matches!(of, ProfileFor::Model(own) | ProfileFor::Path(own) if Some(own.as_str()) == name);
        let any = |of: &ProfileFor| matches!(of, ProfileFor::Any);
        if let Some(model) = self.of_profile(named).or_else(|| self.of_profile(any)) {
            return Some(model);
        }
        // Without a name it cannot be another model if there is only one.
        (name.is_none() && self.profiles.iter().all(|(_, model)| *model == 0)).then_some(0)
    }

    /// Returns the position of the model of the first profile that is for such requests.
    fn of_profile(&self, is_for: impl Fn(&ProfileFor) -> bool) -> Option<usize> {
        self.profiles.iter().find(|(of, _)| is_for(of)).map(|(_, model)| *model)
    }
}

/// Returns whether two paths are the same when they are decoded.
fn is_same(one: &str, other: &str) -> bool {
    one == other || percent_decode_str(one).eq(percent_decode_str(other))
}

/// The decoded segments of a path that has at most [`MOST_SEGMENTS`]. Those after `count` are empty.
struct Segments<'a> {
    count: usize,
    segments: [Cow<'a, str>; MOST_SEGMENTS],
}

impl<'a> Segments<'a> {
    /// Splits a path and decodes its segments, in this order, so that `%2F` belongs to a name.
    fn of(path: &'a str) -> Option<Self> {
        let mut own = Self { count: 0, segments: Default::default() };
        for segment in path.split('/') {
            *own.segments.get_mut(own.count)? = percent_decode_str(segment).decode_utf8_lossy();
            own.count += 1;
        }
        Some(own)
    }

    fn decoded(&self) -> ([&str; MOST_SEGMENTS], usize) {
        (self.segments.each_ref().map(AsRef::as_ref), self.count)
    }
}

/// Returns the route, the protocol and the model's name of a path, if it is one of the known paths for predictions.
fn recognised<'a>(
    (segments, count): &([&'a str; MOST_SEGMENTS], usize),
) -> Option<(Route, Protocol, Option<&'a str>)> {
    let is_named = |text: &str| !text.is_empty();
    let (route, protocol, name) = match segments[..*count] {
        ["", "predict"] => return Some((Route::Predict, Protocol::Native, None)),
        ["", "invocations"] => return Some((Route::Invocations, Protocol::Mlflow, None)),
        ["", "v1", "models", model] => (Route::V1Predict, Protocol::V1, model.strip_suffix(":predict")?),
        // TensorFlow Serving also has versions and labels of versions.
        ["", "v1", "models", model, "versions" | "labels", version] => {
            version.strip_suffix(":predict").filter(|version| is_named(version))?;
            (Route::V1Predict, Protocol::V1, model)
        }
        ["", "v2", "models", model, "infer"] => (Route::OipInfer, Protocol::OipV2, model),
        ["", "v2", "models", model, "versions", version, "infer"] if is_named(version) => {
            (Route::OipVersionInfer, Protocol::OipV2, model)
        }
        _ => return None,
    };
    is_named(name).then_some((route, protocol, Some(name)))
}

/// Returns the usual route of a protocol, whose pattern labels requests to a path of the user's.
pub(super) fn usual_route(protocol: Protocol) -> Route {
    match protocol {
        Protocol::Native => Route::Predict,
        Protocol::OipV2 => Route::OipInfer,
        Protocol::V1 => Route::V1Predict,
        Protocol::Mlflow => Route::Invocations,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(profiles: &[&str]) -> Targets {
        let profiles: Vec<ProfileArg> = profiles.iter().map(|text| text.parse().unwrap()).collect();
        let models: Vec<usize> = (0..profiles.len()).collect();
        Targets::new(&profiles, &models, None)
    }

    fn found(targets: &Targets, path: &str) -> Option<(Route, Option<usize>)> {
        targets.find(path).map(|target| (target.route, target.model))
    }

    #[test]
    fn one_profile_without_a_name_is_of_every_path_for_predictions() {
        let targets = targets(&["churn.json"]);
        for (path, route) in [
            ("/predict", Route::Predict),
            ("/invocations", Route::Invocations),
            ("/v2/models/any/infer", Route::OipInfer),
            ("/v2/models/any/versions/3/infer", Route::OipVersionInfer),
            ("/v1/models/any:predict", Route::V1Predict),
            ("/v1/models/any/versions/1:predict", Route::V1Predict),
        ] {
            assert_eq!(found(&targets, path), Some((route, Some(0))), "{path}");
        }
        for path in [
            "/",
            "/predict/",
            "/v2/models/infer",
            "/v2/models//infer",
            "/v2/models/a/b/infer",
            "/v1/models/a",
            "/v1/models/:predict",
            "/v1/models/a/versions/:predict",
            "/v2/models/a/versions//infer",
            "/v2/models/a/versions/1/infer/more",
            "/v2/models/%/infe%7",
            "/metrics",
        ] {
            assert_eq!(found(&targets, path), None, "{path}");
        }
    }

    #[test]
    fn models_are_found_by_name_and_paths_by_themselves() {
        let targets = targets(&["churn=a.json", "my model=b.json", "/score=c.json"]);
        assert_eq!(found(&targets, "/v2/models/churn/infer"), Some((Route::OipInfer, Some(0))));
        assert_eq!(found(&targets, "/v2/models/my%20model/infer"), Some((Route::OipInfer, Some(1))));
        assert_eq!(found(&targets, "/v2/models/other/infer"), Some((Route::OipInfer, None)));
        assert_eq!(found(&targets, "/score"), Some((Route::Predict, Some(2))));
        assert_eq!(found(&targets, "/predict"), Some((Route::Predict, None)));
    }

    #[test]
    fn encoded_paths_have_the_target_that_the_server_finds() {
        let targets = targets(&["my model=a.json", "a/b=b.json", "/score this=c.json", "50%=d.json"]);
        for (path, route, model) in [
            ("/v2/models/my%20model/%69nfer", Route::OipInfer, Some(0)),
            ("/%76%32/models/my%20model/versions/%31/infer", Route::OipVersionInfer, Some(0)),
            // Python's `quote` encodes the colon.
            ("/v1/models/my%20model%3Apredict", Route::V1Predict, Some(0)),
            ("/v2/models/a%2fb/infer", Route::OipInfer, Some(1)),
            ("/score%20this", Route::Predict, Some(2)),
            ("/v2/models/50%25/infer", Route::OipInfer, Some(3)),
            ("/v2/models/50%2525/infer", Route::OipInfer, None),
            ("/%70redict", Route::Predict, None),
        ] {
            assert_eq!(found(&targets, path), Some((route, model)), "{path}");
        }
        // A slash within a name does not begin a segment.
        assert_eq!(found(&targets, "/v2/models/a%2Finfer"), None);
    }

    #[test]
    fn the_only_model_answers_paths_without_a_name() {
        let targets = targets(&["churn=a.json"]);
        assert_eq!(found(&targets, "/invocations"), Some((Route::Invocations, Some(0))));
        assert_eq!(found(&targets, "/v1/models/other:predict"), Some((Route::V1Predict, None)));
    }
}
