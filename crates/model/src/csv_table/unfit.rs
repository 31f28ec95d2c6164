//! Writes the sentences about columns that cannot be used. Columns with the same fault and the same remedy share a sentence.

use cli_io::printable::quoted;
pub(super) use cli_io::printable::shell_word;

/// The greatest number of columns that a sentence names.
pub(super) const MAX_NAMED: usize = 20;

/// Why a column cannot be used.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Unfit {
    /// The line of the first value that does not fit.
    pub line: u64,
    /// What is wrong.
    pub fault: String,
    /// The number of values with this fault, in parentheses, or an empty text.
    pub extent: String,
    /// How to fix it.
    pub remedy: String,
    /// How to report this fault together with the same fault of other columns, if that is possible.
    pub shared: Option<Box<Shared>>,
}

/// A fault that several columns may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shared {
    /// Distinguishes this fault from others.
    pub key: String,
    /// How to fix it in all columns.
    pub remedy: String,
}

/// Returns one sentence per fault, in the order of the columns.
pub(super) fn sentences(file: &str, columns: &[(&str, Unfit)]) -> Vec<String> {
    let mut sentences = Vec::new();
    for (at, (name, unfit)) in columns.iter().enumerate() {
        let Some(shared) = &unfit.shared else {
            sentences.push(sentence(file, name, unfit));
            continue;
        };
        let is_same =
            |other: &&(&str, Unfit)| other.1.shared.as_ref().is_some_and(|own| own.key == shared.key);
        if columns[..at].iter().any(|other| is_same(&other)) {
            continue;
        }
        let names: Vec<&str> = columns[at..].iter().filter(is_same).map(|(name, _)| *name).collect();
        sentences.push(if let [name] = names[..] {
            sentence(file, name, unfit)
        } else {
            format!(
                "{file}:{}: {} columns: {}; the columns are {}; {}",
                unfit.line,
                names.len(),
                unfit.fault,
                listed(&names),
                shared.remedy
            )
        });
    }
    sentences
}

/// Returns the flags that leave out all columns for which that is a remedy, if there are several.
pub(super) fn drop_all(columns: &[(&str, Unfit)]) -> Option<String> {
    let droppable = columns.iter().filter(|(_, unfit)| unfit.remedy.contains("--drop "));
    let flags: Vec<String> = droppable.map(|(name, _)| format!("--drop {}", shell_word(name))).collect();
    let more = match flags.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (flags.len() > 1).then(|| {
        format!("to leave these columns out: {}{more}", flags[..flags.len().min(MAX_NAMED)].join(" "))
    })
}

fn sentence(file: &str, name: &str, unfit: &Unfit) -> String {
    let Unfit { line, fault, extent, remedy, .. } = unfit;
    format!("{file}:{line}: column {}: {fault}{extent}; {remedy}", quoted(name))
}

/// Returns the first names, separated by commas, and the number of further names.
pub(super) fn listed(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(MAX_NAMED).map(|name| quoted(name)).collect();
    match names.len().saturating_sub(MAX_NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Returns a count with a noun in the singular or the plural, as in `1 row` and `2 rows`.
pub(super) fn counted(count: usize, singular: &str, plural: &str) -> String {
    format!("{count} {}", if count == 1 { singular } else { plural })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unfit(line: u64, fault: &str, shared: Option<&str>) -> Unfit {
        Unfit {
            line,
            fault: fault.into(),
            extent: " (1 of 9)".into(),
            remedy: "fix it".into(),
            shared: shared.map(|key| Box::new(Shared { key: key.into(), remedy: "fix all".into() })),
        }
    }

    #[test]
    fn columns_with_the_same_fault_share_a_sentence() {
        let columns = [
            ("a", unfit(3, "got ?", Some("?"))),
            ("b", unfit(2, "is a date", None)),
            ("c", unfit(4, "got NA", Some("NA"))),
            ("d", unfit(5, "got ?", Some("?"))),
        ];
        assert_eq!(
            sentences("f", &columns),
            [
                "f:3: 2 columns: got ?; the columns are \"a\", \"d\"; fix all",
                "f:2: column \"b\": is a date (1 of 9); fix it",
                "f:4: column \"c\": got NA (1 of 9); fix it",
            ]
        );
    }

    #[test]
    fn a_sentence_names_at_most_twenty_columns() {
        let names: Vec<String> = (0..23).map(|at| format!("c{at}")).collect();
        let columns: Vec<(&str, Unfit)> =
            names.iter().map(|name| (name.as_str(), unfit(2, "got ?", Some("?")))).collect();
        let [sentence] = &sentences("f", &columns)[..] else { panic!() };
        assert!(sentence.starts_with("f:2: 23 columns: got ?; the columns are \"c0\", "), "{sentence}");
        assert!(sentence.ends_with("\"c19\" and 3 more; fix all") && !sentence.contains("c20"), "{sentence}");
    }

    #[test]
    fn the_flags_that_leave_out_several_columns_are_listed_together() {
        let with = |remedy: &str| Unfit { remedy: remedy.into(), ..unfit(2, "is a date", None) };
        let mut columns = vec![("a b", with("leave it out with --drop 'a b'")), ("c", with("label it"))];
        assert_eq!(drop_all(&columns), None);
        columns.push(("d", with("leave it out with --drop d, or keep it")));
        assert_eq!(drop_all(&columns).unwrap(), "to leave these columns out: --drop 'a b' --drop d");
        columns.extend(vec![("e", with("--drop e")); 20]);
        assert!(drop_all(&columns).unwrap().ends_with(" --drop e and 2 more"));
    }

    #[test]
    fn a_count_of_1_has_the_singular() {
        let rows = |count| counted(count, "row has", "rows have");
        assert_eq!([0, 1, 2].map(rows), ["0 rows have", "1 row has", "2 rows have"]);
    }
}
