//! Finds columns that do not help to distinguish the classes: row numbers, and columns of a single value.

use super::{
    column::{ColumnType, IDENTIFIER_VALUES, Profile},
    column_notes::{About, ColumnNote},
    layout::Layout,
    unfit::{MAX_NAMED, counted, shell_word},
};

/// The usual names of columns with row numbers, and the greatest ratio between the range of such a column and the number of rows.
const ROW_NUMBER_NAMES: [&str; 7] = ["rownames", "rowname", "row", "rowid", "index", "id", "Unnamed: 0"];
const MAX_SPARSITY: f64 = 2.0;

/// Returns notes on columns with row numbers, and one sentence on all columns with a single value, if there are any.
pub(super) fn useless_columns(
    layout: &Layout,
    columns: &[usize],
    types: &[ColumnType],
    profiles: &[Profile],
    values: &[Vec<f64>],
) -> (Vec<ColumnNote>, Option<String>) {
    let (mut notes, mut constant) = (Vec::new(), Vec::new());
    for ((&at, &column_type), values) in columns.iter().zip(types).zip(values) {
        let name = &layout.header[at];
        if is_constant(values, &profiles[at], column_type) {
            constant.push(format!("--drop {}", shell_word(name)));
        } else if column_type == ColumnType::Numeric {
            notes.extend(row_number_note(name, values));
        }
    }
    let count = constant.len();
    let constant = (count > 0).then(|| {
        let what = counted(
            count,
            "column has a single value, or none, and does not help to distinguish the classes; leave it out with",
            "columns have a single value, or none, and do not help to distinguish the classes; leave them out with",
        );
        let flags = constant[..count.min(MAX_NAMED)].join(" ");
        let more = count.saturating_sub(MAX_NAMED);
        format!("{what} {flags}{}", if more > 0 { format!(" and {more} more") } else { String::new() })
    });
    (notes, constant)
}

/// Returns a note on a numeric column that seems to have row numbers.
pub(super) fn row_number_note(name: &str, values: &[f64]) -> Option<ColumnNote> {
    let about = About::RowNumbers(row_number(name, values)?);
    Some(ColumnNote { column: name.to_owned(), about })
}

/// Returns why a numeric column seems to have row numbers: its values are different integers that fill most of a range, or it has
/// the usual name of such a column and different values. Returns `None` otherwise. Missing values are NaN.
fn row_number(name: &str, values: &[f64]) -> Option<&'static str> {
    let present = || values.iter().copied().filter(|value| !value.is_nan());
    let count = present().count();
    let least = present().fold(f64::INFINITY, f64::min);
    let greatest = present().fold(f64::NEG_INFINITY, f64::max);
    let integers = present().all(|value| value.fract() == 0.0);
    let fills = greatest - least < MAX_SPARSITY * count as f64;
    let has_name = ROW_NUMBER_NAMES.iter().any(|usual| name.eq_ignore_ascii_case(usual));
    let is_likely = has_name || count >= IDENTIFIER_VALUES && integers && fills;
    if count < 2 || !is_likely {
        return None;
    }
    let present: Vec<f64> = present().collect();
    let in_order = integers && (0.0..=1.0).contains(&least) && present.windows(2).all(|w| w[1] == w[0] + 1.0);
    if in_order {
        return Some("counts the rows");
    }
    let mut sorted = present;
    sorted.sort_by(f64::total_cmp);
    sorted.windows(2).all(|pair| pair[0] < pair[1]).then_some("has a different number in every row")
}

/// Returns whether a column has one value in all rows, or none at all, so that the class cannot depend on it.
fn is_constant(values: &[f64], profile: &Profile, decided: ColumnType) -> bool {
    let mut present = values.iter().filter(|value| !value.is_nan());
    let first = present.next();
    match decided {
        _ if profile.is_empty() => true,
        // A missing number is replaced by the mean, which is the only value.
        ColumnType::Numeric => present.all(|value| Some(value) == first),
        ColumnType::Categorical => profile.is_one_text(values.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_numbers_in_any_order_are_recognised() {
        let values = |step: usize, start: f64| -> Vec<f64> {
            (0..50).map(|row| ((row * step) % 50) as f64 + start).collect()
        };
        assert_eq!(row_number("n", &values(1, 1.0)), Some("counts the rows"));
        let different = Some("has a different number in every row");
        assert_eq!(row_number("n", &values(7, 0.0)), different);
        assert_eq!(row_number("n", &values(1, 1000.0)), different);
        // One column has half of the integers of a range, and the other one a little less than half.
        let sparse =
            |step: f64| values(7, 0.0).iter().map(|value| (value * step).floor()).collect::<Vec<_>>();
        assert_eq!(row_number("n", &sparse(2.0)), different);
        assert_eq!(row_number("n", &sparse(2.1)), None);
        for name in ["rownames", "Index", "ID", "Unnamed: 0"] {
            assert_eq!(row_number(name, &sparse(1000.0)), different, "{name}");
            assert_eq!(row_number(name, &[1.0, 2.0, 2.0]), None, "{name}");
        }
        let mut repeated = values(7, 0.0);
        repeated[3] = repeated[9];
        assert_eq!(row_number("n", &repeated), None);
        assert_eq!(row_number("n", &values(7, 0.5)), None);
        assert_eq!(row_number("n", &values(7, 0.0)[..29]), None);
        assert_eq!(row_number("id", &[]), None);
    }
}
