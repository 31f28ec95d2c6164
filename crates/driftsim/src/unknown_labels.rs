//! The labels of a table that are not classes of the model, or not numbers if the model predicts one.

use crate::records::{listed, name};
use model::ModelCard;
use std::collections::BTreeSet;

/// The greatest number of labels, and of classes, that a note names.
const NAMED: usize = 5;

/// Counts rows whose label is not a class of the model, or not a number if the model predicts one.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct UnknownLabels {
    /// The number of rows with such a label.
    pub(crate) rows: u64,
    /// The first labels in byte order, up to one more than a note names. They do not depend on the order of the rows.
    first: BTreeSet<Vec<u8>>,
}

impl UnknownLabels {
    /// Counts a row.
    pub(crate) fn add(&mut self, label: &[u8]) {
        self.rows += 1;
        self.keep(label);
    }

    /// Adds the counts of another part of the table.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        other.first.iter().for_each(|label| self.keep(label));
    }

    fn keep(&mut self, label: &[u8]) {
        let is_full = self.first.len() > NAMED;
        if self.first.contains(label)
            || is_full && self.first.last().is_some_and(|last| label > last.as_slice())
        {
            return;
        }
        self.first.insert(label.to_owned());
        if is_full {
            self.first.pop_last();
        }
    }

    /// Returns a note about the unknown labels, if there are any. `rows` is the number of rows in the table, and `target` the column
    /// with the labels.
    pub(crate) fn note(&self, rows: u64, target: &str, card: &ModelCard) -> Option<String> {
        let column = name(target);
        let labels: Vec<_> = self.first.iter().map(|label| String::from_utf8_lossy(label)).collect();
        let labels = first_of(&labels, labels.len());
        let label = if card.predicts_number() { "number" } else { "class of the model" };
        match self.rows {
            0 => None,
            all if all == rows && card.predicts_number() => {
                Some(format!("column {column} has no number: it has {labels}"))
            }
            all if all == rows => Some(format!(
                "column {column} has no class of the model: it has {labels}; the model's are {}",
                first_of(&card.classes, card.classes.len())
            )),
            1 => Some(format!("1 row has no {label} in column {column}: it has {labels}")),
            some => Some(format!("{some} rows have no {label} in column {column}: they have {labels}")),
        }
    }
}

/// Returns the first [`NAMED`] names as a list.
fn first_of(names: &[impl AsRef<str>], count: usize) -> String {
    let text = listed(names.iter().take(NAMED).map(AsRef::as_ref));
    if count > NAMED { text + ", …" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_does_not_depend_on_the_order_of_rows_or_parts() {
        let labels = ["q", "d", "", "a b", "d", "z", "c", "y", "e", "x", "d"];
        let count = |labels: &[&str]| {
            let mut counted = UnknownLabels::default();
            labels.iter().for_each(|label| counted.add(label.as_bytes()));
            counted
        };
        let whole = count(&labels);
        for cut in 0..labels.len() {
            let mut parts = count(&labels[cut..]);
            parts.merge(&count(&labels[..cut]));
            assert_eq!(parts, whole, "{cut}");
        }
        let card = model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap().card;
        assert_eq!(
            whole.note(20, "kind", &card).unwrap(),
            r#"11 rows have no class of the model in column kind: they have "", "a b", c, d, e, …"#
        );
        assert_eq!(
            count(&["rose", "Setosa"]).note(2, "the kind", &card).unwrap(),
            r#"column "the kind" has no class of the model: it has Setosa, rose; the model's are setosa, versicolor, virginica"#
        );
        assert_eq!(
            count(&["rose"]).note(2, "kind", &card).unwrap(),
            "1 row has no class of the model in column kind: it has rose"
        );
        assert_eq!(count(&[]).note(2, "kind", &card), None);
    }
}
