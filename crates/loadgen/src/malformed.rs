//! Generates malformed requests. Each kind is a mistake that clients make.

use bytes::Bytes;
use driftsim::output::json;
use model::ModelCard;
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt::Write;

/// Above the service's default limit of 1 MiB.
const HUGE: usize = 1024 * 1024 + 64 * 1024;

/// A kind of malformed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Malformed {
    /// The last feature is missing.
    TooFewFeatures,
    /// One value more than the model has features.
    TooManyFeatures,
    /// Texts in place of numbers.
    StringsForNumbers,
    /// The row in a field that the API does not have.
    WrongKey,
    /// An empty object, `{}`.
    EmptyObject,
    /// JSON that ends too early.
    BrokenJson,
    /// A number in place of the list of features.
    WrongType,
    /// A valid row, declared as `text/plain`.
    WrongContentType,
    /// More than 1 MiB of numbers.
    HugeBody,
    /// `NaN`, which JSON does not have.
    Nan,
    /// A number that is too large for an `f64`.
    BeyondF64,
    /// No body at all.
    EmptyBody,
    /// `null` for a feature that may not be missing.
    NullFeature,
}

impl Malformed {
    /// All kinds.
    pub const ALL: [Self; 13] = [
        Self::TooFewFeatures,
        Self::TooManyFeatures,
        Self::StringsForNumbers,
        Self::WrongKey,
        Self::EmptyObject,
        Self::BrokenJson,
        Self::WrongType,
        Self::WrongContentType,
        Self::HugeBody,
        Self::Nan,
        Self::BeyondF64,
        Self::EmptyBody,
        Self::NullFeature,
    ];

    /// Returns the name that scenarios use.
    pub fn name(self) -> &'static str {
        match self {
            Self::TooFewFeatures => "too_few_features",
            Self::TooManyFeatures => "too_many_features",
            Self::StringsForNumbers => "strings_for_numbers",
            Self::WrongKey => "wrong_key",
            Self::EmptyObject => "empty_object",
            Self::BrokenJson => "broken_json",
            Self::WrongType => "wrong_type",
            Self::WrongContentType => "wrong_content_type",
            Self::HugeBody => "huge_body",
            Self::Nan => "nan",
            Self::BeyondF64 => "beyond_f64",
            Self::EmptyBody => "empty_body",
            Self::NullFeature => "null_feature",
        }
    }

    /// Returns the media type it is sent as.
    pub fn content_type(self) -> &'static str {
        if self == Self::WrongContentType { "text/plain" } else { "application/json" }
    }

    /// Returns a malformed body made from a row of `card`'s features, or `None` if the body would be valid for this model.
    pub fn spoil(self, row: &[Option<f64>], card: &ModelCard) -> Option<Bytes> {
        let texts = || -> Vec<String> {
            card.features.iter().zip(row).map(|(feature, &value)| json(feature, value).to_string()).collect()
        };
        let body = match self {
            Self::TooFewFeatures => features(&texts()[..row.len().saturating_sub(1)]),
            Self::TooManyFeatures => features(&[texts(), vec!["0".into()]].concat()),
            Self::StringsForNumbers => {
                // Strings are valid values of categorical features.
                card.features.iter().find(|feature| feature.numeric().is_some())?;
                let spoilt = texts().into_iter().zip(&card.features);
                let spoilt = spoilt.map(|(text, feature)| match feature.numeric() {
                    Some(_) => format!("\"{text} cm\""),
                    None => text,
                });
                features(&spoilt.collect::<Vec<_>>())
            }
            Self::WrongKey => format!("{{\"data\":[{}]}}", texts().join(",")),
            Self::EmptyObject => "{}".into(),
            Self::BrokenJson => format!("{{\"features\":[{}", texts().join(",")),
            Self::WrongType => "{\"features\":5.1}".into(),
            Self::WrongContentType => features(&texts()),
            Self::HugeBody => return Some(huge()),
            Self::Nan => with_first(texts(), "NaN"),
            Self::BeyondF64 => with_first(texts(), "1e999"),
            Self::EmptyBody => String::new(),
            Self::NullFeature => {
                let required = card.features.iter().position(|feature| !feature.may_be_missing())?;
                let mut texts = texts();
                *texts.get_mut(required)? = "null".into();
                features(&texts)
            }
        };
        Some(Bytes::from(body))
    }
}

/// Returns the body of a valid request for one row of `card`'s features; a missing value is `null`.
pub fn proper(row: &[Option<f64>], card: &ModelCard) -> Bytes {
    let mut body = Vec::with_capacity(16 + 8 * row.len());
    body.extend_from_slice(b"{\"features\":[");
    for (at, (feature, &value)) in card.features.iter().zip(row).enumerate() {
        if at > 0 {
            body.push(b',');
        }
        // Writing into memory cannot fail.
        let _ = serde_json::to_writer(&mut body, &json(feature, value));
    }
    body.extend_from_slice(b"]}");
    Bytes::from(body)
}

fn features(texts: &[String]) -> String {
    format!("{{\"features\":[{}]}}", texts.join(","))
}

fn with_first(mut texts: Vec<String>, first: &str) -> String {
    if let Some(text) = texts.first_mut() {
        first.clone_into(text);
    }
    features(&texts)
}

/// Returns a body that is too large. All requests share it, because only its size matters.
fn huge() -> Bytes {
    static BODY: std::sync::OnceLock<Bytes> = std::sync::OnceLock::new();
    BODY.get_or_init(|| {
        let mut body = String::with_capacity(HUGE + 16);
        body.push_str("{\"features\":[0");
        while body.len() < HUGE {
            let _ = write!(body, ",{}", body.len() % 10);
        }
        body.push_str("]}");
        Bytes::from(body)
    })
    .clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iris() -> ModelCard {
        model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap().card
    }

    const ROW: [Option<f64>; 4] = [Some(5.1), Some(3.5), Some(1.4), Some(0.2)];

    fn spoilt(kind: Malformed) -> String {
        String::from_utf8(kind.spoil(&ROW, &iris()).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_valid_row_keeps_its_numbers() {
        assert_eq!(proper(&ROW, &iris()), r#"{"features":[5.1,3.5,1.4,0.2]}"#);
        let body = proper(&[None, Some(1e300), Some(2.0), Some(3.0)], &iris());
        assert_eq!(body, r#"{"features":[null,1e+300,2.0,3.0]}"#);
    }

    #[test]
    fn each_kind_has_the_body_that_its_name_says() {
        assert_eq!(spoilt(Malformed::TooFewFeatures), r#"{"features":[5.1,3.5,1.4]}"#);
        assert_eq!(spoilt(Malformed::TooManyFeatures), r#"{"features":[5.1,3.5,1.4,0.2,0]}"#);
        assert_eq!(spoilt(Malformed::NullFeature), r#"{"features":[null,3.5,1.4,0.2]}"#);
        assert_eq!(spoilt(Malformed::BeyondF64), r#"{"features":[1e999,3.5,1.4,0.2]}"#);
        assert_eq!(spoilt(Malformed::EmptyBody), "");
        assert!(spoilt(Malformed::HugeBody).len() > 1024 * 1024);
    }

    #[test]
    fn every_kind_has_the_name_that_scenarios_use() {
        for kind in Malformed::ALL {
            assert_eq!(serde_yaml::from_str::<Malformed>(kind.name()).unwrap(), kind);
        }
    }

    #[test]
    fn all_kinds_but_the_broken_ones_are_valid_json() {
        let broken = [Malformed::BrokenJson, Malformed::Nan, Malformed::BeyondF64, Malformed::EmptyBody];
        for kind in Malformed::ALL {
            let parsed = serde_json::from_str::<serde_json::Value>(&spoilt(kind));
            assert_eq!(parsed.is_err(), broken.contains(&kind), "{kind:?}");
        }
    }

    #[test]
    fn strings_are_valid_for_a_categorical_feature() {
        let csv: String =
            (0..60).map(|row| format!("{},{},c{}\n", ["a", "b"][row % 2], row % 7, row % 3)).collect();
        let read = |text: String| {
            model::read_csv(text.as_bytes(), "d", &model::CsvOptions::new("class")).unwrap().table
        };
        let card = |table| model::train(&table, &model::TrainOptions::new("d")).unwrap().card;
        let mixed = card(read(format!("x,y,class\n{csv}")));
        let row = [Some(1.0), Some(3.0)];
        assert_eq!(proper(&row, &mixed), r#"{"features":["b",3.0]}"#);
        assert_eq!(
            Malformed::StringsForNumbers.spoil(&row, &mixed).unwrap(),
            r#"{"features":["b","3.0 cm"]}"#
        );
        let csv: String = (0..60).map(|row| format!("{},c{}\n", ["a", "b"][row % 2], row % 3)).collect();
        let texts = card(read(format!("x,class\n{csv}")));
        assert_eq!(Malformed::StringsForNumbers.spoil(&[Some(1.0)], &texts), None);
    }

    #[test]
    fn null_is_valid_where_values_may_be_missing() {
        let mut card = iris();
        card.features.iter_mut().for_each(|feature| feature.missing_ratio = 0.1);
        assert_eq!(Malformed::NullFeature.spoil(&ROW, &card), None);
    }
}
