//! Reads the body of `/predict`: one row in `features`, or a list of rows in `instances`.

use super::{
    Form, ParsedRows,
    check::{check_instances, check_rows},
    exact,
    raw::Body,
    unreadable,
};
use crate::{reason::Reason, refusal::Refusal};
use model::{Feature, ModelCard, Values};

impl ParsedRows {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// Returns an error if the body is not JSON, or does not contain rows with the features of this model.
    pub fn parse(body: &[u8], card: &ModelCard) -> Result<Self, Refusal> {
        let fields = match serde_json::from_slice(body).map_err(|error| unreadable(body, &error))? {
            Body::Object(fields) => fields,
            Body::Other(kind) => {
                return Err(Refusal::new(
                    Reason::WrongType,
                    format!("the body must be an object, got {kind}"),
                ));
            }
        };
        if let Some(name) = fields.unknown {
            let message = format!("unknown field {name:?}; the fields are \"features\" and \"instances\"");
            return Err(Refusal::new(Reason::UnknownField, message).at(name));
        }
        if let Some(name) = fields.repeated {
            return Err(Refusal::new(Reason::DuplicateField, format!("{name:?} is given twice")).at(name));
        }
        match (fields.features, fields.instances) {
            (Some(row), None) => check_rows(row, Form::One, card)?.exact(body, card),
            (None, Some(instances)) => check_instances(instances, "instances", card)?.exact(body, card),
            (Some(_), Some(_)) => {
                let message = "expected \"features\" for one row or \"instances\" for many, got both; remove one of them";
                Err(Refusal::new(Reason::DuplicateField, message).at("instances"))
            }
            (None, None) => {
                let message = format!("\"features\" is missing; send {}", example(card));
                Err(Refusal::new(Reason::MissingField, message).at("features"))
            }
        }
    }
}

/// Returns a valid request body for messages and documentation. It has the mean of each number, with the decimals of the data, and the
/// first category of each categorical feature.
pub fn example(card: &ModelCard) -> String {
    let values: Vec<String> = card.features.iter().map(example_value).collect();
    format!("{{\"features\":[{}]}}", values.join(","))
}

pub(super) fn example_value(feature: &Feature) -> String {
    match &feature.values {
        // With an exponent, because it would be refused as an integer.
        Values::Numeric(numeric) if exact::may_be_rounded(numeric.mean) => format!("{:e}", numeric.mean),
        Values::Numeric(numeric) => format!("{:.*}", numeric.decimals.map_or(3, usize::from), numeric.mean),
        Values::Categorical(categorical) => categorical.json(0.0).to_string(),
    }
}
