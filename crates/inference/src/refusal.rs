//! The refusal of a request or of feedback: the reason, a message for the client, and the field that is wrong. It is independent of
//! HTTP: [`crate::api`] converts it into a response, and [`crate::connection`] sends it if a request could not be parsed.

use crate::reason::Reason;
use serde::Serialize;
use std::fmt;
use utoipa::ToSchema;

/// The refusal of a request, or of one item of feedback.
#[derive(Debug)]
pub struct Refusal {
    /// The reason, whose code is in the answer and in metrics.
    pub reason: Reason,
    /// What is wrong and how to fix it.
    pub message: String,
    /// Path of the wrong field in the request, such as `instances[3].age`; `None` if no single field is wrong.
    pub field: Option<String>,
}

/// The JSON body of every refusal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: ErrorDetail,
}

/// A fault in a request.
#[derive(Debug, Serialize, ToSchema)]
struct ErrorDetail {
    /// Error code, which does not change
    #[schema(example = "wrong_feature_count")]
    code: &'static str,
    /// What is wrong and how to fix it
    #[schema(example = "expected 4 features, got 2")]
    message: String,
    /// Path of the wrong field
    #[schema(example = "features")]
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

impl Refusal {
    /// Creates a refusal that does not name a field.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), field: None }
    }

    /// Names the field that is wrong.
    pub fn at(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    /// Logs the cause of an internal error and returns a refusal that does not disclose it to the client.
    pub fn internal(cause: impl fmt::Display) -> Self {
        tracing::error!(%cause, "internal error");
        Self::new(Reason::Internal, "internal error")
    }

    /// Returns the JSON body that the client receives.
    pub fn to_json(&self) -> Vec<u8> {
        let (code, message, field) = (self.reason.code(), self.message.clone(), self.field.clone());
        let body = ErrorBody { error: ErrorDetail { code, message, field } };
        serde_json::to_vec(&body).unwrap_or_else(|_| unreachable!("strings are always valid JSON"))
    }
}

/// The JSON body of a refusal in the Open Inference Protocol, whose clients expect a text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TextErrorBody {
    /// The wrong field, what is wrong and how to fix it, and the error code
    #[schema(example = "inputs.input-0: expected 4 features, got 2 (wrong_feature_count)")]
    error: String,
}

impl Refusal {
    /// Returns the message after the field that is wrong, if a single field is.
    pub(crate) fn placed(&self) -> String {
        let place = self.field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
        place + &self.message
    }

    /// Returns the JSON body that a client of the Open Inference Protocol receives.
    pub fn to_text_json(&self) -> Vec<u8> {
        let body = TextErrorBody { error: format!("{} ({})", self.placed(), self.reason.code()) };
        serde_json::to_vec(&body).unwrap_or_else(|_| unreachable!("strings are always valid JSON"))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.code(), self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_a_code_a_message_and_the_field_if_there_is_one() {
        let json = |refusal: Refusal| String::from_utf8(refusal.to_json()).unwrap();
        let refusal = Refusal::new(Reason::WrongFeatureCount, "expected 4 features, got 2");
        assert_eq!(refusal.field, None);
        assert_eq!(
            json(refusal.at("instances[3]")),
            r#"{"error":{"code":"wrong_feature_count","message":"expected 4 features, got 2","field":"instances[3]"}}"#
        );
        // The cause of an internal error is logged, not sent.
        assert_eq!(
            json(Refusal::internal("disk full")),
            r#"{"error":{"code":"internal","message":"internal error"}}"#
        );
    }
}
