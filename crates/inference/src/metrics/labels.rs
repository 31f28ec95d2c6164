//! The closed sets of label values: whatever a client sends, no label can take a value that is not listed here.

use actix_web::http::Method;

/// The routes, by the pattern they match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
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
    /// The files of the documentation
    DocsFile,
    /// `/openapi.json`
    OpenApi,
    /// Everything else
    Unmatched,
}

impl Endpoint {
    /// The route pattern, which is also the label.
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
            Self::Unmatched => "unmatched",
        }
    }

    /// The methods it serves, as the `Allow` header lists them.
    pub fn allow(self) -> &'static str {
        match self {
            Self::Predict | Self::Feedback => "POST",
            _ => "GET, HEAD",
        }
    }

    /// The answers that are to be expected of it, by method; their series exist from the start.
    pub(super) fn usual_answers(self) -> &'static [(MethodLabel, &'static [u16])] {
        match self {
            Self::Predict => &[(MethodLabel::Post, &[200, 400, 408, 413, 415, 422, 500, 503, 504])],
            Self::Feedback => &[(MethodLabel::Post, &[202, 400, 408, 413, 415, 422, 500, 503])],
            Self::Readyz => &[(MethodLabel::Get, &[200, 503])],
            Self::DocsFile => &[(MethodLabel::Get, &[200, 404])],
            Self::Docs => &[(MethodLabel::Get, &[308])],
            // Of what can't be read as a request the method is not known.
            Self::Unmatched => &[(MethodLabel::Get, &[404]), (MethodLabel::Other, &[400, 408, 431])],
            Self::Metrics => &[(MethodLabel::Get, &[200, 500, 503])],
            Self::Model | Self::Healthz | Self::OpenApi => &[(MethodLabel::Get, &[200, 500])],
        }
    }
}

/// The standard HTTP methods, and one name for all that people make up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodLabel {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// CONNECT
    Connect,
    /// TRACE
    Trace,
    /// Any other
    Other,
}

impl MethodLabel {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Connect => "CONNECT",
            Self::Trace => "TRACE",
            Self::Other => "other",
        }
    }
}

impl From<&Method> for MethodLabel {
    fn from(method: &Method) -> Self {
        match *method {
            Method::GET => Self::Get,
            Method::HEAD => Self::Head,
            Method::POST => Self::Post,
            Method::PUT => Self::Put,
            Method::PATCH => Self::Patch,
            Method::DELETE => Self::Delete,
            Method::OPTIONS => Self::Options,
            Method::CONNECT => Self::Connect,
            Method::TRACE => Self::Trace,
            _ => Self::Other,
        }
    }
}

/// What a fault header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Answer with a status at once.
    Abort,
    /// Answer later.
    Delay,
}

/// What comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultOutcome {
    /// It was done.
    Injected,
    /// Fault injection is off.
    Ignored,
}

/// The labels of every fault counter, in the order of [`fault_index`].
pub(super) fn fault_labels() -> impl Iterator<Item = (&'static str, &'static str)> {
    ["abort", "delay"].into_iter().flat_map(|kind| ["injected", "ignored"].map(|outcome| (kind, outcome)))
}

pub(super) fn fault_index(kind: FaultKind, outcome: FaultOutcome) -> usize {
    2 * kind as usize + outcome as usize
}
