//! Reads the rows of values from a request body, in two steps. The first step accepts any JSON, and the second one checks it against the
//! model. So each error has a code and names a field, and does not repeat a message of the JSON parser.
//!
//! Layout:
//! - this module: reads the body of `/predict`, and the values of all protocols
//! - `exact`: refuses integers without an exact `f64`
//! - `raw`: parses any JSON before it is checked; `json`: parses objects whose values are read later
//! - [`frames`]: reads requests of TensorFlow Serving and MLflow
//! - [`tensors`]: reads requests of the Open Inference Protocol
//! - [`lenient`]: reads requests to model servers that are not this program

mod exact;
pub mod frames;
mod json;
pub mod lenient;
mod raw;
pub mod tensors;

use crate::{reason::Reason, refusal::Refusal};
use model::{Batch, BatchRows, Feature, ModelCard, OtherCategory, Values};
use raw::{Body, Cell, CellRef, Instances, Kind, RawRows, Row, shortened};

/// The rows of a request, each with one value per feature: a number, or the position of a category. `None` is a missing value.
///
/// The values are counted before [`ParsedRows::complete`] refuses rows with a value that must not be missing, because missing values
/// are a sign of drift, too.
#[derive(Debug, PartialEq)]
pub struct ParsedRows {
    /// The values of at least one row, row by row.
    values: Vec<Option<f64>>,
    /// The number of values in a row.
    features: usize,
    /// The texts of categories that the model card does not list. They are kept only for a model that was trained elsewhere.
    pub others: Vec<OtherCategory>,
    /// The field of the request that contains the rows.
    pub form: Form,
}

/// The field of a request that contains the rows, which messages name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One row, in `features`.
    One,
    /// A list in a field of this name.
    List(&'static str),
}

/// Rows that the model can score. Values are missing only in features with missing values in the reference.
#[derive(Debug, PartialEq)]
pub struct Rows(ParsedRows);

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

    /// Returns the rows. There is at least one.
    pub fn rows(&self) -> BatchRows<'_> {
        BatchRows::new(&self.values, self.features)
    }

    /// Moves the values of each row: that of feature `f` is at position `positions[f]`, which are all positions once.
    pub(crate) fn reordered(mut self, positions: &[usize]) -> Self {
        let mut row = vec![None; self.features];
        for values in self.values.chunks_exact_mut(self.features) {
            row.copy_from_slice(values);
            for (value, &position) in values.iter_mut().zip(positions) {
                *value = row[position];
            }
        }
        for other in &mut self.others {
            let feature = positions.iter().position(|&position| position == other.feature);
            other.feature = feature.unwrap_or(other.feature);
        }
        self.others.sort_unstable_by_key(|other| (other.row, other.feature));
        self
    }

    /// Checks that all values that the model needs are present.
    ///
    /// # Errors
    /// Returns an error that names the first missing value of a feature without missing values in the reference.
    pub fn complete(self, card: &ModelCard) -> Result<Rows, Refusal> {
        if self.values.iter().all(Option::is_some) {
            return Ok(Rows(self));
        }
        for (index, row) in self.rows().iter().enumerate() {
            for (feature, value) in card.features.iter().zip(row) {
                if value.is_none() && !feature.may_be_missing() {
                    let message = format!("{:?} is missing, but the model needs a value", feature.name);
                    let field = format!("{}.{}", self.place(index), feature.name);
                    return Err(Refusal::new(Reason::MissingValue, message).at(field));
                }
            }
        }
        Ok(Rows(self))
    }

    fn place(&self, index: usize) -> String {
        self.form.place(index)
    }
}

impl Form {
    /// Returns the path of a row in the request.
    fn place(self, index: usize) -> String {
        match self {
            Self::One => "features".to_owned(),
            Self::List(name) => format!("{name}[{index}]"),
        }
    }
}

impl Rows {
    /// Returns the rows. There is at least one.
    pub fn rows(&self) -> BatchRows<'_> {
        self.0.rows()
    }

    /// Returns the rows in the form that a model takes.
    pub fn batch(&self) -> Batch<'_> {
        Batch { rows: self.rows(), others: &self.0.others }
    }

    /// Returns whether the rows were sent as a list, so that the answer is a list, too.
    pub fn is_batch(&self) -> bool {
        self.0.form != Form::One
    }

    /// Returns the path of a row in the request.
    pub fn place(&self, index: usize) -> String {
        self.0.place(index)
    }
}

/// Returns a valid request body for messages and documentation. It has the mean of each number, with the decimals of the data, and the
/// first category of each categorical feature.
pub fn example(card: &ModelCard) -> String {
    let values: Vec<String> = card.features.iter().map(example_value).collect();
    format!("{{\"features\":[{}]}}", values.join(","))
}

fn example_value(feature: &Feature) -> String {
    match &feature.values {
        // With an exponent, because it would be refused as an integer.
        Values::Numeric(numeric) if exact::may_be_rounded(numeric.mean) => format!("{:e}", numeric.mean),
        Values::Numeric(numeric) => format!("{:.*}", numeric.decimals.map_or(3, usize::from), numeric.mean),
        Values::Categorical(categorical) => categorical.json(0.0).to_string(),
    }
}

fn unreadable(body: &[u8], error: &serde_json::Error) -> Refusal {
    if body.trim_ascii().is_empty() {
        return Refusal::new(Reason::MalformedJson, "expected a JSON object, got an empty body");
    }
    // serde_json reports a number that does not fit into an f64 as a syntax error, but such a number is well-formed JSON.
    let message = error.to_string();
    let reason = if message.starts_with("number out of range") {
        Reason::NumberOutOfRange
    } else {
        Reason::MalformedJson
    };
    // Python's json module writes these words by default.
    let line = body.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let start = error.column().saturating_sub(3).min(line.len());
    let around = String::from_utf8_lossy(&line[start..line.len().min(start + 12)]);
    let is_number = around.contains("NaN") || around.contains("Infinity");
    let hint = if is_number { "; JSON has no NaN or Infinity; send null for a missing value" } else { "" };
    Refusal::new(reason, format!("the body cannot be read as JSON: {message}{hint}"))
}

fn check_instances(
    instances: Instances,
    list: &'static str,
    card: &ModelCard,
) -> Result<ParsedRows, Refusal> {
    let rows = match instances {
        Instances::Rows(rows) => rows,
        Instances::Other(kind) => {
            let message = format!("{list:?} must be a list of rows, got {kind}");
            return Err(Refusal::new(Reason::WrongType, message).at(list));
        }
    };
    if rows.rows.is_empty() {
        return Err(Refusal::new(Reason::EmptyBatch, format!("{list:?} has no rows")).at(list));
    }
    check_rows(rows, Form::List(list), card)
}

fn check_rows(raw: RawRows, form: Form, card: &ModelCard) -> Result<ParsedRows, Refusal> {
    let features = card.features.len();
    let all_numeric = card.features.iter().all(|feature| feature.numeric().is_some());
    if all_numeric && raw.rows.iter().all(|row| matches!(row, Row::Numbers(count) if *count == features)) {
        // Numbers and nulls are values of numeric features without any conversion.
        return Ok(ParsedRows { values: raw.numbers, features, others: Vec::new(), form });
    }
    let mut checker = RowChecker::new(card);
    let mut numbers = raw.numbers.into_iter();
    for (index, row) in raw.rows.into_iter().enumerate() {
        checker.check(row, &mut numbers, || form.place(index))?;
    }
    Ok(checker.finished(form))
}

/// Checks the rows of a request one after the other.
struct RowChecker<'a> {
    card: &'a ModelCard,
    /// The values of the rows that were checked.
    values: Vec<Option<f64>>,
    /// The number of rows that were checked.
    rows: usize,
    others: Vec<OtherCategory>,
}

impl<'a> RowChecker<'a> {
    fn new(card: &'a ModelCard) -> Self {
        Self { card, values: Vec::new(), rows: 0, others: Vec::new() }
    }

    fn finished(mut self, form: Form) -> ParsedRows {
        // The client may send named values in any order.
        self.others.sort_unstable_by_key(|other| (other.row, other.feature));
        ParsedRows { values: self.values, features: self.card.features.len(), others: self.others, form }
    }

    /// Checks the next row, which takes its numbers from `numbers`; `place` returns its path in the request.
    fn check(
        &mut self,
        row: Row,
        numbers: &mut impl Iterator<Item = Option<f64>>,
        place: impl Fn() -> String,
    ) -> Result<(), Refusal> {
        let row = match row {
            Row::Numbers(count) => self.listed(numbers.take(count).map(Cell::from).collect(), place)?,
            Row::Array(cells) => self.listed(cells, place)?,
            Row::Named(cells) => self.named(cells, place)?,
            Row::Other(kind) => {
                let message =
                    format!("a row must be a list of values or an object of named values, got {kind}");
                return Err(Refusal::new(Reason::WrongType, message).at(place()));
            }
        };
        self.values.extend(row);
        self.rows += 1;
        Ok(())
    }

    fn listed(&mut self, cells: Vec<Cell>, place: impl Fn() -> String) -> Result<Vec<Option<f64>>, Refusal> {
        let (expected, got) = (self.card.features.len(), cells.len());
        if got != expected {
            let noun = if expected == 1 { "feature" } else { "features" };
            let message = format!("expected {expected} {noun}, got {got}");
            return Err(Refusal::new(Reason::WrongFeatureCount, message).at(place()));
        }
        let cells = cells.into_iter().enumerate();
        cells.map(|(index, cell)| self.value(cell, index, || format!("{}[{index}]", place()))).collect()
    }

    fn named(
        &mut self,
        cells: Vec<(String, Cell)>,
        place: impl Fn() -> String,
    ) -> Result<Vec<Option<f64>>, Refusal> {
        let card = self.card;
        let names =
            || card.features.iter().map(|feature| feature.name.as_str()).collect::<Vec<_>>().join(", ");
        let mut row: Vec<Option<Option<f64>>> = vec![None; card.features.len()];
        for (name, cell) in cells {
            let field = || format!("{}.{}", place(), shortened(&name));
            let Some(index) = card.features.iter().position(|feature| feature.name == name) else {
                let message = format!("unknown feature {:?}; the features are {}", shortened(&name), names());
                return Err(Refusal::new(Reason::UnknownFeature, message).at(field()));
            };
            if row[index].is_some() {
                return Err(
                    Refusal::new(Reason::DuplicateField, format!("{name:?} is given twice")).at(field())
                );
            }
            row[index] = Some(self.value(cell, index, field)?);
        }
        row.into_iter()
            .zip(&card.features)
            .map(|(value, feature)| {
                // A feature that has missing values in the reference may be left out.
                let value = value.or(feature.may_be_missing().then_some(None));
                value.ok_or_else(|| {
                    let message = format!("{:?} is missing; the features are {}", feature.name, names());
                    Refusal::new(Reason::MissingFeature, message).at(format!("{}.{}", place(), feature.name))
                })
            })
            .collect()
    }

    fn value(
        &mut self,
        cell: Cell,
        feature: usize,
        field: impl FnOnce() -> String,
    ) -> Result<Option<f64>, Refusal> {
        value(cell.as_ref(), [self.rows, feature], self.card, &mut self.others, field)
    }
}

/// Returns the value of a cell at this row and feature. A category that the model card does not list is valid, because such categories
/// are a sign of drift. Its text is added to `others`, because the model may have been trained with it.
fn value(
    cell: CellRef<'_>,
    [row, feature]: [usize; 2],
    card: &ModelCard,
    others: &mut Vec<OtherCategory>,
    field: impl FnOnce() -> String,
) -> Result<Option<f64>, Refusal> {
    let values = &card.features[feature].values;
    let (value, kind) = match (values, cell) {
        (_, CellRef::Null) => return Ok(None),
        (Values::Numeric(_), CellRef::Number(number)) => (Some(number), Kind::Number),
        (Values::Numeric(_), CellRef::Text(_)) => (None, Kind::String),
        (Values::Numeric(_), CellRef::Boolean(_)) => (None, Kind::Boolean),
        (Values::Categorical(own), CellRef::Text(text)) => {
            let value = own.value(text);
            if value as usize >= own.categories.len() && is_missing(text, card) {
                return Ok(None);
            }
            (Some(value), Kind::String)
        }
        // As a number it may be another code than was sent.
        (Values::Categorical(_), CellRef::Number(number)) if exact::may_be_rounded(number) => {
            let message =
                "a number beyond 2^53 is rounded, so it may be another category; send it as a string";
            return Err(Refusal::new(Reason::NumberOutOfRange, message).at(field()));
        }
        (Values::Categorical(own), CellRef::Number(number)) => (own.value_of_number(number), Kind::Number),
        (Values::Categorical(own), CellRef::Boolean(boolean)) => {
            (own.value_of_boolean(boolean), Kind::Boolean)
        }
        (_, CellRef::Other(kind)) => (None, kind),
    };
    let refusal = match (values, value) {
        (Values::Categorical(own), Some(value)) => {
            // The built-in model does not use the text.
            if value as usize >= own.categories.len() && card.is_profile() {
                let text = match cell {
                    // The text is not trimmed, because a model may have a category with leading or trailing spaces.
                    CellRef::Text(text) => text.into(),
                    CellRef::Number(number) => number.to_string().into(),
                    CellRef::Boolean(boolean) => boolean.to_string().into(),
                    CellRef::Null | CellRef::Other(_) => Box::default(),
                };
                others.push(OtherCategory { row, feature, text });
            }
            return Ok(Some(value));
        }
        (Values::Numeric(_), Some(number)) => return Ok(Some(number)),
        (Values::Numeric(_), None) => {
            Refusal::new(Reason::NotANumber, format!("must be a number, got {kind}"))
        }
        (Values::Categorical(own), None) => {
            let example = own.json(0.0);
            let message = format!("must be a category such as {example}, got {kind}");
            Refusal::new(Reason::NotACategory, message)
        }
    };
    Err(refusal.at(field()))
}

/// Returns whether a text stands for a missing value, as in the table that the model was trained on.
fn is_missing(text: &str, card: &ModelCard) -> bool {
    let text = text.trim();
    text.is_empty() || card.notation.missing.iter().any(|token| token == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{TrainOptions, iris, train};
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static CARD: LazyLock<ModelCard> =
        LazyLock::new(|| train(&iris::table(), &TrainOptions::new("iris")).unwrap().card);

    fn parse(body: &str) -> Result<ParsedRows, (&'static str, String)> {
        ParsedRows::parse(body.as_bytes(), &CARD)
            .and_then(|rows| rows.complete(&CARD))
            .map(|rows| rows.0)
            .map_err(|error| (error.reason.code(), error.field.unwrap_or_default()))
    }

    #[test]
    fn listed_and_named_values_give_the_same_rows() {
        let values = [5.1, 3.5, 1.4, 0.2].map(Some).to_vec();
        let expected = |form| ParsedRows { values: values.clone(), features: 4, others: Vec::new(), form };
        assert_eq!(parse(r#"{"features":[5.1,3.5,1.4,0.2]}"#), Ok(expected(Form::One)));
        let named = r#"{"petal_width":0.2,"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4}"#;
        assert_eq!(parse(&format!(r#"{{"features":{named}}}"#)), Ok(expected(Form::One)));
        assert_eq!(parse(&format!(r#"{{"instances":[{named}]}}"#)), Ok(expected(Form::List("instances"))));
    }

    #[test]
    fn errors_of_invalid_bodies_have_a_code_and_a_field() {
        let cases = [
            ("", "malformed_json", ""),
            ("{", "malformed_json", ""),
            (r#"{"features":[NaN,1,2,3]}"#, "malformed_json", ""),
            (r#"{"features":[1,2,3,4]} x"#, "malformed_json", ""),
            (r#"{"features":[1e999,1,2,3]}"#, "number_out_of_range", ""),
            ("[1,2,3,4]", "wrong_type", ""),
            ("null", "wrong_type", ""),
            ("{}", "missing_field", "features"),
            (r#"{"feature":[1,2,3,4]}"#, "unknown_field", "feature"),
            (r#"{"features":[1,2,3,4],"features":[1,2,3,4]}"#, "duplicate_field", "features"),
            (r#"{"features":[1,2,3,4],"instances":[]}"#, "duplicate_field", "instances"),
            (r#"{"features":"1,2,3,4"}"#, "wrong_type", "features"),
            (r#"{"features":null}"#, "wrong_type", "features"),
            (r#"{"features":[1,2]}"#, "wrong_feature_count", "features"),
            (r#"{"features":[]}"#, "wrong_feature_count", "features"),
            (r#"{"features":[1,"2",3,4]}"#, "not_a_number", "features[1]"),
            (r#"{"features":[1,2,true,4]}"#, "not_a_number", "features[2]"),
            (r#"{"features":[1,2,[3],4]}"#, "not_a_number", "features[2]"),
            (r#"{"features":[1,2,3,{"a":1}]}"#, "not_a_number", "features[3]"),
            (r#"{"features":[1,null,3,4]}"#, "missing_value", "features.sepal_width"),
            (r#"{"features":{"sepal_length":1}}"#, "missing_feature", "features.sepal_width"),
            (r#"{"features":{"sepal":1}}"#, "unknown_feature", "features.sepal"),
            (
                r#"{"features":{"sepal_length":1,"sepal_length":2}}"#,
                "duplicate_field",
                "features.sepal_length",
            ),
            (r#"{"features":{"sepal_length":"long"}}"#, "not_a_number", "features.sepal_length"),
            (r#"{"instances":[]}"#, "empty_batch", "instances"),
            (r#"{"instances":{}}"#, "wrong_type", "instances"),
            (r#"{"instances":[[1,2,3,4],[1,2,3]]}"#, "wrong_feature_count", "instances[1]"),
            (r#"{"instances":[[1,2,3,4],7]}"#, "wrong_type", "instances[1]"),
            (r#"{"instances":[[1,2,3,4],[1,2,"x",4]]}"#, "not_a_number", "instances[1][2]"),
        ];
        for (body, code, field) in cases {
            assert_eq!(parse(body), Err((code, field.to_owned())), "{body}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(parse(&deep).unwrap_err().0, "malformed_json");
        assert_eq!(parse(&format!(r#"{{"features":[1,2,3,{deep}"#)).unwrap_err().0, "malformed_json");
    }

    #[test]
    fn named_values_may_lack_a_feature_with_missing_values_in_the_reference() {
        let mut card = CARD.clone();
        card.features[1].missing_ratio = 0.1;
        let parse = |body: &str| {
            ParsedRows::parse(body.as_bytes(), &card)
                .and_then(|rows| rows.complete(&card))
                .map(|rows| rows.rows()[0].to_vec())
        };
        let row = parse(r#"{"features":{"sepal_length":5.1,"petal_length":1.4,"petal_width":0.2}}"#).unwrap();
        assert_eq!(row, [Some(5.1), None, Some(1.4), Some(0.2)]);
        let cases = [
            (r#"{"features":{"sepal_length":5.1,"petal_length":1.4}}"#, "missing_feature"),
            (
                r#"{"features":{"sepal_length":5.1,"sepal_widht":3.5,"petal_length":1.4,"petal_width":0.2}}"#,
                "unknown_feature",
            ),
            (r#"{"features":[5.1,1.4,0.2]}"#, "wrong_feature_count"),
        ];
        for (body, code) in cases {
            assert_eq!(parse(body).unwrap_err().reason.code(), code, "{body}");
        }
    }

    #[test]
    fn the_error_for_nan_in_json_says_to_send_null() {
        let message = |body: &str| ParsedRows::parse(body.as_bytes(), &CARD).unwrap_err().message;
        for body in [
            r#"{"features":[NaN,1,2,3]}"#,
            r#"{"features": [5.1, NaN, 2, 3]}"#,
            r#"{"features":[1,Infinity,2,3]}"#,
            r#"{"features":[1,-Infinity,2,3]}"#,
            "{\n \"instances\": [[1, 2, 3, 4],\n  [1, NaN, 3, 4]]}",
            r#"{"features":{"sepal_length":NaN}}"#,
        ] {
            assert!(message(body).contains("send null"), "{body}: {}", message(body));
        }
        for body in [r#"{"features":[nil]}"#, r#"{"NaN":1,}"#, "{"] {
            assert!(!message(body).contains("send null"), "{body}: {}", message(body));
        }
    }

    fn message(body: &str) -> String {
        ParsedRows::parse(body.as_bytes(), &CARD).unwrap_err().message
    }

    #[test]
    fn messages_name_the_kind_of_value() {
        let kinds = [
            ("null", "null"),
            ("true", "a boolean"),
            ("-1", "a number"),
            ("1.5", "a number"),
            ("7", "a number"),
            ("\"x\"", "a string"),
            ("[]", "a list"),
            ("[[1], {}]", "a list"),
            ("{\"a\": [1]}", "an object"),
        ];
        for (value, kind) in kinds {
            let ends_with = |body: &str, wanted: &str| {
                let message = message(body);
                assert!(message.ends_with(&format!("{wanted}, got {kind}")), "{body}: {message}");
            };
            if kind != "an object" {
                ends_with(value, "the body must be an object");
            }
            if kind != "a list" {
                ends_with(&format!(r#"{{"instances":{value}}}"#), "\"instances\" must be a list of rows");
            }
            if !["a list", "an object"].contains(&kind) {
                let place = format!(r#"{{"instances":[[1,2,3,4],{value}]}}"#);
                ends_with(&place, "a row must be a list of values or an object of named values");
            }
            if !["null", "a number"].contains(&kind) {
                ends_with(&format!(r#"{{"features":[1,2,{value},4]}}"#), "must be a number");
            }
        }
    }

    #[test]
    fn long_names_are_shortened_in_messages() {
        let (fits, long) = ("ä".repeat(80), "ä".repeat(81));
        assert!(message(&format!(r#"{{"{fits}":1}}"#)).contains(&format!("{fits:?}")));
        let cut = format!("\"{fits}…\"");
        assert!(message(&format!(r#"{{"{long}":1}}"#)).contains(&cut));
        assert!(message(&format!(r#"{{"features":{{"{long}":1}}}}"#)).contains(&cut));
    }

    #[test]
    fn the_error_for_several_faults_names_the_first() {
        assert!(message(r#"{"a":1,"b":2,"features":[1,2,3,4]}"#).contains("unknown field \"a\""));
        let twice = r#"{"features":[1,2,3,4],"instances":[],"features":[1,2,3,4],"instances":[]}"#;
        assert!(message(twice).starts_with("\"features\" is given twice"));
        assert_eq!(message(" \n "), "expected a JSON object, got an empty body");
        assert!(message(r#"{"features":[1,2]}"#).contains("expected 4 features, got 2"));
    }

    #[test]
    fn a_body_without_rows_is_answered_with_an_example() {
        let example = example(&CARD);
        assert!(message("{}").ends_with(&example));
        // The means are near those in UCI's iris.names, which are of slightly different rows.
        let parsed = ParsedRows::parse(example.as_bytes(), &CARD).unwrap();
        for (value, mean) in parsed.rows()[0].iter().zip([5.84, 3.05, 3.76, 1.20]) {
            assert!((value.unwrap() - mean).abs() < 0.15, "{example}");
        }
        assert_eq!(example.len(), "{\"features\":[5.8,3.1,3.8,1.2]}".len(), "the data have one decimal");
        // Large means are no integers in the example, which would be refused.
        let mut card = CARD.clone();
        if let Values::Numeric(numeric) = &mut card.features[0].values {
            (numeric.mean, numeric.decimals) = (1.25e17, Some(0));
        }
        let example = super::example(&card);
        assert_eq!(
            ParsedRows::parse(example.as_bytes(), &card).unwrap().rows()[0][0],
            Some(1.25e17),
            "{example}"
        );
    }

    #[test]
    fn the_place_of_a_row_is_its_path_in_the_request() {
        let rows = |body: &str| ParsedRows::parse(body.as_bytes(), &CARD).unwrap().complete(&CARD).unwrap();
        let one = rows(r#"{"features":[1,2,3,4]}"#);
        assert_eq!((one.is_batch(), one.place(0), one.rows().len()), (false, "features".to_owned(), 1));
        let two = rows(r#"{"instances":[[1,2,3,4],[5,6,7,8]]}"#);
        assert_eq!((two.is_batch(), two.place(1)), (true, "instances[1]".to_owned()));
        assert_eq!(two.rows()[1], [5.0, 6.0, 7.0, 8.0].map(Some));
        let named = r#"{"sepal_length":9,"sepal_width":10,"petal_length":11,"petal_width":12}"#;
        let mixed = rows(&format!(r#"{{"instances":[[1,2,3,4],{named},[5,6,7,8]]}}"#));
        assert!(mixed.rows().iter().eq(
            [[1.0, 2.0, 3.0, 4.0], [9.0, 10.0, 11.0, 12.0], [5.0, 6.0, 7.0, 8.0]].map(|row| row.map(Some))
        ));
    }

    #[test]
    fn categories_are_read_as_the_reference_writes_them() {
        let body: String = (0..60)
            .map(|row| format!("{},{},{},{}\n", ["a", "b"][row % 2], row % 3 == 0, row % 2 + 1, row % 2))
            .collect();
        let text = format!("letter,flag,code,class\n{body}");
        let options =
            model::CsvOptions { categorical: vec!["code".into()], ..model::CsvOptions::new("class") };
        let table = model::read_csv(text.as_bytes(), "t", &options).unwrap().table;
        let card = train(&table, &TrainOptions::new("t")).unwrap().card;
        let parse = |row: &str| {
            ParsedRows::parse(format!(r#"{{"features":{row}}}"#).as_bytes(), &card)
                .map(|rows| rows.rows()[0].to_vec())
                .map_err(|refusal| (refusal.reason.code(), refusal.message))
        };
        assert_eq!(parse(r#"["b",true,2]"#), Ok([1.0, 1.0, 1.0].map(Some).to_vec()));
        // A category that is not in the reference is `other`.
        assert_eq!(parse(r#"["z",false,3]"#), Ok([2.0, 0.0, 2.0].map(Some).to_vec()));
        assert_eq!(parse(r#"[null,"true","1"]"#), Ok(vec![None, Some(1.0), Some(0.0)]));
        let mixed = r#"{"instances":[[null,null,2],["b",true,2],{"code":1,"flag":false,"letter":"a"},[null,null,1]]}"#;
        let mixed = ParsedRows::parse(mixed.as_bytes(), &card).unwrap();
        let expected = [[None, None, Some(1.0)], [Some(1.0); 3], [Some(0.0); 3], [None, None, Some(0.0)]];
        assert!(mixed.rows().iter().eq(expected), "{mixed:?}");
        let refused = |row: &str, example: &str, kind: &str| {
            let expected = format!("must be a category such as {example}, got {kind}");
            assert_eq!(parse(row), Err(("not_a_category", expected)), "{row}");
        };
        refused(r#"[1,true,1]"#, "\"a\"", "a number");
        refused(r#"[true,true,1]"#, "\"a\"", "a boolean");
        refused(r#"["a",1,1]"#, "false", "a number");
        refused(r#"["a",true,false]"#, "1", "a boolean");
        refused(r#"["a",true,[1]]"#, "1", "a list");
        // A code that would be rounded may be that of another category.
        assert_eq!(parse(r#"["a",true,9007199254740993]"#).unwrap_err().0, "number_out_of_range");
        assert_eq!(parse(r#"["a",true,"9007199254740993"]"#).unwrap()[2], Some(2.0));
    }

    /// A model may have categories that its card does not list, so their texts are kept with their features.
    #[test]
    fn texts_of_unlisted_categories_stay_with_their_features() {
        let body: String = (0..60)
            .map(|row| format!("{},{},{}\n", ["a", "b"][row % 2], ["c", "d"][row / 2 % 2], row % 2))
            .collect();
        let text = format!("one,two,class\n{body}");
        let table = model::read_csv(text.as_bytes(), "t", &model::CsvOptions::new("class")).unwrap().table;
        let mut card = train(&table, &TrainOptions::new("t")).unwrap().card;
        let others_of = |row: &str, card: &ModelCard| {
            let body = format!(r#"{{"instances":[{row}]}}"#);
            ParsedRows::parse(body.as_bytes(), card).unwrap().others.len()
        };
        assert_eq!(others_of(r#"["x","y"]"#, &card), 0, "the built-in model does not use the texts");
        card.training.alpha = None;
        let others = |row: &str| {
            let body = format!(r#"{{"instances":[["a","c"],{row}]}}"#);
            let rows = ParsedRows::parse(body.as_bytes(), &card).unwrap().complete(&card).unwrap();
            [0, 1].map(|feature| rows.batch().other(1, feature).map(str::to_owned))
        };
        let both = [Some("x".to_owned()), Some("y".to_owned())];
        assert_eq!(others(r#"["x","y"]"#), both);
        assert_eq!(others(r#"["b"," y "]"#), [None, Some(" y ".to_owned())]);
        assert_eq!(others(r#"{"one":"x","two":"y"}"#), both);
        assert_eq!(others(r#"{"two":"y","one":"x"}"#), both);
        assert_eq!(others(r#"{"two":"y","one":"b"}"#), [None, Some("y".to_owned())]);
    }

    #[test]
    fn texts_for_missing_values_are_read_in_the_same_way_as_in_the_table() {
        let body: String = (0..60)
            .map(|row| format!("{},{},{}\n", ["a", "b", "NA"][row % 3], row % 2 + 1, row % 2))
            .collect();
        let text = format!("letter,code,class\n{body}");
        let card = |missing: &[&str]| {
            let options = model::CsvOptions {
                categorical: vec!["code".into()],
                missing: missing.iter().map(|&token| token.to_owned()).collect(),
                ..model::CsvOptions::new("class")
            };
            let table = model::read_csv(text.as_bytes(), "t", &options).unwrap().table;
            train(&table, &TrainOptions::new("t")).unwrap().card
        };
        let parse = |card: &ModelCard, row: &str| {
            let body = format!(r#"{{"features":{row}}}"#);
            ParsedRows::parse(body.as_bytes(), card).map(|rows| rows.rows()[0].to_vec()).unwrap()
        };
        let own = card(&["NA", "?"]);
        for (row, expected) in [
            (r#"["NA","?"]"#, [None, None]),
            (r#"[" NA ",""]"#, [None, None]),
            (r#"["  ","1"]"#, [None, Some(0.0)]),
            (r#"["na","N"]"#, [Some(2.0), Some(2.0)]),
        ] {
            assert_eq!(parse(&own, row), expected, "{row}");
        }
        // Without the flag, `NA` is a category.
        let mut category = card(&[]);
        let position = |card: &ModelCard| parse(card, r#"["NA","1"]"#)[0];
        let known = position(&category);
        assert!(known < Some(3.0), "{known:?}");
        category.notation.missing = vec!["NA".into()];
        assert_eq!(position(&category), known, "a category of the model is not a missing value");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_as_rows_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ParsedRows::parse(&body, &CARD);
        }

        #[test]
        fn numbers_are_read_exactly(row in prop::collection::vec(any::<f64>().prop_filter("finite", |v| v.is_finite()), 4)) {
            let parsed = parse(&serde_json::json!({ "features": row }).to_string()).unwrap();
            prop_assert_eq!(parsed.values, row.into_iter().map(Some).collect::<Vec<_>>());
        }
    }
}
