//! Compares the columns of a model with those of the model that it replaces.

use model::{ModelCard, Values, card::Written};
use serde::Serialize;
use std::fmt;
use utoipa::ToSchema;

/// The differences between the columns of two models.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ColumnChanges {
    /// Columns that only the new model has
    added: Vec<String>,
    /// Columns that only the former model has
    removed: Vec<String>,
    /// Columns whose values are of another type
    retyped: Vec<Retyped>,
    /// Whether the columns that both models have are in another order, which changes the meaning of rows without names
    reordered: bool,
}

/// A column whose values are of another type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Retyped {
    /// The column's name
    name: String,
    /// The values that the former model takes: `numbers`, or categories written as `texts`, `booleans` or `numbers as categories`
    from: &'static str,
    /// The values that the new model takes
    to: &'static str,
}

impl ColumnChanges {
    /// Compares the columns of a former and a new model.
    pub fn between(former: &ModelCard, new: &ModelCard) -> Self {
        let missing_in = |card: &ModelCard, other: &ModelCard| {
            let only =
                card.features.iter().filter(|own| !other.features.iter().any(|it| it.name == own.name));
            only.map(|own| own.name.clone()).collect()
        };
        let common = |card: &ModelCard, other: &ModelCard| -> Vec<String> {
            let both = card.features.iter().filter(|own| other.features.iter().any(|it| it.name == own.name));
            both.map(|own| own.name.clone()).collect()
        };
        let retyped = new.features.iter().filter_map(|own| {
            let before = former.features.iter().find(|it| it.name == own.name)?;
            let (from, to) = (type_of(&before.values), type_of(&own.values));
            (from != to).then(|| Retyped { name: own.name.clone(), from, to })
        });
        Self {
            added: missing_in(new, former),
            removed: missing_in(former, new),
            retyped: retyped.collect(),
            reordered: common(former, new) != common(new, former),
        }
    }

    /// Returns whether both models have the same columns.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Writes the differences in one line, as in `added "city"; removed "town"; "age" takes texts instead of numbers`.
impl fmt::Display for ColumnChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted =
            |names: &[String]| names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let mut parts = Vec::new();
        if !self.added.is_empty() {
            parts.push(format!("added {}", quoted(&self.added)));
        }
        if !self.removed.is_empty() {
            parts.push(format!("removed {}", quoted(&self.removed)));
        }
        parts.extend(
            self.retyped
                .iter()
                .map(|Retyped { name, from, to }| format!("{name:?} takes {to} instead of {from}")),
        );
        if self.reordered {
            parts.push("the columns are in another order".to_owned());
        }
        if parts.is_empty() {
            parts.push("none".to_owned());
        }
        f.write_str(&parts.join("; "))
    }
}

fn type_of(values: &Values) -> &'static str {
    match values {
        Values::Numeric(_) => "numbers",
        Values::Categorical(own) => match own.written {
            Written::Text => "texts",
            Written::Boolean => "booleans",
            Written::Number => "numbers as categories",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{CsvOptions, TrainOptions, read_csv, train};

    fn card(header: &str, row: impl Fn(usize) -> String) -> ModelCard {
        let rows: String = (0..90).map(|at| format!("{},{}\n", row(at), ["x", "y"][at % 2])).collect();
        let text = format!("{header},class\n{rows}");
        let table = read_csv(text.as_bytes(), "table.csv", &CsvOptions::new("class")).unwrap().table;
        train(&table, &TrainOptions::new("m")).unwrap().card
    }

    #[test]
    fn every_kind_of_difference_is_described() {
        let number = |at: usize| format!("{}.5", at * 7 % 31);
        let former = card("a,b,c", |at| format!("{},{},{}", number(at), number(at + 3), number(at + 5)));
        assert!(ColumnChanges::between(&former, &former).is_empty());
        assert_eq!(ColumnChanges::between(&former, &former).to_string(), "none");
        let new =
            card("c,d,b", |at| format!("{},{},{}", number(at), number(at + 3), ["u", "v", "w"][at % 3]));
        let changes = ColumnChanges::between(&former, &new);
        assert_eq!(
            changes.to_string(),
            "added \"d\"; removed \"a\"; \"b\" takes texts instead of numbers; the columns are in another order"
        );
        assert_eq!(
            serde_json::to_value(&changes).unwrap(),
            serde_json::json!({
                "added": ["d"],
                "removed": ["a"],
                "retyped": [{"name": "b", "from": "numbers", "to": "texts"}],
                "reordered": true,
            })
        );
    }
}
