//! The closed set of the service's routes. A route's pattern is also the value of the metric label `endpoint`, so that arbitrary paths
//! of clients never become labels.

macro_rules! routes {
    ($($(#[$doc:meta])+ $name:ident = $pattern:literal;)+) => {
        /// A route, named after the pattern that it matches.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Route { $($(#[$doc])+ $name,)+ }

        impl Route {
            /// Every route, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Returns the pattern that paths are matched against.
            pub fn pattern(self) -> &'static str {
                match self { $(Self::$name => $pattern,)+ }
            }
        }
    };
}

routes! {
    /// `/predict`
    Predict = "/predict";
    /// `/feedback`
    Feedback = "/feedback";
    /// `/model`
    Model = "/model";
    /// `/metrics`
    Metrics = "/metrics";
    /// `/healthz`
    Healthz = "/healthz";
    /// `/readyz`
    Readyz = "/readyz";
    /// `/docs`
    Docs = "/docs";
    /// The files of the documentation page
    DocsFile = "/docs/{file:.*}";
    /// `/openapi.json`
    OpenApi = "/openapi.json";
    /// `/admin/reload`
    Reload = "/admin/reload";
    /// `/v2`: the server, in the Open Inference Protocol
    OipServer = "/v2";
    /// `/v2/health/live`
    OipLive = "/v2/health/live";
    /// `/v2/health/ready`
    OipReady = "/v2/health/ready";
    /// The metadata of a model
    OipModel = "/v2/models/{model}";
    /// The metadata of a version of a model
    OipVersion = "/v2/models/{model}/versions/{version}";
    /// Whether a model is ready
    OipModelReady = "/v2/models/{model}/ready";
    /// Whether a version of a model is ready
    OipVersionReady = "/v2/models/{model}/versions/{version}/ready";
    /// Predictions of a model
    OipInfer = "/v2/models/{model}/infer";
    /// Predictions of a version of a model
    OipVersionInfer = "/v2/models/{model}/versions/{version}/infer";
    /// Predictions by the protocol of TensorFlow Serving and KServe V1
    V1Predict = "/v1/models/{model}:predict";
    /// Predictions by the protocol of MLflow
    Invocations = "/invocations";
    /// `/observe`: rows and predictions that are sent to a watcher
    Observe = "/observe";
    /// `/` of a watcher's own listener: events of KServe's logger
    CloudEvents = "/";
    /// Every path that matches no other route
    Unmatched = "unmatched";
}

impl Route {
    /// Returns the methods that the route serves, in the form of the `Allow` header.
    pub fn allowed_methods(self) -> &'static str {
        match self {
            Self::Predict
            | Self::Feedback
            | Self::Reload
            | Self::OipInfer
            | Self::OipVersionInfer
            | Self::V1Predict
            | Self::Invocations
            | Self::Observe
            | Self::CloudEvents => "POST",
            _ => "GET, HEAD",
        }
    }

    /// Returns whether the route belongs to a protocol in which an error is a single text.
    pub fn is_oip(self) -> bool {
        self.pattern().starts_with("/v") || self == Self::Invocations
    }
}
