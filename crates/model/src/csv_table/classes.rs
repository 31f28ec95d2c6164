//! The classes in the target column: puts them in order and checks them.

use super::{class_forms::class_notes, unfit::listed, value_forms::number_form, values::sorted};
use crate::card::is_label;
use cli_io::printable::quoted;
use std::collections::HashMap;

/// The greatest number of classes. More usually mean that the target column is the wrong one. Each class is also the value of a
/// metric label.
const MAX_CLASSES: usize = 100;

/// The share of numbers among the different values of a target column from which on the target is treated as numeric.
const NUMERIC_TARGET: f64 = 0.9;

/// The target column, in the rows that have a class.
#[derive(Default)]
pub(super) struct ClassColumn {
    /// The classes, numbered in the order in which they appear.
    positions: HashMap<String, usize>,
    /// The class of each row.
    pub(super) labels: Vec<usize>,
    /// The number of rows whose class has leading or trailing spaces.
    padded: usize,
}

impl ClassColumn {
    /// Adds the class of a row, as it is written in the file.
    pub(super) fn add(&mut self, cell: &str) {
        let name = cell.trim();
        self.padded += usize::from(name.len() < cell.len());
        let label = self.positions.get(name).copied().unwrap_or_else(|| {
            let next = self.positions.len();
            self.positions.insert(name.to_owned(), next);
            next
        });
        self.labels.push(label);
    }

    /// Returns the classes in order and the class of each row, and adds notes on the classes.
    ///
    /// # Errors
    /// Returns what is wrong if there are too many classes.
    pub(super) fn sorted(
        self,
        target: &str,
        notes: &mut Vec<String>,
    ) -> Result<(Vec<String>, Vec<usize>), String> {
        let Self { positions, mut labels, padded } = self;
        if positions.len() > MAX_CLASSES {
            return Err(too_many_classes(positions.keys()));
        }
        let classes = sorted(positions.keys().cloned().collect());
        let mut place = vec![0; classes.len()];
        classes.iter().enumerate().for_each(|(at, class)| place[positions[class]] = at);
        labels.iter_mut().for_each(|label| *label = place[*label]);
        notes.extend(class_notes(target, &classes, padded));
        Ok((classes, labels))
    }
}

/// Returns what is wrong with a target of too many different values.
fn too_many_classes<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let problem = format!("expected at most {MAX_CLASSES} classes, got {} different values; ", names.len());
    if is_numeric(names) {
        problem + NUMERIC
    } else {
        problem + "name a column of classes with --target, or merge the rare classes"
    }
}

/// What is wrong with a numeric target.
const NUMERIC: &str = "the target is numeric: train fits classifiers only, and `inference profile` describes regression models that were \
                       trained elsewhere; name a column of classes with --target, or replace the numbers by classes such as low and high";

/// Returns whether most of the different values of the target are numbers.
fn is_numeric<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> bool {
    let count = names.len();
    let is_number = |name: &&String| name.parse::<f64>().is_ok() || number_form(name).is_some();
    names.filter(is_number).count() as f64 >= NUMERIC_TARGET * count as f64
}

pub(super) fn check_classes(all: &[String], labels: &[usize]) -> Result<(), String> {
    if all.len() == 1 {
        return Err(format!(
            "expected at least two classes, got only {}; add rows of another class",
            quoted(&all[0])
        ));
    }
    let mut counts = vec![0; all.len()];
    labels.iter().for_each(|&label| counts[label] += 1);
    let single: Vec<&str> =
        all.iter().zip(&counts).filter(|(_, count)| **count < 2).map(|(class, _)| class.as_str()).collect();
    if !single.is_empty() {
        let (classes, rows, them) = match single.len() {
            1 => ("class", "has only one row", "the row or merge the class"),
            _ => ("classes", "have only one row each", "the rows or merge the classes"),
        };
        let has_fraction = |name: &String| name.parse().is_ok_and(|number: f64| number.fract() != 0.0);
        if is_numeric(all.iter()) && all.iter().any(has_fraction) {
            return Err(NUMERIC.to_owned());
        }
        return Err(format!(
            "{classes} {} {rows}, but a class needs at least two; remove {them} with another",
            listed(&single)
        ));
    }
    if let Some(odd) = all.iter().find(|class| !is_label(class)) {
        return Err(format!(
            "class {} has a control character or a backslash in its name; rename it",
            quoted(odd)
        ));
    }
    Ok(())
}
