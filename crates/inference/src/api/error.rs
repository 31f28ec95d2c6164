//! The HTTP response to a refused request.

use crate::{reason::Reason, refusal::Refusal, route::Route};
use actix_web::{
    HttpResponse, ResponseError,
    http::{
        Method, StatusCode,
        header::{self, ContentType},
    },
};
use std::fmt;

/// The `Retry-After` header of every 503, in seconds. The service answers thousands of requests per second, so a short overload
/// has passed by then.
const RETRY_AFTER: &str = "1";

/// A refusal with the status and the headers that it is answered with.
#[derive(Debug)]
pub struct ApiError {
    refusal: Refusal,
    status: StatusCode,
    allow: Option<&'static str>,
}

impl ApiError {
    /// Refuses a path that matches no route.
    pub(super) fn not_found(path: &str) -> Self {
        Refusal::new(Reason::NotFound, format!("there is nothing at {path}; see /docs")).into()
    }

    /// Refuses a method that the route does not serve; the `Allow` header lists those that it does.
    pub(super) fn method_not_allowed(method: &Method, path: &str, route: Route) -> Self {
        let allow = route.allowed_methods();
        let refusal = Refusal::new(Reason::MethodNotAllowed, format!("{path} serves {allow}, not {method}"));
        Self { allow: Some(allow), ..refusal.into() }
    }

    /// Answers with the status that a fault header asks for.
    pub(super) fn injected(status: StatusCode) -> Self {
        let refusal =
            Refusal::new(Reason::FaultInjected, "this error was injected because a fault header asks for it");
        Self { status, ..refusal.into() }
    }

    /// Returns the reason, which is counted and logged.
    pub(super) fn reason(&self) -> Reason {
        self.refusal.reason
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self { status: refusal.reason.status(), allow: None, refusal }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.refusal.fmt(f)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((header::RETRY_AFTER, RETRY_AFTER));
        }
        if let Some(allow) = self.allow {
            response.insert_header((header::ALLOW, allow));
        }
        response.content_type(ContentType::json()).body(self.refusal.to_json())
    }
}
