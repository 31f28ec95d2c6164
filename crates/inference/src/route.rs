//! The closed set of the service's routes. A route's pattern is also the value of the metric label `endpoint`, so that arbitrary paths
//! of clients never become labels.

/// A route, named after the pattern that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// `/predict`
    Predict,
    /// `/feedback`
    Feedback,
    /// `/model`
    Model,
    /// `/metrics`
    Metrics,
    /// `/healthz`
    Healthz,
    /// `/readyz`
    Readyz,
    /// `/docs`
    Docs,
    /// The files of the documentation page
    DocsFile,
    /// `/openapi.json`
    OpenApi,
    /// `/admin/reload`
    Reload,
    /// `/v2`: the server, in the Open Inference Protocol
    OipServer,
    /// `/v2/health/live`
    OipLive,
    /// `/v2/health/ready`
    OipReady,
    /// The metadata of a model
    OipModel,
    /// The metadata of a version of a model
    OipVersion,
    /// Whether a model is ready
    OipModelReady,
    /// Whether a version of a model is ready
    OipVersionReady,
    /// Predictions of a model
    OipInfer,
    /// Predictions of a version of a model
    OipVersionInfer,
    /// Predictions by the protocol of TensorFlow Serving and KServe V1
    V1Predict,
    /// Predictions by the protocol of MLflow
    Invocations,
    /// `/observe`: rows and predictions that are sent to a watcher
    Observe,
    /// `/` of a watcher's own listener: events of KServe's logger
    CloudEvents,
    /// Every path that matches no other route
    Unmatched,
}

impl Route {
    /// Returns the pattern that paths are matched against.
    pub fn pattern(self) -> &'static str {
        match self {
            Self::Predict => "/predict",
            Self::Feedback => "/feedback",
            Self::Model => "/model",
            Self::Metrics => "/metrics",
            Self::Healthz => "/healthz",
            Self::Readyz => "/readyz",
            Self::Docs => "/docs",
            Self::DocsFile => "/docs/{file:.*}",
            Self::OpenApi => "/openapi.json",
            Self::Reload => "/admin/reload",
            Self::OipServer => "/v2",
            Self::OipLive => "/v2/health/live",
            Self::OipReady => "/v2/health/ready",
            Self::OipModel => "/v2/models/{model}",
            Self::OipVersion => "/v2/models/{model}/versions/{version}",
            Self::OipModelReady => "/v2/models/{model}/ready",
            Self::OipVersionReady => "/v2/models/{model}/versions/{version}/ready",
            Self::OipInfer => "/v2/models/{model}/infer",
            Self::OipVersionInfer => "/v2/models/{model}/versions/{version}/infer",
            Self::V1Predict => "/v1/models/{model}:predict",
            Self::Invocations => "/invocations",
            Self::Observe => "/observe",
            Self::CloudEvents => "/",
            Self::Unmatched => "unmatched",
        }
    }

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
