//! Checks rows that were parsed as any JSON against the model: the number and the names of the values, and the type of each.

use super::{
    Form, ParsedRows, exact,
    raw::{Cell, CellRef, Instances, Kind, RawRows, Row, shortened},
};
use crate::{reason::Reason, refusal::Refusal};
use model::{ModelCard, OtherCategory, Values};

pub(super) fn check_instances(
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

pub(super) fn check_rows(raw: RawRows, form: Form, card: &ModelCard) -> Result<ParsedRows, Refusal> {
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
pub(super) fn value(
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
            let value = if card.is_profile() { own.value_of_unchanged(text) } else { own.value(text) };
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
