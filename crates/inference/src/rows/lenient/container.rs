//! Finds the field of a body that contains the rows.

use super::{below, named};
use crate::{reason::Reason, refusal::Refusal, rows::raw::shortened};
use model::ModelCard;
use serde_json::Value;

/// Fields that contain the rows in the requests of known servers and of many hand-written services.
const CONTAINERS: [&str; 14] = [
    "instances",
    "inputs",
    "features",
    "dataframe_split",
    "dataframe_records",
    "data",
    "rows",
    "records",
    "input",
    "input_data",
    "ndarray",
    "items",
    "samples",
    "x",
];

/// Fields that never contain rows, although their values may be objects or lists.
const SETTINGS: [&str; 7] =
    ["params", "parameters", "options", "metadata", "context", "signature_name", "config"];

/// Returns the field that contains the rows.
pub(super) fn container<'v>(
    fields: &'v serde_json::Map<String, Value>,
    place: &str,
    card: &ModelCard,
) -> Result<(&'v str, &'v Value), Refusal> {
    let own: Vec<(&str, &Value)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .filter(|(name, value)| (value.is_array() || value.is_object()) && !SETTINGS.contains(name))
        .collect();
    let is_known = |(name, _): &(&str, &Value)| CONTAINERS.contains(&name.to_lowercase().as_str());
    let known: Vec<(&str, &Value)> = own.iter().copied().filter(is_known).collect();
    match (known.as_slice(), own.as_slice()) {
        ([one], _) => Ok(*one),
        ([], [one]) => Ok(*one),
        ([one, other, ..], _) | ([], [one, other, ..]) => {
            let message = format!(
                "the rows may be in {:?} or {:?}; name the field when the profile is made (--tensor)",
                shortened(one.0),
                shortened(other.0)
            );
            Err(Refusal::new(Reason::DuplicateField, message).at(below(place, one.0)))
        }
        ([], []) => match fields.keys().next() {
            Some(name) if fields.len() >= card.features.len() => {
                let other = format!(
                    "; the columns may have other names, such as {:?}: name them when the profile is made (--inputs)",
                    shortened(name)
                );
                let mut refusal = no_rows(card, place);
                refusal.message += &other;
                Err(refusal)
            }
            _ => Err(no_rows(card, place)),
        },
    }
}

/// Returns the refusal of a value that has no rows.
pub(super) fn no_rows(card: &ModelCard, place: &str) -> Refusal {
    let names = card.features.iter().map(|feature| feature.name.as_str()).collect::<Vec<_>>().join(", ");
    let message = format!("found neither a list of rows nor values named {names}");
    Refusal::new(Reason::MissingField, message).at(named(place))
}
