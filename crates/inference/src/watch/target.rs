//! Recognises the requests for predictions among those that pass through the proxy.

use super::args::{ProfileArg, ProfileFor};
use crate::{foreign::Protocol, route::Route};
use percent_encoding::percent_decode_str;

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
    profiles: Vec<ProfileFor>,
    protocol: Option<Protocol>,
}

impl Targets {
    /// Creates the targets of these profiles, in their order. `protocol` is that of all bodies; by default it follows from the path.
    pub(super) fn new(profiles: &[ProfileArg], protocol: Option<Protocol>) -> Self {
        Self { profiles: profiles.iter().map(|profile| profile.of.clone()).collect(), protocol }
    }

    /// Returns the target of a POST to this path, or `None` if it is not a path for predictions.
    pub(super) fn find(&self, path: &str) -> Option<Target> {
        let by_path = |of: &ProfileFor| matches!(of, ProfileFor::Path(own) if own == path);
        if let Some(model) = self.profiles.iter().position(by_path) {
            let protocol =
                self.protocol.unwrap_or(recognised(path).map_or(Protocol::Native, |found| found.1));
            return Some(Target { route: usual_route(protocol), protocol, model: Some(model) });
        }
        // A profile of a path is for no other path.
        let (route, protocol, name) = recognised(path)?;
        let protocol = self.protocol.unwrap_or(protocol);
        let name = name.map(|name| percent_decode_str(name).decode_utf8_lossy());
        let is_of_path = matches!(self.profiles[..], [ProfileFor::Path(_)]);
        let model = if is_of_path { None } else { self.model(name.as_deref()) };
        Some(Target { route, protocol, model })
    }

    /// Returns the position of the profile for a model by its name, if there is one.
    pub(super) fn model(&self, name: Option<&str>) -> Option<usize> {
        let named = |of: &ProfileFor| matches!(of, ProfileFor::Model(own) | ProfileFor::Path(own) if Some(own.as_str()) == name);
        let any = |of: &ProfileFor| matches!(of, ProfileFor::Any);
        if let Some(model) =
            self.profiles.iter().position(named).or_else(|| self.profiles.iter().position(any))
        {
            return Some(model);
        }
        // Without a name it cannot be another model if there is only one.
        (name.is_none() && self.profiles.len() == 1).then_some(0)
    }
}

/// Returns the route, the protocol and the model's name of a path, if it is one of the known paths for predictions.
fn recognised(path: &str) -> Option<(Route, Protocol, Option<&str>)> {
    match path {
        "/predict" => return Some((Route::Predict, Protocol::Native, None)),
        "/invocations" => return Some((Route::Invocations, Protocol::Mlflow, None)),
        _ => {}
    }
    if let Some(rest) = path.strip_prefix("/v1/models/") {
        let model = rest.strip_suffix(":predict")?;
        // TensorFlow Serving also has versions and labels of versions.
        let name =
            model.split_once("/versions/").or(model.split_once("/labels/")).map_or(model, |parts| parts.0);
        return is_segment(name).then_some((Route::V1Predict, Protocol::V1, Some(name)));
    }
    let rest = path.strip_prefix("/v2/models/")?.strip_suffix("/infer")?;
    match rest.split_once("/versions/") {
        Some((name, version)) if is_segment(name) && is_segment(version) => {
            Some((Route::OipVersionInfer, Protocol::OipV2, Some(name)))
        }
        None if is_segment(rest) => Some((Route::OipInfer, Protocol::OipV2, Some(rest))),
        _ => None,
    }
}

fn is_segment(text: &str) -> bool {
    !text.is_empty() && !text.contains('/')
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
        Targets::new(&profiles, None)
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
            "/v2/models/a/versions//infer",
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
    fn the_only_model_answers_paths_without_a_name() {
        let targets = targets(&["churn=a.json"]);
        assert_eq!(found(&targets, "/invocations"), Some((Route::Invocations, Some(0))));
        assert_eq!(found(&targets, "/v1/models/other:predict"), Some((Route::V1Predict, None)));
    }
}
