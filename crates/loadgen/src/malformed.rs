//! Generates malformed requests of any protocol. Each kind is a mistake that clients make.

use crate::plan::body::BodyWriter;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Mutex, PoisonError},
};

/// Above the service's default limit of 1 MiB.
const HUGE: usize = 1024 * 1024 + 64 * 1024;

/// A kind of malformed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Malformed {
    /// One value less than the model has features. If values have names, the value that is left out is one that may not be missing.
    TooFewFeatures,
    /// One value more than the model has features.
    TooManyFeatures,
    /// Texts in place of numbers.
    StringsForNumbers,
    /// The row in a field that the protocol does not have; if no field holds the rows, a value with a name that the model does not have.
    WrongKey,
    /// An empty object, `{}`.
    EmptyObject,
    /// JSON that ends too early.
    BrokenJson,
    /// A number in place of the list or object with the row.
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

    /// Returns a malformed body made from a row of the model's features, in the format of `writer`.
    ///
    /// # Errors
    /// If the body would be valid, or this kind does not exist in this form. The error completes a sentence that begins with the name of the kind.
    pub fn spoil(self, row: &[Option<f64>], writer: &BodyWriter) -> Result<Bytes, &'static str> {
        let texts = writer.texts(row);
        // Servers may accept a row that lacks any other feature.
        let last_required = writer.features().rposition(|feature| !feature.may_be_missing());
        let body = match self {
            Self::TooFewFeatures if writer.names_values() => {
                writer.body_without(last_required.ok_or(ALL_MAY_BE_MISSING)?, &texts)
            }
            Self::TooFewFeatures => writer.body(&texts[..row.len().saturating_sub(1)]),
            Self::TooManyFeatures if writer.has_row_objects() => {
                return Err(
                    "may be valid input: a row is an object, and most servers ignore unknown names in it",
                );
            }
            Self::TooManyFeatures => writer.body(&[texts, vec!["0".into()]].concat()),
            Self::StringsForNumbers => {
                // Strings are valid values of categorical features.
                let numeric = writer.features().find(|feature| feature.numeric().is_some());
                numeric.ok_or("is valid input: no feature of this model is a number")?;
                let spoilt = texts.into_iter().zip(writer.features());
                let spoilt = spoilt.map(|(text, feature)| match feature.numeric() {
                    Some(_) => format!("\"{text} cm\""),
                    None => text,
                });
                writer.body(&spoilt.collect::<Vec<_>>())
            }
            Self::WrongKey => match writer.field() {
                Some(field) => {
                    let key = format!("{}:", Value::from(field));
                    writer.body(&texts).replacen(&key, &format!("\"{}\":", unknown_key(writer)), 1)
                }
                None if writer.names_values() => {
                    let renamed = last_required.ok_or(ALL_MAY_BE_MISSING)?;
                    writer.body_with_name(renamed, unknown_key(writer), &texts)
                }
                None => return Err("does not exist in this form of requests: it has lists without any key"),
            },
            Self::EmptyObject => {
                if writer.is_row_object() && last_required.is_none() {
                    return Err(ALL_MAY_BE_MISSING);
                }
                "{}".into()
            }
            Self::BrokenJson => {
                let body = writer.body(&texts);
                body.strip_suffix(writer.end()).unwrap_or(&body).to_owned()
            }
            Self::WrongType => match writer.field() {
                Some(field) => format!("{{{}:5.1}}", Value::from(field)),
                None => "5.1".into(),
            },
            Self::WrongContentType => writer.body(&texts),
            Self::HugeBody => {
                let key = writer.field().or(writer.first_name());
                return Ok(huge(key.unwrap_or(unknown_key(writer))));
            }
            Self::Nan => writer.body(&with_first(texts, "NaN")),
            Self::BeyondF64 => writer.body(&with_first(texts, "1e999")),
            Self::EmptyBody => String::new(),
            Self::NullFeature => {
                let first_required = writer.features().position(|feature| !feature.may_be_missing());
                let mut texts = texts;
                texts[first_required.ok_or(ALL_MAY_BE_MISSING)?] = "null".into();
                writer.body(&texts)
            }
        };
        Ok(Bytes::from(body))
    }
}

/// Why a request without a value is not malformed.
const ALL_MAY_BE_MISSING: &str = "is valid input: each feature of this model may be missing";

/// Returns a key that requests of this format do not have.
fn unknown_key(writer: &BodyWriter) -> &'static str {
    let is_unknown = |key: &&str| writer.field() != Some(*key) && !writer.has_column(key);
    ["data", "rows", "unknown"].into_iter().find(is_unknown).unwrap_or("unknown key")
}

fn with_first(mut texts: Vec<String>, first: &str) -> Vec<String> {
    if let Some(text) = texts.first_mut() {
        first.clone_into(text);
    }
    texts
}

/// Returns a body that is too large. All requests of a protocol share it, because only its size matters.
fn huge(key: &str) -> Bytes {
    static BODIES: Mutex<BTreeMap<String, Bytes>> = Mutex::new(BTreeMap::new());
    // The map is complete at any time, so a panic of another thread does not matter.
    let mut bodies = BODIES.lock().unwrap_or_else(PoisonError::into_inner);
    let body = bodies.entry(key.to_owned()).or_insert_with(|| {
        let mut body = String::with_capacity(HUGE + 32);
        let _ = write!(body, "{{{}:[0", Value::from(key));
        while body.len() < HUGE {
            let _ = write!(body, ",{}", body.len() % 10);
        }
        body.push_str("]}");
        Bytes::from(body)
    });
    body.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::body::in_form,
        scenario::{Protocol, Tensors},
    };
    use model::ModelCard;
    use std::sync::Arc;

    fn iris() -> ModelCard {
        model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap().card
    }

    fn writer(protocol: &Protocol, card: ModelCard) -> BodyWriter {
        BodyWriter::new(protocol, &Arc::new(card.into())).unwrap()
    }

    const ROW: [Option<f64>; 4] = [Some(5.1), Some(3.5), Some(1.4), Some(0.2)];

    fn spoilt(kind: Malformed) -> String {
        spoilt_in(kind, &Protocol::Native)
    }

    fn spoilt_in(kind: Malformed, protocol: &Protocol) -> String {
        let body = kind.spoil(&ROW, &writer(protocol, iris())).unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn each_kind_has_the_body_that_its_name_says() {
        assert_eq!(spoilt(Malformed::TooFewFeatures), r#"{"features":[5.1,3.5,1.4]}"#);
        assert_eq!(spoilt(Malformed::TooManyFeatures), r#"{"features":[5.1,3.5,1.4,0.2,0]}"#);
        assert_eq!(spoilt(Malformed::NullFeature), r#"{"features":[null,3.5,1.4,0.2]}"#);
        assert_eq!(spoilt(Malformed::BeyondF64), r#"{"features":[1e999,3.5,1.4,0.2]}"#);
        assert_eq!(spoilt(Malformed::EmptyBody), "");
        assert_eq!(spoilt(Malformed::WrongKey), r#"{"data":[5.1,3.5,1.4,0.2]}"#);
        assert_eq!(spoilt(Malformed::BrokenJson), r#"{"features":[5.1,3.5,1.4,0.2"#);
        assert_eq!(spoilt(Malformed::WrongType), r#"{"features":5.1}"#);
        assert!(spoilt(Malformed::HugeBody).len() > 1024 * 1024);
    }

    #[test]
    fn mistakes_are_made_in_the_format_of_the_protocol() {
        let v1 = |kind| spoilt_in(kind, &Protocol::V1);
        assert_eq!(v1(Malformed::TooFewFeatures), r#"{"instances":[[5.1,3.5,1.4]]}"#);
        assert_eq!(v1(Malformed::WrongType), r#"{"instances":5.1}"#);
        assert_eq!(v1(Malformed::WrongKey), r#"{"data":[[5.1,3.5,1.4,0.2]]}"#);
        assert!(v1(Malformed::HugeBody).starts_with(r#"{"instances":[0,"#));
        let mlflow = spoilt_in(Malformed::TooManyFeatures, &Protocol::Mlflow);
        assert!(mlflow.contains(r#""petal_width","extra"],"data":[[5.1,3.5,1.4,0.2,0]]"#), "{mlflow}");
        let tensors = spoilt_in(Malformed::StringsForNumbers, &Protocol::OipV2(Tensors::default()));
        assert!(tensors.contains(r#""datatype":"FP64","data":["3.5 cm"]"#), "{tensors}");
    }

    #[test]
    fn mistakes_are_made_in_the_form_that_the_profile_of_a_server_has() {
        let writer = |field: Option<&str>, named, listed| {
            let model = in_form(iris().into(), str::to_owned, field, named, listed);
            BodyWriter::new(&Protocol::Native, &model).unwrap()
        };
        let spoilt = |kind: Malformed, writer: &BodyWriter| {
            kind.spoil(&ROW, writer).map(|body| String::from_utf8(body.to_vec()).unwrap())
        };
        let row = writer(None, true, false);
        let others = r#""sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}"#;
        assert_eq!(
            spoilt(Malformed::WrongKey, &row).unwrap(),
            format!("{{\"sepal_length\":5.1,{}", others.replace("petal_width", "data"))
        );
        assert_eq!(spoilt(Malformed::WrongType, &row).unwrap(), "5.1");
        assert_eq!(
            spoilt(Malformed::BrokenJson, &row).unwrap(),
            format!("{{\"sepal_length\":5.1,{}", &others[..others.len() - 1])
        );
        // Servers ignore a value with another name.
        assert!(spoilt(Malformed::TooManyFeatures, &row).unwrap_err().starts_with("may be valid input: "));
        let lists = writer(None, false, true);
        let problem = spoilt(Malformed::WrongKey, &lists).unwrap_err();
        assert!(problem.starts_with("does not exist in this form of requests: "), "{problem}");
        assert_eq!(spoilt(Malformed::TooFewFeatures, &lists).unwrap(), "[[5.1,3.5,1.4]]");
        let data = writer(Some("data"), false, true);
        assert_eq!(spoilt(Malformed::WrongKey, &data).unwrap(), r#"{"rows":[[5.1,3.5,1.4,0.2]]}"#);
        assert_eq!(spoilt(Malformed::WrongType, &data).unwrap(), r#"{"data":5.1}"#);
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
        let matrix = Tensors { matrix: Some("x".into()), ..Tensors::default() };
        let tensors = [matrix, Tensors::default()].map(Protocol::OipV2);
        for protocol in [Protocol::Native, Protocol::V1, Protocol::Mlflow].into_iter().chain(tensors) {
            for kind in Malformed::ALL {
                let parsed = serde_json::from_str::<serde_json::Value>(&spoilt_in(kind, &protocol));
                assert_eq!(parsed.is_err(), broken.contains(&kind), "{protocol:?} {kind:?}");
            }
        }
    }

    #[test]
    fn strings_are_valid_for_a_categorical_feature() {
        let csv: String =
            (0..60).map(|row| format!("{},{},c{}\n", ["a", "b"][row % 2], row % 7, row % 3)).collect();
        let read = |text: String| {
            model::read_csv(text.as_bytes(), "d", &model::CsvOptions::new("class")).unwrap().table
        };
        let card = |table| {
            let card = model::train(&table, &model::TrainOptions::new("d")).unwrap().card;
            writer(&Protocol::Native, card)
        };
        let mixed = card(read(format!("x,y,class\n{csv}")));
        let row = [Some(1.0), Some(3.0)];
        assert_eq!(mixed.row(&row), r#"{"features":["b",3.0]}"#);
        assert_eq!(
            Malformed::StringsForNumbers.spoil(&row, &mixed).unwrap(),
            r#"{"features":["b","3.0 cm"]}"#
        );
        let csv: String = (0..60).map(|row| format!("{},c{}\n", ["a", "b"][row % 2], row % 3)).collect();
        let texts = card(read(format!("x,class\n{csv}")));
        let problem = Malformed::StringsForNumbers.spoil(&[Some(1.0)], &texts).unwrap_err();
        assert_eq!(problem, "is valid input: no feature of this model is a number");
    }

    /// Returns a writer for rows of the Iris model in which only the features at `required` may not be missing.
    fn with_required(
        protocol: &Protocol,
        required: &[usize],
        form: Option<(Option<&str>, bool, bool)>,
    ) -> BodyWriter {
        let mut card = iris();
        for (at, feature) in card.features.iter_mut().enumerate() {
            feature.missing_ratio = if required.contains(&at) { 0.0 } else { 0.1 };
        }
        let model = match form {
            Some((field, named, listed)) => in_form(card.into(), str::to_owned, field, named, listed),
            None => Arc::new(card.into()),
        };
        BodyWriter::new(protocol, &model).unwrap()
    }

    #[test]
    fn a_feature_that_is_left_out_is_one_that_may_not_be_missing() {
        let spoilt = |kind: Malformed, writer: &BodyWriter| {
            String::from_utf8(kind.spoil(&ROW, writer).unwrap().to_vec()).unwrap()
        };
        let row = with_required(&Protocol::Native, &[1], Some((None, true, false)));
        let rest = r#""petal_length":1.4,"petal_width":0.2}"#;
        assert_eq!(spoilt(Malformed::TooFewFeatures, &row), format!("{{\"sepal_length\":5.1,{rest}"));
        assert_eq!(spoilt(Malformed::WrongKey, &row), format!("{{\"sepal_length\":5.1,\"data\":3.5,{rest}"));
        assert_eq!(spoilt(Malformed::EmptyObject, &row), "{}");
        let frame = spoilt(Malformed::TooFewFeatures, &with_required(&Protocol::Mlflow, &[1], None));
        assert!(
            frame.contains(r#"["sepal_length","petal_length","petal_width"],"data":[[5.1,1.4,0.2]]"#),
            "{frame}"
        );
        let tensors = Protocol::OipV2(Tensors::default());
        let tensors = spoilt(Malformed::TooFewFeatures, &with_required(&tensors, &[1], None));
        assert!(!tensors.contains("sepal_width") && tensors.contains("petal_width"), "{tensors}");
    }

    #[test]
    fn kinds_that_leave_out_a_value_are_refused_if_every_value_may_be_missing() {
        let row = with_required(&Protocol::Native, &[], Some((None, true, false)));
        for kind in
            [Malformed::TooFewFeatures, Malformed::WrongKey, Malformed::EmptyObject, Malformed::NullFeature]
        {
            assert_eq!(kind.spoil(&ROW, &row), Err(ALL_MAY_BE_MISSING), "{kind:?}");
        }
        // The list or field around the row is absent or renamed, or a row without names has too few values.
        let others = [
            (Malformed::EmptyObject, Protocol::Native, Some((None, true, true))),
            (Malformed::EmptyObject, Protocol::Native, Some((Some("row"), true, false))),
            (Malformed::WrongKey, Protocol::Native, Some((Some("row"), true, false))),
            (Malformed::TooFewFeatures, Protocol::Native, None),
            (Malformed::EmptyObject, Protocol::Mlflow, None),
        ];
        for (kind, protocol, form) in others {
            assert!(
                kind.spoil(&ROW, &with_required(&protocol, &[], form)).is_ok(),
                "{kind:?} {protocol:?} {form:?}"
            );
        }
        let tensors = Protocol::OipV2(Tensors::default());
        for protocol in [Protocol::Mlflow, tensors] {
            let writer = with_required(&protocol, &[], None);
            assert_eq!(Malformed::TooFewFeatures.spoil(&ROW, &writer), Err(ALL_MAY_BE_MISSING));
        }
    }
}
