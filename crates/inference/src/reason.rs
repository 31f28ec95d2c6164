//! The closed set of reasons to refuse a request or a piece of feedback. A reason's code is what clients and metrics see.

use actix_web::http::StatusCode;

macro_rules! reasons {
    ($($(#[$doc:meta])+ $name:ident = $code:literal, $status:ident;)+) => {
        /// The reason for refusing a request. It is a closed set, because the code is a metric label.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Reason { $($(#[$doc])+ $name,)+ }

        impl Reason {
            /// Every reason, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Returns the code that clients and metrics see.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// Returns the HTTP status of the answer.
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
    /// A fault header is invalid.
    BadFaultHeader = "bad_fault_header", BAD_REQUEST;
    /// The connection broke while the body was read.
    BodyUnreadable = "body_unreadable", BAD_REQUEST;
    /// The request does not have the token of administrators.
    Unauthorized = "unauthorized", UNAUTHORIZED;
    /// The new model cannot be served; the old model is still served.
    ReloadFailed = "reload_failed", CONFLICT;
    /// There is no such route.
    NotFound = "not_found", NOT_FOUND;
    /// The path names another model or version than the one that is served.
    UnknownModel = "unknown_model", NOT_FOUND;
    /// The route does not serve this method.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED;
    /// The client took too long to send its body.
    BodyTimeout = "body_timeout", REQUEST_TIMEOUT;
    /// The client took too long to send the request line and the headers.
    HeadTimeout = "head_timeout", REQUEST_TIMEOUT;
    /// The request line and the headers exceed the limit.
    HeadTooLarge = "head_too_large", REQUEST_HEADER_FIELDS_TOO_LARGE;
    /// The answer would exceed the limit.
    AnswerTooLarge = "answer_too_large", PAYLOAD_TOO_LARGE;
    /// A list of feedback has too many items.
    TooManyPieces = "too_many_pieces", PAYLOAD_TOO_LARGE;
    /// The body exceeds the limit.
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE;
    /// The body is not declared as JSON.
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE;
    /// The body is compressed.
    UnsupportedEncoding = "unsupported_encoding", UNSUPPORTED_MEDIA_TYPE;
    /// A value has the wrong JSON type.
    WrongType = "wrong_type", UNPROCESSABLE_ENTITY;
    /// The body lacks a field.
    MissingField = "missing_field", UNPROCESSABLE_ENTITY;
    /// The body has an unknown field.
    UnknownField = "unknown_field", UNPROCESSABLE_ENTITY;
    /// A field occurs twice.
    DuplicateField = "duplicate_field", UNPROCESSABLE_ENTITY;
    /// A batch has no rows.
    EmptyBatch = "empty_batch", UNPROCESSABLE_ENTITY;
    /// A row has too few or too many values.
    WrongFeatureCount = "wrong_feature_count", UNPROCESSABLE_ENTITY;
    /// A row of named values lacks a feature.
    MissingFeature = "missing_feature", UNPROCESSABLE_ENTITY;
    /// A row of named values has a feature that the model does not have.
    UnknownFeature = "unknown_feature", UNPROCESSABLE_ENTITY;
    /// A value is not a number.
    NotANumber = "not_a_number", UNPROCESSABLE_ENTITY;
    /// A value of a categorical feature has another JSON type than its categories.
    NotACategory = "not_a_category", UNPROCESSABLE_ENTITY;
    /// A value is missing, but the model needs it.
    MissingValue = "missing_value", UNPROCESSABLE_ENTITY;
    /// A number is too large to be represented or scored.
    NumberOutOfRange = "number_out_of_range", UNPROCESSABLE_ENTITY;
    /// A tensor has a shape that the model cannot take.
    WrongShape = "wrong_shape", UNPROCESSABLE_ENTITY;
    /// The data of a tensor do not have the size that its shape or its header says.
    WrongDataSize = "wrong_data_size", UNPROCESSABLE_ENTITY;
    /// A tensor has an unknown datatype.
    UnknownDatatype = "unknown_datatype", UNPROCESSABLE_ENTITY;
    /// The request names an output that the model does not have.
    UnknownOutput = "unknown_output", UNPROCESSABLE_ENTITY;
    /// The model cannot score a row.
    UnscorableRow = "unscorable_row", UNPROCESSABLE_ENTITY;
    /// A prediction id cannot be read.
    MalformedPredictionId = "malformed_prediction_id", UNPROCESSABLE_ENTITY;
    /// A prediction id was not signed with this service's key.
    ForgedPredictionId = "forged_prediction_id", UNPROCESSABLE_ENTITY;
    /// A prediction id is too old.
    ExpiredPredictionId = "expired_prediction_id", UNPROCESSABLE_ENTITY;
    /// The time of a prediction id is later than the clock of this service.
    FuturePredictionId = "future_prediction_id", UNPROCESSABLE_ENTITY;
    /// A prediction id is of another model version.
    ForeignVersion = "foreign_version", UNPROCESSABLE_ENTITY;
    /// Feedback about a prediction was already given.
    RepeatedPredictionId = "repeated_prediction_id", UNPROCESSABLE_ENTITY;
    /// A label is not one of the model's classes.
    UnknownLabel = "unknown_label", UNPROCESSABLE_ENTITY;
    /// A true number so far from the predicted one that counting the error would spoil the sums of errors.
    ErrorTooLarge = "error_too_large", UNPROCESSABLE_ENTITY;
    /// An internal error.
    Internal = "internal", INTERNAL_SERVER_ERROR;
    /// The watched model server cannot be reached.
    UpstreamUnreachable = "upstream_unreachable", BAD_GATEWAY;
    /// The watched model server closed the connection, or did not answer with HTTP.
    UpstreamBroken = "upstream_broken", BAD_GATEWAY;
    /// The watched model server did not answer in time.
    UpstreamTimeout = "upstream_timeout", GATEWAY_TIMEOUT;
    /// There are too many concurrent requests.
    Overloaded = "overloaded", SERVICE_UNAVAILABLE;
    /// The service is stopping.
    NotReady = "not_ready", SERVICE_UNAVAILABLE;
    /// A fault was injected; the fault header gives the status.
    FaultInjected = "fault_injected", SERVICE_UNAVAILABLE;
    /// An injected delay exceeds the request timeout.
    TooSlow = "too_slow", GATEWAY_TIMEOUT;
}

impl Reason {
    /// The reasons to refuse feedback about one prediction.
    pub const OF_FEEDBACK: [Self; 12] = [
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
        Self::ErrorTooLarge,
    ];
}
