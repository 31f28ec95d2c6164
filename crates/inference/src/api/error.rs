//! One error for all routes: its code is both the JSON field and the metric label.

use crate::metrics::Endpoint;
use actix_web::{
    HttpResponse, ResponseError,
    http::{
        Method, StatusCode,
        header::{self, ContentType},
    },
};
use serde::Serialize;
use std::fmt;
use utoipa::ToSchema;

/// Seconds after which a refused client may try again: overload of a service this fast is over quickly, or not soon.
const RETRY_AFTER: &str = "1";

macro_rules! reasons {
    ($($(#[$doc:meta])+ $name:ident = $code:literal, $status:ident;)+) => {
        /// Why a request was refused: a closed set, so that the label of the counter is one too.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Reason { $($(#[$doc])+ $name,)+ }

        impl Reason {
            /// Every reason there is, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The code that clients and metrics see.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The status it is answered with.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)+ }
            }
        }
    };
}

reasons! {
    /// The bytes are not an HTTP request.
    MalformedRequest = "malformed_request", BAD_REQUEST;
    /// The body is not JSON.
    MalformedJson = "malformed_json", BAD_REQUEST;
    /// A fault header can't be read.
    BadFaultHeader = "bad_fault_header", BAD_REQUEST;
    /// The connection broke while the body was read.
    BodyUnreadable = "body_unreadable", BAD_REQUEST;
    /// No such route.
    NotFound = "not_found", NOT_FOUND;
    /// The route does not serve this method.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED;
    /// The client took too long to send its body.
    BodyTimeout = "body_timeout", REQUEST_TIMEOUT;
    /// The client took too long to send the request line and the headers.
    HeadTimeout = "head_timeout", REQUEST_TIMEOUT;
    /// The request line and the headers are above the limit.
    HeadTooLarge = "head_too_large", REQUEST_HEADER_FIELDS_TOO_LARGE;
    /// The answer would be above the limit.
    AnswerTooLarge = "answer_too_large", PAYLOAD_TOO_LARGE;
    /// A list of feedback with too many pieces.
    TooManyPieces = "too_many_pieces", PAYLOAD_TOO_LARGE;
    /// The body is above the limit.
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE;
    /// The body is not declared as JSON.
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE;
    /// The body is compressed.
    UnsupportedEncoding = "unsupported_encoding", UNSUPPORTED_MEDIA_TYPE;
    /// Something is not of the kind it should be.
    WrongType = "wrong_type", UNPROCESSABLE_ENTITY;
    /// The body lacks a field.
    MissingField = "missing_field", UNPROCESSABLE_ENTITY;
    /// The body has a field that means nothing.
    UnknownField = "unknown_field", UNPROCESSABLE_ENTITY;
    /// Something is given twice.
    DuplicateField = "duplicate_field", UNPROCESSABLE_ENTITY;
    /// A batch without rows.
    EmptyBatch = "empty_batch", UNPROCESSABLE_ENTITY;
    /// A row with too few or too many values.
    WrongFeatureCount = "wrong_feature_count", UNPROCESSABLE_ENTITY;
    /// A named row lacks a feature.
    MissingFeature = "missing_feature", UNPROCESSABLE_ENTITY;
    /// A named row has a feature that the model does not know.
    UnknownFeature = "unknown_feature", UNPROCESSABLE_ENTITY;
    /// A value that is not a number.
    NotANumber = "not_a_number", UNPROCESSABLE_ENTITY;
    /// A null where the model needs a number.
    MissingValue = "missing_value", UNPROCESSABLE_ENTITY;
    /// A number too large to be held or scored.
    NumberOutOfRange = "number_out_of_range", UNPROCESSABLE_ENTITY;
    /// A prediction id that cannot be read.
    MalformedPredictionId = "malformed_prediction_id", UNPROCESSABLE_ENTITY;
    /// A prediction id that was not signed with this service's key.
    ForgedPredictionId = "forged_prediction_id", UNPROCESSABLE_ENTITY;
    /// A prediction id that is too old.
    ExpiredPredictionId = "expired_prediction_id", UNPROCESSABLE_ENTITY;
    /// A prediction id that is later than the clock of this service.
    FuturePredictionId = "future_prediction_id", UNPROCESSABLE_ENTITY;
    /// A prediction id of another model version.
    ForeignVersion = "foreign_version", UNPROCESSABLE_ENTITY;
    /// A prediction that feedback was already given about.
    RepeatedPredictionId = "repeated_prediction_id", UNPROCESSABLE_ENTITY;
    /// A label that is not one of the model's classes.
    UnknownLabel = "unknown_label", UNPROCESSABLE_ENTITY;
    /// Something inside broke.
    Internal = "internal", INTERNAL_SERVER_ERROR;
    /// Too many requests at a time.
    Overloaded = "overloaded", SERVICE_UNAVAILABLE;
    /// Not started, or stopping.
    NotReady = "not_ready", SERVICE_UNAVAILABLE;
    /// A fault that was asked for; its status is the one asked for.
    FaultInjected = "fault_injected", SERVICE_UNAVAILABLE;
    /// The answer took too long.
    TooSlow = "too_slow", GATEWAY_TIMEOUT;
}

impl Reason {
    /// Why feedback about one prediction can be refused.
    pub const OF_FEEDBACK: [Self; 11] = [
        Self::WrongType,
        Self::MissingField,
        Self::UnknownField,
        Self::DuplicateField,
        Self::MalformedPredictionId,
        Self::ForgedPredictionId,
        Self::ExpiredPredictionId,
        Self::FuturePredictionId,
        Self::ForeignVersion,
        Self::RepeatedPredictionId,
        Self::UnknownLabel,
    ];
}

/// A refusal, as the client will read it.
#[derive(Debug)]
pub struct ApiError {
    /// Why.
    pub reason: Reason,
    /// What was wrong and how to fix it.
    pub message: String,
    /// Path of the field that was wrong, if it was one.
    pub field: Option<String>,
    status: StatusCode,
    allow: Option<&'static str>,
}

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
struct ErrorDetail {
    /// Stable word for the kind of error
    #[schema(example = "wrong_feature_count")]
    code: &'static str,
    /// What was wrong and how to fix it
    #[schema(example = "expected 4 features, got 2")]
    message: String,
    /// Path of the field that was wrong
    #[schema(example = "features")]
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

impl ApiError {
    /// A refusal.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), field: None, status: reason.status(), allow: None }
    }

    /// Names the field that was wrong.
    pub fn at(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    /// No such route.
    pub fn not_found(path: &str) -> Self {
        Self::new(Reason::NotFound, format!("there is nothing at {path}; see /docs"))
    }

    /// A route that serves other methods.
    pub fn method_not_allowed(method: &Method, path: &str, endpoint: Endpoint) -> Self {
        let message = format!("{path} serves {}, not {method}", endpoint.allow());
        Self { allow: Some(endpoint.allow()), ..Self::new(Reason::MethodNotAllowed, message) }
    }

    /// An abort that a fault header asked for.
    pub fn fault(status: StatusCode) -> Self {
        Self { status, ..Self::new(Reason::FaultInjected, "a fault was asked for, and injected") }
    }

    /// The body that the client will read.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let (code, message, field) = (self.reason.code(), self.message.clone(), self.field.clone());
        let body = ErrorBody { error: ErrorDetail { code, message, field } };
        serde_json::to_vec(&body).unwrap_or_else(|_| unreachable!("plain text is always JSON"))
    }

    /// Something inside broke: the cause is for the log, not for the client.
    pub fn internal(cause: impl fmt::Display) -> Self {
        tracing::error!(%cause, "internal error");
        Self::new(Reason::Internal, "internal error")
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.code(), self.message)
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
        let mut response = response.content_type(ContentType::json()).body(self.to_json());
        // Read where answers are counted and logged.
        response.extensions_mut().insert(self.reason);
        response
    }
}
