//! Converts rows into the inputs of a model.
//!
//! Features are assigned to inputs in one of two ways. If every input has one value per row, it takes the feature of the same name.
//! Otherwise inputs are matrices with one column per feature. Matrices of numbers take the numeric features in their order, and
//! matrices of texts the categorical features. A single matrix takes all features.

use model::{Batch, EngineError, Feature, ValueProblem, Values};
use ort::{
    session::SessionInputValue,
    value::{Outlet, Tensor, TensorElementType, ValueType},
};
use std::borrow::Cow;
use thiserror::Error;

/// The inputs of a model, with the features of a model card that each of them takes.
#[derive(Debug, Clone)]
pub struct Inputs {
    inputs: Vec<Input>,
    features: Vec<Feature>,
    /// The number of rows that the model takes at once, if it is fixed.
    pub(crate) rows: Option<usize>,
}

/// One input.
#[derive(Debug, Clone)]
struct Input {
    name: String,
    element: Element,
    /// The positions of the features, one per column.
    features: Vec<usize>,
    /// Whether the input has a dimension for columns.
    matrix: bool,
}

/// The type of an input's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Float32,
    Float64,
    Int32,
    Int64,
    Bool,
    Text,
}

/// Why the features do not fit a model's inputs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct UnfitInputs(String);

impl Inputs {
    /// Assigns the features to the inputs.
    ///
    /// # Errors
    /// Returns an error that names the first input without a feature, or the features without an input.
    pub(crate) fn new(outlets: &[Outlet], features: &[Feature]) -> Result<Self, UnfitInputs> {
        let declared: Vec<Declared> = outlets.iter().map(Declared::new).collect::<Result<_, _>>()?;
        if declared.is_empty() {
            return Err(UnfitInputs(
                "the model has no inputs; export it with an input for the features".into(),
            ));
        }
        let mut fixed: Vec<usize> = declared.iter().filter_map(|input| input.rows).collect();
        fixed.dedup();
        if fixed.len() > 1 {
            return Err(UnfitInputs(format!(
                "the inputs take different numbers of rows: {}; export the model with an open number of rows",
                declared.iter().map(Declared::describe).collect::<Vec<_>>().join(", ")
            )));
        }
        let by_name = declared.iter().all(|input| input.columns == Some(1))
            && (declared.len() > 1 || features.iter().any(|feature| feature.name == declared[0].name));
        let inputs = if by_name { named(&declared, features)? } else { matrices(&declared, features)? };
        for input in &inputs {
            check(input, features)?;
        }
        Ok(Self { inputs, features: features.to_vec(), rows: fixed.first().copied() })
    }

    /// Returns for each feature whether its input can hold a missing value.
    pub fn accept_missing(&self) -> Vec<bool> {
        let mut accept = vec![false; self.features.len()];
        for input in &self.inputs {
            let own = matches!(input.element, Element::Float32 | Element::Float64 | Element::Text);
            input.features.iter().for_each(|&feature| accept[feature] = own);
        }
        accept
    }

    /// Returns lines that describe which features the inputs take. Inputs with the name of their only feature share a line.
    pub fn describe(&self) -> Vec<String> {
        const SHOWN: usize = 12;
        let name = |&feature: &usize| self.features[feature].name.as_str();
        let (same, other): (Vec<&Input>, Vec<&Input>) =
            self.inputs.iter().partition(|input| input.features.iter().map(name).eq([input.name.as_str()]));
        let mut lines = Vec::new();
        if !same.is_empty() {
            let count = same.len();
            let what = if count == 1 { "input takes the column" } else { "inputs take the columns" };
            lines.push(format!("{count} {what} of the same name"));
        }
        lines.extend(other.iter().map(|input| {
            let names: Vec<&str> = input.features.iter().map(name).collect();
            let more = names.len().saturating_sub(SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let shown = names[..names.len().min(SHOWN)].join(", ");
            format!("input {} ({}) takes {shown}{more}", input.name, input.element.name())
        }));
        lines
    }

    /// Returns the tensors for `count` rows from row `first` on. If the model takes a greater number of rows at once, the last row is
    /// repeated.
    pub(crate) fn tensors(
        &self,
        batch: Batch,
        first: usize,
        count: usize,
    ) -> Result<Vec<(Cow<'_, str>, SessionInputValue<'static>)>, EngineError> {
        let rows = self.rows.unwrap_or(count);
        let positions: Vec<usize> = (0..rows).map(|row| first + row.min(count - 1)).collect();
        let mut tensors = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            tensors.push((Cow::Borrowed(input.name.as_str()), self.tensor(input, batch, &positions)?));
        }
        Ok(tensors)
    }

    fn tensor(
        &self,
        input: &Input,
        batch: Batch,
        positions: &[usize],
    ) -> Result<SessionInputValue<'static>, EngineError> {
        let shape = if input.matrix {
            vec![positions.len() as i64, input.features.len() as i64]
        } else {
            vec![positions.len() as i64]
        };
        macro_rules! numbers {
            ($convert:expr) => {{
                let mut values = Vec::with_capacity(positions.len() * input.features.len());
                for &row in positions {
                    for &feature in &input.features {
                        let value = self
                            .number(batch, row, feature)
                            .and_then($convert)
                            .map_err(|problem| EngineError::Value { row, feature, problem })?;
                        values.push(value);
                    }
                }
                Tensor::from_array((shape, values)).map_err(failed)?.into()
            }};
        }
        Ok(match input.element {
            Element::Float32 => numbers!(|value: Option<f64>| float32(value)),
            Element::Float64 => numbers!(|value: Option<f64>| Ok(value.unwrap_or(f64::NAN))),
            Element::Int32 => numbers!(
                |value| whole(value, f64::from(i32::MIN)..=f64::from(i32::MAX)).map(|value| value as i32)
            ),
            // The upper limit is excluded, because 2^63 does not fit into an i64.
            Element::Int64 => {
                numbers!(|value| whole(value, -(2_f64.powi(63))..=(2_f64.powi(63) - 1024.0))
                    .map(|value| value as i64))
            }
            Element::Bool => numbers!(|value| whole(value, 0.0..=1.0).map(|value| value != 0.0)),
            Element::Text => {
                let mut texts = Vec::with_capacity(positions.len() * input.features.len());
                for &row in positions {
                    for &feature in &input.features {
                        let text = self.text(batch, row, feature);
                        if text.contains('\0') {
                            return Err(EngineError::Value { row, feature, problem: ValueProblem::Nul });
                        }
                        texts.push(text.into_owned());
                    }
                }
                Tensor::from_string_array((shape, texts.as_slice())).map_err(failed)?.into()
            }
        })
    }

    /// Returns a value as a number. The text of a category is read as a number.
    fn number(&self, batch: Batch, row: usize, feature: usize) -> Result<Option<f64>, ValueProblem> {
        let Some(value) = batch.rows[row][feature] else { return Ok(None) };
        match &self.features[feature].values {
            Values::Numeric(_) => Ok(Some(value)),
            Values::Categorical(_) => {
                let text = self.text(batch, row, feature);
                number_of(&text).map(Some).ok_or_else(|| ValueProblem::NotANumber(text.into_owned()))
            }
        }
    }

    /// Returns a value as text. A missing value is the empty text, as scikit-learn's imputers expect it in ONNX.
    fn text<'a>(&'a self, batch: Batch<'a>, row: usize, feature: usize) -> Cow<'a, str> {
        let Some(value) = batch.rows[row][feature] else { return Cow::Borrowed("") };
        match &self.features[feature].values {
            Values::Numeric(_) => Cow::Owned(value.to_string()),
            Values::Categorical(own) if (value as usize) < own.categories.len() => {
                Cow::Borrowed(&own.categories[value as usize])
            }
            Values::Categorical(own) => Cow::Borrowed(batch.other(row, feature).unwrap_or(own.text(value))),
        }
    }
}

fn failed(error: ort::Error) -> EngineError {
    EngineError::Failed(error.to_string())
}

/// Reads a category's text as a number; true is 1 and false is 0.
fn number_of(text: &str) -> Option<f64> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(1.0),
        _ if text.eq_ignore_ascii_case("false") => Some(0.0),
        _ => text.parse().ok().filter(|number: &f64| number.is_finite()),
    }
}

fn float32(value: Option<f64>) -> Result<f32, ValueProblem> {
    let Some(value) = value else { return Ok(f32::NAN) };
    let single = value as f32;
    if single.is_finite() { Ok(single) } else { Err(ValueProblem::TooLarge(value)) }
}

fn whole(value: Option<f64>, range: std::ops::RangeInclusive<f64>) -> Result<f64, ValueProblem> {
    match value {
        None => Err(ValueProblem::Missing),
        Some(value) if value.fract() != 0.0 => Err(ValueProblem::NotWhole(value)),
        Some(value) if !range.contains(&value) => Err(ValueProblem::TooLarge(value)),
        Some(value) => Ok(value),
    }
}

/// An input as the model declares it.
struct Declared {
    name: String,
    element: Element,
    rows: Option<usize>,
    /// The number of columns; `None` if the model does not fix it.
    columns: Option<usize>,
    matrix: bool,
}

impl Declared {
    fn new(outlet: &Outlet) -> Result<Self, UnfitInputs> {
        let name = outlet.name().to_owned();
        let unfit = |what: String| UnfitInputs(format!("input {name:?} {what}"));
        let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
            return Err(unfit(format!("is {}, but only tensors are supported", outlet.dtype())));
        };
        let element = match ty {
            TensorElementType::Float32 => Element::Float32,
            TensorElementType::Float64 => Element::Float64,
            TensorElementType::Int32 => Element::Int32,
            TensorElementType::Int64 => Element::Int64,
            TensorElementType::Bool => Element::Bool,
            TensorElementType::String => Element::Text,
            other => {
                return Err(unfit(format!(
                    "has elements of type {other}; supported are float, double, int32, int64, bool and string"
                )));
            }
        };
        let dimension = |at: usize| usize::try_from(shape[at]).ok();
        match shape.len() {
            1 => Ok(Self { element, rows: dimension(0), columns: Some(1), matrix: false, name }),
            2 => Ok(Self { element, rows: dimension(0), columns: dimension(1), matrix: true, name }),
            other => Err(unfit(format!(
                "has {other} dimensions; supported are rows × columns, and one value per row"
            ))),
        }
    }

    fn describe(&self) -> String {
        let size = |size: Option<usize>| size.map_or("any".to_owned(), |size| size.to_string());
        format!("{:?} of {} × {} {}", self.name, size(self.rows), size(self.columns), self.element.name())
    }
}

impl Element {
    fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float",
            Self::Float64 => "double",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Bool => "bool",
            Self::Text => "string",
        }
    }
}

/// Returns inputs of one value per row, each with the feature of its name.
fn named(declared: &[Declared], features: &[Feature]) -> Result<Vec<Input>, UnfitInputs> {
    let listed = |names: &mut dyn Iterator<Item = &str>| names.collect::<Vec<_>>().join(", ");
    let inputs: Vec<Input> = declared
        .iter()
        .map(|input| {
            let found = features
                .iter()
                .position(|feature| feature.name == input.name)
                .or_else(|| only(features, |name| plain(name) == plain(&input.name)));
            let feature = found.ok_or_else(|| {
                UnfitInputs(format!(
                    "input {:?} needs exactly one column of that name, apart from characters that exporters replace; the columns are \
                    {}; rename them in the table",
                    input.name,
                    listed(&mut features.iter().map(|feature| feature.name.as_str()))
                ))
            })?;
            let Declared { name, element, matrix, .. } = input;
            Ok(Input { name: name.clone(), element: *element, features: vec![feature], matrix: *matrix })
        })
        .collect::<Result<_, _>>()?;
    let mut unused = features
        .iter()
        .enumerate()
        .filter(|(at, _)| !inputs.iter().any(|input| input.features[0] == *at))
        .map(|(_, feature)| feature.name.as_str());
    let unused = listed(&mut unused);
    if !unused.is_empty() {
        return Err(UnfitInputs(format!(
            "no input takes {unused}; the inputs are {}; leave other columns out with --drop",
            listed(&mut declared.iter().map(|input| input.name.as_str()))
        )));
    }
    Ok(inputs)
}

/// Returns the position of the feature whose name satisfies `fits`, if there is exactly one.
fn only(features: &[Feature], fits: impl Fn(&str) -> bool) -> Option<usize> {
    let mut found = features.iter().enumerate().filter(|(_, feature)| fits(&feature.name)).map(|(at, _)| at);
    found.next().filter(|_| found.next().is_none())
}

/// Returns a name as exporters rewrite it: with underscores instead of most signs, and one before a digit at the start.
fn plain(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    plain.trim_start_matches('_').to_owned()
}

/// Returns inputs that are matrices. They take the features in their order.
fn matrices(declared: &[Declared], features: &[Feature]) -> Result<Vec<Input>, UnfitInputs> {
    let all = || (0..features.len()).collect::<Vec<_>>();
    let is_text = |input: &&Declared| input.element == Element::Text;
    let (texts, numbers) = (declared.iter().filter(is_text).count(), declared.len());
    let mut left: [std::vec::IntoIter<usize>; 2] = if texts == 0 || texts == numbers {
        [all().into_iter(), all().into_iter()]
    } else {
        let (categorical, numeric): (Vec<usize>, Vec<usize>) =
            all().into_iter().partition(|&at| features[at].categorical().is_some());
        [numeric.into_iter(), categorical.into_iter()]
    };
    // A matrix of open width takes the columns that are left by those of a fixed width.
    for element_is_text in [false, true] {
        let own = || declared.iter().filter(|input| (input.element == Element::Text) == element_is_text);
        if own().filter(|input| input.columns.is_none()).count() > 1 {
            return Err(UnfitInputs(format!(
                "at most one input may have an open number of columns, got {}; export the model with fixed numbers of columns",
                own().map(Declared::describe).collect::<Vec<_>>().join(", ")
            )));
        }
    }
    let fixed = |text: bool| -> usize {
        declared
            .iter()
            .filter(|input| (input.element == Element::Text) == text)
            .filter_map(|input| input.columns)
            .sum()
    };
    let totals = [left[0].len(), left[1].len()];
    let inputs: Vec<Input> = declared
        .iter()
        .map(|input| {
            let left = &mut left[usize::from(input.element == Element::Text)];
            let width = match input.columns {
                Some(columns) => columns,
                None => {
                    let text = input.element == Element::Text;
                    totals[usize::from(text)].saturating_sub(fixed(text))
                }
            };
            let features: Vec<usize> = left.by_ref().take(width).collect();
            let Declared { name, element, matrix, .. } = input;
            Input { name: name.clone(), element: *element, features, matrix: *matrix }
        })
        .collect();
    let fits = declared
        .iter()
        .zip(&inputs)
        .all(|(input, own)| input.columns.is_none_or(|columns| columns == own.features.len()));
    let taken: usize = inputs.iter().map(|input| input.features.len()).sum();
    if fits && taken == features.len() {
        return Ok(inputs);
    }
    let names: Vec<&str> = features.iter().map(|feature| feature.name.as_str()).collect();
    Err(UnfitInputs(format!(
        "the inputs are {}, but there are {} columns: {}; leave other columns out with --drop",
        declared.iter().map(Declared::describe).collect::<Vec<_>>().join(", "),
        names.len(),
        names.join(", ")
    )))
}

/// Checks that the reference's values of the features can be elements of an input.
fn check(input: &Input, features: &[Feature]) -> Result<(), UnfitInputs> {
    for feature in input.features.iter().map(|&feature| &features[feature]) {
        let (name, input_name) = (&feature.name, &input.name);
        let unfit = |what: String| {
            Err(UnfitInputs(format!(
                "input {input_name:?} takes elements of type {}, but column {name:?} {what}",
                input.element.name()
            )))
        };
        let number = matches!(input.element, Element::Float32 | Element::Float64);
        match &feature.values {
            Values::Numeric(_) if input.element == Element::Text => {
                return unfit(format!(
                    "has numbers, whose text may differ from that in the table; read the column as text with --categorical {name:?}"
                ));
            }
            Values::Numeric(numeric) => {
                if !number && numeric.decimals != Some(0) && numeric.range.is_some() {
                    return unfit(
                        "has numbers with a fraction; round them, or export the model with an input of floats".into(),
                    );
                }
            }
            Values::Categorical(own) if input.element != Element::Text => {
                let text = own.categories.iter().chain(&own.rare).find(|text| number_of(text).is_none());
                if let Some(text) = text {
                    return unfit(format!(
                        "has the text {text:?}; correct the cells, or export the model with an input of strings"
                    ));
                }
            }
            Values::Categorical(_) => {}
        }
        if feature.missing_ratio > 0.0 && !number && input.element != Element::Text {
            return unfit("has missing values; fill them, or leave their rows out".into());
        }
    }
    Ok(())
}
