//! Reads labels and scores from the outputs of a model.

use ort::{
    session::SessionOutputs,
    value::{DynMap, DynValue, Outlet, TensorElementType, ValueType},
};

/// The outputs of a model for some rows, as the model returns them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RawOutputs {
    /// The label of each row, as text, if the model returns labels.
    pub labels: Option<Vec<String>>,
    /// The scores of each row, if the model returns numbers.
    pub scores: Option<Scores>,
}

/// Numbers that a model returns for some rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores {
    /// The name of the output.
    pub output: String,
    /// The number of scores per row.
    pub columns: usize,
    /// The labels that the model gives the columns, if it does.
    pub names: Option<Vec<String>>,
    /// All numbers, row by row.
    pub values: Vec<f64>,
}

/// The outputs that labels and scores are read from.
#[derive(Debug, Clone)]
pub(crate) struct Roles {
    label: Option<String>,
    scores: Option<String>,
}

impl Roles {
    /// Finds the outputs with labels and with scores. If several outputs have scores, it takes the first whose name contains `prob`,
    /// or else the first of them.
    ///
    /// # Errors
    /// Returns an error that describes the outputs if none can be read, or if the model has several labels per row.
    pub(crate) fn new(outlets: &[Outlet]) -> Result<Self, String> {
        let named = |wanted: &dyn Fn(&ValueType) -> bool| -> Vec<&str> {
            outlets.iter().filter(|outlet| wanted(outlet.dtype())).map(Outlet::name).collect()
        };
        let (labels, scores) = (named(&is_labels), named(&is_scores));
        if let Some(outlet) = outlets.iter().find(|outlet| labels.first() == Some(&outlet.name()))
            && let Some(count) = labels_per_row(outlet.dtype()).filter(|count| *count > 1)
        {
            return Err(format!(
                "output {:?} has {count} labels per row, but models that predict several labels are not supported; export a model \
                 for one of them",
                outlet.name()
            ));
        }
        let probabilities =
            scores.iter().find(|name| name.to_lowercase().contains("prob")).or(scores.first());
        let own = Self {
            label: labels.first().map(|&name| name.to_owned()),
            scores: probabilities.map(|&name| name.to_owned()),
        };
        if own.label.is_some() || own.scores.is_some() {
            return Ok(own);
        }
        let described: Vec<String> =
            outlets.iter().map(|outlet| format!("{:?} of type {}", outlet.name(), outlet.dtype())).collect();
        Err(match described.as_slice() {
            [] => {
                "the model has no outputs; export it with labels, probabilities or numbers as outputs".into()
            }
            some => format!(
                "no output can be read: {}; supported are labels (int64, int32, bool or string) and numbers (float or \
                 double), one or a list of them per row, and lists of maps as scikit-learn's converter writes them",
                some.join(", ")
            ),
        })
    }

    /// Reads the outputs for `given` rows and returns those of the first `rows` rows.
    ///
    /// # Errors
    /// Returns an error if an output has another shape than it declares, or does not have one element per row.
    pub(crate) fn read(
        &self,
        outputs: &SessionOutputs,
        given: usize,
        rows: usize,
    ) -> Result<RawOutputs, String> {
        fn find<'a>(
            outputs: &'a SessionOutputs,
            name: Option<&'a String>,
        ) -> Option<(&'a str, &'a DynValue)> {
            name.and_then(|name| Some((name.as_str(), outputs.get(name)?)))
        }
        let labels = find(outputs, self.label.as_ref())
            .map(|(name, value)| labels(name, value, given, rows))
            .transpose()?;
        let scores = find(outputs, self.scores.as_ref())
            .map(|(name, value)| scores(name, value, given, rows))
            .transpose()?;
        Ok(RawOutputs { labels, scores })
    }
}

fn is_labels(dtype: &ValueType) -> bool {
    let ValueType::Tensor { ty, shape, .. } = dtype else { return false };
    let element = matches!(
        ty,
        TensorElementType::Int64
            | TensorElementType::Int32
            | TensorElementType::Bool
            | TensorElementType::String
    );
    element && matches!(shape.len(), 0..=2)
}

/// Returns the number of labels per row of an output, if it is declared.
fn labels_per_row(dtype: &ValueType) -> Option<i64> {
    let ValueType::Tensor { shape, .. } = dtype else { return None };
    match shape[..] {
        // scikit-learn's converter declares some outputs with one label per row as a single row.
        [1, _] => None,
        [_, labels] => Some(labels),
        _ => None,
    }
}

fn is_scores(dtype: &ValueType) -> bool {
    match dtype {
        ValueType::Tensor { ty, shape, .. } => {
            matches!(ty, TensorElementType::Float32 | TensorElementType::Float64) && shape.len() <= 2
        }
        ValueType::Sequence(of) => matches!(
            of.as_ref(),
            ValueType::Map {
                key: TensorElementType::Int64 | TensorElementType::String,
                value: TensorElementType::Float32
            }
        ),
        ValueType::Map { .. } | ValueType::Optional(_) => false,
    }
}

fn labels(name: &str, value: &DynValue, given: usize, rows: usize) -> Result<Vec<String>, String> {
    let error = |error: ort::Error| format!("output {name:?}: {error}");
    let ValueType::Tensor { ty, .. } = value.dtype() else {
        return Err(format!("output {name:?}: expected labels, got {}", value.dtype()));
    };
    macro_rules! texts {
        ($element:ty) => {
            value.try_extract_tensor::<$element>().map_err(error)?.1.iter().map(ToString::to_string).collect()
        };
    }
    let mut labels: Vec<String> = match ty {
        TensorElementType::String => value.try_extract_strings().map_err(error)?.1,
        TensorElementType::Int64 => texts!(i64),
        TensorElementType::Int32 => texts!(i32),
        _ => texts!(bool),
    };
    if labels.len() != given {
        return Err(format!("output {name:?}: expected {given} labels, one per row, got {}", labels.len()));
    }
    labels.truncate(rows);
    Ok(labels)
}

fn scores(name: &str, value: &DynValue, given: usize, rows: usize) -> Result<Scores, String> {
    let error = |error: ort::Error| format!("output {name:?}: {error}");
    if let ValueType::Sequence(_) = value.dtype() {
        return scores_of_maps(name, value, given, rows).map_err(error)?;
    }
    let (shape, mut values): (_, Vec<f64>) = match value.dtype() {
        ValueType::Tensor { ty: TensorElementType::Float64, .. } => {
            let (shape, values) = value.try_extract_tensor::<f64>().map_err(error)?;
            (shape, values.to_vec())
        }
        _ => {
            let (shape, values) = value.try_extract_tensor::<f32>().map_err(error)?;
            (shape, values.iter().map(|&value| f64::from(value)).collect())
        }
    };
    let (returned, columns) = match &shape[..] {
        [rows, columns] => (*rows as usize, *columns as usize),
        [rows] => (*rows as usize, 1),
        [] => (1, 1),
        _ => {
            return Err(format!("output {name:?}: expected at most two dimensions, got shape {shape:?}"));
        }
    };
    if returned != given || columns == 0 {
        return Err(format!("output {name:?}: expected {given} rows, got shape {shape:?}"));
    }
    values.truncate(rows * columns);
    Ok(Scores { output: name.to_owned(), columns, names: None, values })
}

/// Reads a list of maps from labels to probabilities, which scikit-learn's converter writes by default.
fn scores_of_maps(
    name: &str,
    value: &DynValue,
    given: usize,
    rows: usize,
) -> ort::Result<Result<Scores, String>> {
    let mut names: Vec<String> = Vec::new();
    let mut values = Vec::new();
    let maps = value.try_extract_sequence::<ort::value::DynMapValueType>()?;
    if maps.len() != given {
        return Ok(Err(format!("output {name:?}: expected {given} maps, one per row, got {}", maps.len())));
    }
    for map in &maps[..rows] {
        let mut entries = entries(map)?;
        // Entries are sorted, because the order of a map's entries is not fixed.
        entries.sort_by(|(one, _), (other, _)| match (one.parse::<i64>(), other.parse::<i64>()) {
            (Ok(one), Ok(other)) => one.cmp(&other),
            _ => one.cmp(other),
        });
        if entries.is_empty() {
            return Ok(Err(format!(
                "output {name:?}: expected maps from labels to probabilities, got an empty one"
            )));
        }
        if names.is_empty() {
            names = entries.iter().map(|(label, _)| label.clone()).collect();
        }
        if !entries.iter().map(|(label, _)| label).eq(&names) {
            return Ok(Err(format!(
                "output {name:?}: expected the same labels in all rows, got different ones"
            )));
        }
        values.extend(entries.into_iter().map(|(_, score)| f64::from(score)));
    }
    Ok(Ok(Scores { output: name.to_owned(), columns: names.len(), names: Some(names), values }))
}

fn entries(map: &DynMap) -> ort::Result<Vec<(String, f32)>> {
    match map.dtype() {
        ValueType::Map { key: TensorElementType::String, .. } => map.try_extract_key_values::<String, f32>(),
        _ => {
            let entries = map.try_extract_key_values::<i64, f32>()?;
            Ok(entries.into_iter().map(|(label, score)| (label.to_string(), score)).collect())
        }
    }
}
