//! The closed set of the service's routes. A route's pattern is also the value of the metrics' `endpoint` label, so no path
//! that a client makes up becomes a label.

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
    /// Every path that matches none of the above
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
            Self::Unmatched => "unmatched",
        }
    }

    /// Returns the methods that the route serves, in the form of the `Allow` header.
    pub fn allowed_methods(self) -> &'static str {
        match self {
            Self::Predict | Self::Feedback | Self::Reload => "POST",
            _ => "GET, HEAD",
        }
    }
}
