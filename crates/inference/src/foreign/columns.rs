//! Joins fields that have the probability of one class each, such as `probability_0` and `probability_1`, in one field.

use super::answer::{Field, FieldValues, is_probability};
use onnx::engine::unlike_probabilities;

/// A class, and its value in each row.
type Column<'a> = (&'a str, &'a [f64]);

/// Adds a field for fields of one value per row whose names differ only in the class, and whose values are probabilities that add up to 1
/// in each row. Its name is what the names have in common and `*`. The fields stay, because one of them may be the wanted one.
pub(super) fn join(fields: &mut Vec<Field>) {
    let mut groups: Vec<(&str, Vec<Column>)> = Vec::new();
    for field in fields.iter() {
        let (1, FieldValues::Numbers(values)) = (field.columns, &field.values) else { continue };
        let Some((start, class)) = parts(&field.name) else { continue };
        match groups.iter_mut().find(|(own, _)| *own == start) {
            Some((_, columns)) => columns.push((class, values)),
            None => groups.push((start, vec![(class, values)])),
        }
    }
    let joined: Vec<Field> =
        groups.into_iter().filter_map(|(start, columns)| joined(start, columns)).collect();
    fields.extend(joined);
}

fn joined(start: &str, mut columns: Vec<Column>) -> Option<Field> {
    let count = columns.len();
    // Positions of classes are not their labels.
    let position = |class: &str| class.parse::<usize>().ok();
    let are_positions = (0..count).all(|at| columns.iter().any(|(class, _)| position(class) == Some(at)));
    if are_positions {
        columns.sort_by_key(|(class, _)| position(class));
    }
    let rows = columns.first()?.1.len();
    let values: Vec<f64> =
        (0..rows).flat_map(|row| columns.iter().map(move |(_, values)| values[row])).collect();
    let is_distribution =
        count > 1 && values.chunks_exact(count).all(|row| unlike_probabilities(row).is_none());
    is_distribution.then(|| Field {
        name: format!("{start}*"),
        columns: count,
        names: (!are_positions).then(|| columns.iter().map(|(class, _)| (*class).to_owned()).collect()),
        values: FieldValues::Numbers(values),
    })
}

/// Splits a name such as `probability_yes`, `proba1` or `p1` into its start and the class.
fn parts(name: &str) -> Option<(&str, &str)> {
    let is_start = |start: &str| is_probability(start) || start.rsplit('.').next() == Some("p");
    let separators = name.match_indices(['_', '-', ' ', '.']).map(|(at, _)| at);
    let separated = separators.map(|at| (&name[..at], &name[..=at], &name[at + 1..]));
    let mut separated = separated.filter(|(start, _, class)| is_start(start) && !class.is_empty());
    if let Some((_, start, class)) = separated.next() {
        return Some((start, class));
    }
    let start = name.trim_end_matches(|character: char| character.is_ascii_digit());
    (start.len() < name.len() && is_start(start)).then(|| name.split_at(start.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_at_the_class() {
        for (name, expected) in [
            ("probability_0", Some(("probability_", "0"))),
            ("predicted_proba_very good", Some(("predicted_proba_", "very good"))),
            ("result.score-a", Some(("result.score-", "a"))),
            ("Prob12", Some(("Prob", "12"))),
            ("p0", Some(("p", "0"))),
            ("p_yes", Some(("p_", "yes"))),
            ("probability", None),
            ("price_0", None),
            ("x1", None),
        ] {
            assert_eq!(parts(name), expected, "{name}");
        }
    }

    #[test]
    fn only_probabilities_of_all_classes_are_joined() {
        let field = |name: &str, values: &[f64]| Field {
            name: name.into(),
            columns: 1,
            names: None,
            values: FieldValues::Numbers(values.to_vec()),
        };
        let joined = |fields: &[Field]| {
            let mut all = fields.to_vec();
            join(&mut all);
            assert_eq!(&all[..fields.len()], fields);
            all.split_off(fields.len())
        };
        // In the order of names, 10 is before 2.
        let many: Vec<Field> = ["0", "1", "10", "2", "3", "4", "5", "6", "7", "8", "9"]
            .iter()
            .map(|at| {
                field(&format!("p{at}"), &[f64::from(u8::from(*at == "2")), f64::from(u8::from(*at == "10"))])
            })
            .collect();
        let one = joined(&many).remove(0);
        let mut expected = vec![0.0; 22];
        (expected[2], expected[21]) = (1.0, 1.0);
        assert_eq!((one.columns, one.names, one.values), (11, None, FieldValues::Numbers(expected)));

        let named =
            joined(&[field("score_no", &[0.25]), field("score_yes", &[0.75]), field("score", &[3.0])]);
        assert_eq!(named[0].name, "score_*");
        assert_eq!(named[0].names, Some(vec!["no".to_owned(), "yes".to_owned()]));
        for others in [
            [field("score_min", &[1.0]), field("score_max", &[5.0])],
            [field("probability_0", &[0.25]), field("proba_1", &[0.75])],
            [field("price_0", &[0.25]), field("price_1", &[0.75])],
            [field("p0", &[0.25, 1.5]), field("p1", &[0.75, 0.5])],
        ] {
            assert_eq!(joined(&others), [], "{others:?}");
        }
    }
}
