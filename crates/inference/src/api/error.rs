//! The HTTP response to a refused request.

use crate::{faults, reason::Reason, refusal::Refusal, route::Route};
use actix_web::{
    HttpResponse, ResponseError,
    http::{
        Method, StatusCode,
        header::{self, ContentType},
    },
};
use std::fmt;

/// The `Retry-After` header of every 503, in seconds. The service answers thousands of requests per second, so a short overload is
/// over after this time.
const RETRY_AFTER: &str = "1";

/// A refusal with the status and the headers of its response.
#[derive(Debug)]
pub struct ApiError {
    refusal: Refusal,
    status: StatusCode,
    allow: Option<&'static str>,
    /// Whether the body is in the form of the Open Inference Protocol.
    is_oip: bool,
}

impl ApiError {
    /// Refuses a path that matches no route.
    pub(super) fn not_found(path: &str) -> Self {
        let refusal = Refusal::new(Reason::NotFound, format!("there is no resource at {path}; see /docs"));
        Self { is_oip: path.starts_with("/v2/"), ..refusal.into() }
    }

    /// Refuses a method that the route does not serve. The `Allow` header lists the methods that it serves.
    pub(super) fn method_not_allowed(method: &Method, path: &str, route: Route) -> Self {
        let allow = route.allowed_methods();
        let refusal = Refusal::new(Reason::MethodNotAllowed, format!("{path} serves {allow}, not {method}"));
        Self { allow: Some(allow), is_oip: route.is_oip(), ..refusal.into() }
    }

    /// Answers with the status that a fault header asks for.
    pub(super) fn injected(status: StatusCode) -> Self {
        Self { status, ..faults::injected().into() }
    }

    /// Answers in the form of the Open Inference Protocol.
    pub(super) fn in_oip(self) -> Self {
        Self { is_oip: true, ..self }
    }

    /// Returns the reason, which is counted and logged.
    pub(super) fn reason(&self) -> Reason {
        self.refusal.reason
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self { status: refusal.reason.status(), allow: None, is_oip: false, refusal }
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
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(allow) = self.allow {
            response.insert_header((header::ALLOW, allow));
        }
        response.content_type(ContentType::json()).body(if self.is_oip {
            self.refusal.to_text_json()
        } else {
            self.refusal.to_json()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use actix_web::body::MessageBody;

    fn answer(error: &ApiError) -> (u16, [Option<String>; 2], String) {
        let response = error.error_response();
        assert_eq!(response.status(), error.status_code());
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (status, headers) =
            (response.status().as_u16(), [header(header::RETRY_AFTER), header(header::ALLOW)]);
        let body = response.into_body().try_into_bytes().unwrap_or_default();
        (status, headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn paths_of_the_open_inference_protocol_are_answered_in_its_form() {
        let body = |error: ApiError| answer(&error).2;
        let of_protocol = |body: &str| body.starts_with(r#"{"error":""#);
        assert!(of_protocol(&body(ApiError::not_found("/v2/modle"))));
        assert!(!of_protocol(&body(ApiError::not_found("/v2x"))));
        for route in [Route::Predict, Route::Feedback, Route::Model] {
            assert!(!of_protocol(&body(ApiError::method_not_allowed(&Method::PUT, "", route))), "{route:?}");
        }
        // TensorFlow Serving and MLflow answer in the same form.
        for &route in Route::ALL.iter().filter(|route| route.is_oip()) {
            assert!(of_protocol(&body(ApiError::method_not_allowed(&Method::PUT, "", route))), "{route:?}");
        }
        let refused = || ApiError::from(Refusal::new(Reason::EmptyBatch, "no rows"));
        assert!(!of_protocol(&body(refused())) && of_protocol(&body(refused().in_oip())));
    }

    #[test]
    fn the_error_for_an_unknown_path_names_it() {
        let error = ApiError::not_found("/modle");
        assert_eq!(error.reason(), Reason::NotFound);
        let (status, headers, body) = answer(&error);
        assert_eq!((status, headers), (404, [None, None]));
        assert!(body.contains(r#""code":"not_found""#) && body.contains("/modle"), "{body}");
    }

    #[test]
    fn the_error_for_a_wrong_method_lists_the_allowed_ones() {
        let error = ApiError::method_not_allowed(&Method::PUT, "/predict", Route::Predict);
        assert_eq!(error.reason(), Reason::MethodNotAllowed);
        let (status, headers, body) = answer(&error);
        assert_eq!((status, headers), (405, [None, Some("POST".to_owned())]));
        assert!(body.contains("/predict serves POST, not PUT"), "{body}");
    }

    #[test]
    fn an_injected_error_has_the_status_from_the_header() {
        for (status, retry) in [(418, None), (500, None), (503, Some("1".to_owned()))] {
            let error = ApiError::injected(StatusCode::from_u16(status).unwrap());
            assert_eq!(error.reason(), Reason::FaultInjected);
            let (got, headers, body) = answer(&error);
            assert_eq!((got, headers), (status, [retry, None]));
            assert!(body.contains(r#""code":"fault_injected""#), "{body}");
        }
    }

    #[test]
    fn the_response_to_a_refusal_has_the_status_of_its_reason_and_json() {
        for &reason in Reason::ALL {
            let error = ApiError::from(Refusal::new(reason, "why").at("a.b"));
            let (status, [retry, allow], body) = answer(&error);
            assert_eq!((status, retry.is_some(), allow), (reason.status().as_u16(), status == 503, None));
            let expected =
                format!(r#"{{"error":{{"code":"{}","message":"why","field":"a.b"}}}}"#, reason.code());
            assert_eq!(body, expected);
            let response = error.error_response();
            let content_type = response.headers().get(header::CONTENT_TYPE).unwrap();
            assert_eq!(content_type, "application/json");
        }
    }
}
