//! Matches the paths of payloads with the route patterns of the service, such as `/v2/models/{model}/infer`, which are labels of
//! its metrics.

use crate::scenario::Payload;

/// The paths that payloads call. Requests to other paths, such as readings of `/metrics`, do not count for the vital signs.
#[derive(Debug, Clone)]
pub struct Routes(Vec<String>);

impl Routes {
    /// Creates the routes that `payloads` call at a target whose own path is `prefix`. The patterns of a service may or may not
    /// include the prefix, so they are compared with the paths with and without it.
    pub fn new(payloads: &[Payload], prefix: &str) -> Self {
        let mut paths = Vec::new();
        for payload in payloads {
            let path = payload.path.split('?').next().unwrap_or_default();
            paths.push(path.to_owned());
            paths.push(format!("{}{path}", prefix.trim_end_matches('/')));
            // A watcher labels requests to a path of the user's with the usual route of their protocol.
            paths.extend(payload.protocol.as_ref().map(|protocol| protocol.usual_path().to_owned()));
        }
        paths.sort();
        paths.dedup();
        Self(paths)
    }

    /// Returns whether a payload calls the route of this pattern.
    pub fn called(&self, pattern: &str) -> bool {
        self.0.iter().any(|path| matches(pattern, path))
    }
}

#[cfg(test)]
impl Routes {
    /// Returns the default route of payloads.
    pub(crate) fn predict() -> Self {
        Self(vec!["/predict".into()])
    }
}

fn matches(pattern: &str, path: &str) -> bool {
    let mut steps = path.split('/');
    for wanted in pattern.split('/') {
        // The text after a name in braces, such as `:predict` in `{model}:predict`.
        let suffix = wanted.strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(_, suffix)| suffix);
        let braces = suffix.is_some();
        match steps.next() {
            // A tail such as `{rest:.*}` matches the rest of the path.
            Some(_) if braces && wanted.contains('*') => return true,
            Some(step) if step == wanted => {}
            Some(step)
                if suffix.is_some_and(|suffix| step.len() > suffix.len() && step.ends_with(suffix)) => {}
            _ => return false,
        }
    }
    steps.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_its_paths() {
        assert!(matches("/predict", "/predict"));
        assert!(matches("/v1/models/{model}:predict", "/v1/models/iris:predict"));
        assert!(!matches("/v1/models/{model}:predict", "/v1/models/iris:explain"));
        assert!(!matches("/v1/models/{model}:predict", "/v1/models/:predict"));
        assert!(matches("/v2/models/{model}/infer", "/v2/models/iris/infer"));
        assert!(matches("/v2/models/{model}/versions/{version}/infer", "/v2/models/iris/versions/1/infer"));
        assert!(matches("/files/{rest:.*}", "/files/a/b"));
        for path in
            ["/v2/models/iris", "/v2/models//infer", "/v2/models/iris/infer/x", "/v1/models/iris/infer"]
        {
            assert!(!matches("/v2/models/{model}/infer", path), "{path}");
        }
        assert!(!matches("unmatched", "/predict"));
    }

    #[test]
    fn a_prefix_may_be_part_of_the_patterns_or_not() {
        let yaml = "
name: x
payloads: { a: { source: { model: {} } }, b: { source: { fixed: {} }, method: GET, path: '/healthz?full=1' } }
phases: [ { name: a, executor: constant-vus, vus: 1, duration: 1s } ]
";
        let scenario = crate::scenario::Scenario::parse(yaml, "x").unwrap();
        let routes = Routes::new(&scenario.payloads, "/iris/");
        for pattern in ["/predict", "/iris/predict", "/healthz"] {
            assert!(routes.called(pattern), "{pattern}");
        }
        assert!(!routes.called("/metrics"));
    }

    #[test]
    fn requests_to_a_path_of_the_user_have_the_usual_route_of_their_protocol() {
        let yaml = "
name: x
payloads: { a: { source: { model: {} }, path: /score }, b: { source: { model: {} }, protocol: oip-v2, path: /infer } }
phases: [ { name: a, executor: constant-vus, vus: 1, duration: 1s } ]
";
        let scenario = crate::scenario::Scenario::parse(yaml, "x").unwrap();
        let routes = Routes::new(&scenario.payloads, "/");
        for pattern in ["/score", "/predict", "/infer", "/v2/models/{model}/infer"] {
            assert!(routes.called(pattern), "{pattern}");
        }
        assert!(!routes.called("/invocations"));
    }
}
