use super::{
    super::{column_notes, unfit::sentences},
    *,
};

fn decide(cells: &[&str], forced: Option<ColumnType>) -> Result<ColumnType, String> {
    let mut profile = Profile::new(forced);
    let filled = cells.iter().zip(2..).filter(|(cell, _)| !cell.is_empty());
    filled.for_each(|(cell, line)| profile.add(cell, line));
    let decided = profile.decide("my col");
    decided.map_err(|unfit| sentences("d.csv", &[("my col", unfit)]).concat())
}

#[test]
fn the_type_of_a_column_follows_from_its_values() {
    assert_eq!(decide(&["1", "2.5", "", "-3e2"], None), Ok(ColumnType::Numeric));
    assert_eq!(decide(&["", ""], None), Ok(ColumnType::Numeric));
    assert_eq!(decide(&["a", "b", ""], None), Ok(ColumnType::Categorical));
    assert_eq!(decide(&["A1", "7", "B2", "C3"], None), Ok(ColumnType::Categorical));
    assert_eq!(decide(&["1", "2"], Some(ColumnType::Categorical)), Ok(ColumnType::Categorical));
    assert_eq!(decide(&["true", "false"], None), Ok(ColumnType::Categorical));
}

#[test]
fn the_error_for_an_unusable_column_names_line_column_and_remedy() {
    let cases: [(&[&str], &str); 4] = [
        (
            &["1", "NA", "3", "4"],
            "d.csv:3: column \"my col\": expected a number, got \"NA\" (1 of 4 values are not numbers); \
             give --missing NA to treat it as missing in all columns, or --categorical 'my col' to read the column as categories",
        ),
        (&["1", "inf", "3"], "d.csv:3: column \"my col\": expected a number, got \"inf\""),
        (&["1", "1e999", "3"], "d.csv:3: column \"my col\": expected a number, got \"1e999\""),
        (
            &["2024-01-31", "2024-02-01T10:00:00Z"],
            "d.csv:2: column \"my col\": expected a number or a category, got \"2024-01-31\", which looks like a date",
        ),
    ];
    for (cells, expected) in cases {
        let error = decide(cells, None).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    let forced = decide(&["a", "1"], Some(ColumnType::Numeric)).unwrap_err();
    assert!(forced.contains("expected a number, got \"a\""), "{forced}");
    let identifiers: Vec<String> = (0..40).map(|i| format!("user-{i}")).collect();
    let identifiers: Vec<&str> = identifiers.iter().map(String::as_str).collect();
    let error = decide(&identifiers, None).unwrap_err();
    assert!(error.contains("40 of 40 values are different") && error.contains("--drop 'my col'"), "{error}");
}

#[test]
fn up_to_three_texts_among_numbers_are_suggested_as_missing_values() {
    let with = |odd: &[&str]| {
        let numbers: Vec<String> = (0..9).map(|number| number.to_string()).collect();
        decide(&[&numbers.iter().map(String::as_str).collect::<Vec<_>>(), odd].concat(), None).unwrap_err()
    };
    let (three, four) = (with(&["a", "b", "c"]), with(&["a", "b", "c", "d"]));
    assert!(
        three.contains("(3 of 12 values are not numbers); give --missing a --missing b --missing c to"),
        "{three}"
    );
    assert!(four.contains("(4 of 13 values are not numbers); write them as numbers"), "{four}");
    // A text that occurs four times counts once.
    let same = with(&["x", "x", "x", "x"]);
    assert!(same.contains("give --missing x to treat"), "{same}");
    let large = with(&["1e150"]);
    assert!(large.contains("got \"1e150\"") && large.contains("below 1e150"), "{large}");
}

#[test]
fn texts_with_digits_are_not_suggested_as_missing_values() {
    for text in ["5+", "<1", "2-10", "1e200"] {
        let error = decide(&["1", "2", text, "4"], None).unwrap_err();
        assert!(
            error.contains("; write them as numbers, which must be finite and below 1e150, or"),
            "{error}"
        );
        assert!(error.ends_with("or --categorical 'my col' to read the column as categories"), "{error}");
    }
}

#[test]
fn numbers_that_are_too_large_or_infinite_are_not_read_as_categories() {
    let large: Vec<String> = (1..=60).map(|at| format!("{at}e160")).collect();
    let error = decide(&large.iter().map(String::as_str).collect::<Vec<_>>(), None).unwrap_err();
    assert!(
        error.starts_with("d.csv:2: column \"my col\": expected a number, got \"1e160\" (60 of 60"),
        "{error}"
    );
    assert!(error.contains("must be finite and below 1e150"), "{error}");
    let error = decide(&["1", "-Infinity", "-Infinity", "2"], None).unwrap_err();
    assert!(error.contains("give --missing -Infinity to treat it as missing in all columns"), "{error}");
    // Not even if they are many, or if values are missing.
    assert!(decide(&["1", "inf", "inf", "inf"], None).is_err());
    assert!(decide(&["1", "nan", "nan", "inf", "1e160"], None).is_err());
}

#[test]
fn texts_that_spell_a_number_do_not_make_a_column_of_texts_numeric() {
    for token in ["NaN", "nan", "inf", "Infinity"] {
        let cells = [[token; 6].as_slice(), &["red", "blue", "red", "blue"]].concat();
        assert_eq!(decide(&cells, None), Ok(ColumnType::Categorical), "{token}");
    }
    let mut profile = Profile::new(None);
    ["NaN", "NaN", "NaN", "red"].iter().zip(2..).for_each(|(cell, line)| profile.add(cell, line));
    let notes = column_notes::sentences(&profile.notes("color", ColumnType::Categorical));
    assert!(notes[0].contains("--missing 'NaN' makes it a missing value"), "{notes:?}");
    // Numbers have to outnumber the texts.
    assert_eq!(decide(&["1", "2", "inf", "red", "blue"], None), Ok(ColumnType::Categorical));
    assert!(decide(&["1", "2", "3", "inf", "red", "blue"], None).is_err());
}

#[test]
fn numbers_with_leading_zeros_are_noted() {
    let notes = |cells: &[&str], forced| {
        let mut profile = Profile::new(forced);
        cells.iter().zip(2..).for_each(|(cell, line)| profile.add(cell, line));
        column_notes::sentences(&profile.notes("zip", ColumnType::Numeric))
    };
    assert_eq!(
        notes(&["10115", "01067", "04103"], None),
        [
            "column \"zip\": 2 numbers have leading zeros, such as \"01067\"; if they are codes, read them as categories with \
          --categorical zip"
        ]
    );
    assert!(notes(&["0", "0.5", "-0.1", "10"], None).is_empty());
    assert!(notes(&["01067"], Some(ColumnType::Numeric)).is_empty());
}

#[test]
fn a_column_of_half_numbers_is_categorical() {
    assert_eq!(decide(&["1", "a", "2", "b"], None), Ok(ColumnType::Categorical));
    assert!(decide(&["1", "a", "2"], None).is_err());
}

#[test]
fn at_most_100000_texts_of_a_column_are_kept() {
    let mut profile = Profile::new(None);
    (0..100_001).for_each(|at| profile.add(&format!("t{at}"), at + 2));
    assert_eq!((profile.texts().count(), profile.overflow), (100_000, true));
}

#[test]
fn texts_of_a_numeric_column_are_not_kept() {
    let texts = |forced, count: u64| {
        let mut profile = Profile::new(forced);
        (0..count).for_each(|at| profile.add(&at.to_string(), at + 2));
        profile.texts().count()
    };
    assert_eq!([texts(None, 1_000), texts(None, 1_001)], [1_000, 0]);
    assert_eq!(texts(Some(ColumnType::Numeric), 5), 0);
    assert_eq!(texts(Some(ColumnType::Categorical), 1_001), 1_001);
}

#[test]
fn a_text_after_many_numbers_requires_another_pass() {
    let lacks = |forced, numbers: u64| {
        let mut profile = Profile::new(forced);
        (0..numbers).for_each(|at| profile.add(&at.to_string(), at + 2));
        let before = profile.lacks_texts();
        profile.add("x", numbers + 2);
        (before, profile.lacks_texts())
    };
    assert_eq!(lacks(None, 1_001), (false, true));
    assert_eq!(lacks(None, 1_000), (false, false));
    assert_eq!(lacks(Some(ColumnType::Categorical), 1_001), (false, false));
    assert_eq!(lacks(Some(ColumnType::Numeric), 1_001), (false, false));
}

#[test]
fn large_integers_and_placeholders_of_missing_values_are_noted() {
    let notes = |cells: &[String], decided| {
        let mut profile = Profile::new(None);
        cells.iter().zip(2..).for_each(|(cell, line)| profile.add(cell, line));
        column_notes::sentences(&profile.notes("c", decided))
    };
    let numbers: Vec<String> = (1..=50).map(|i| i.to_string()).collect();
    assert!(notes(&numbers, ColumnType::Numeric).is_empty());
    assert!(
        notes(&["9007199254740993".into()], ColumnType::Numeric)[0]
            .contains("1 integer is larger in magnitude than 2^53")
    );
    assert!(notes(&["NA".into(), "x".into()], ColumnType::Categorical)[0].contains("--missing 'NA'"));
}

#[test]
fn the_error_for_numbers_in_another_notation_names_the_notation() {
    let cases: [(&[&str], &str); 6] = [
        (
            &["13,2", "59,000", "7"],
            "d.csv:2: column \"my col\": expected a plain number, got \"13,2\", a number with a decimal comma (2 of 3 values are written like this); \
             write it as 13.2, or give --categorical 'my col' to read the column as categories",
        ),
        (
            &["NA", "59,000"],
            "d.csv:3: column \"my col\": expected a plain number, got \"59,000\", a number with a thousands separator",
        ),
        (
            &["1_000", "2_000"],
            "d.csv:2: column \"my col\": expected a plain number, got \"1_000\", a number with a thousands separator",
        ),
        (
            &["$59000", "$1"],
            "d.csv:2: column \"my col\": expected a plain number, got \"$59000\", a number with a currency sign",
        ),
        (
            &["85%", "3%"],
            "d.csv:2: column \"my col\": expected a plain number, got \"85%\", a number with a percent sign",
        ),
        (
            &["1", "2", "−3"],
            "d.csv:4: column \"my col\": expected a plain number, got \"−3\", a number with the minus sign U+2212 (1 of 3",
        ),
    ];
    for (cells, expected) in cases {
        let error = decide(cells, None).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    let forced = decide(&["1,5", "2,5"], Some(ColumnType::Numeric)).unwrap_err();
    assert!(forced.ends_with("; write it as 1.5"), "{forced}");
    assert_eq!(decide(&["1,5", "2,5"], Some(ColumnType::Categorical)), Ok(ColumnType::Categorical));
    // Nine of ten values are enough, eight are not.
    let mixed = |numbers: usize| {
        let cells: Vec<&str> = (0..10).map(|at| if at < numbers { "5%" } else { "high" }).collect();
        decide(&cells, None)
    };
    assert!(mixed(9).unwrap_err().contains("(9 of 10 values are written like this)"));
    assert_eq!(mixed(8), Ok(ColumnType::Categorical));
}

#[test]
fn a_column_of_placeholders_and_numbers_is_not_categorical() {
    for token in ["NA", ".", "?", "-", "NULL", "nan", "None", "missing", "unknown"] {
        let error = decide(&[token, token, token, "4.5"], None).unwrap_err();
        let (flag, got) = (shell_word(token), quoted(token));
        let expected = format!(
            "d.csv:2: column \"my col\": expected a number, got {got} (3 of 4 values are not numbers); \
             give --missing {flag} to treat it as missing in all columns, or --categorical 'my col'"
        );
        assert!(error.starts_with(&expected), "{error}");
    }
    assert_eq!(decide(&["x", "x", "x", "4.5"], None), Ok(ColumnType::Categorical));
    assert_eq!(decide(&["NA", "NA", "NA", "x"], None), Ok(ColumnType::Categorical));
    assert_eq!(decide(&["NA", "NA"], None), Ok(ColumnType::Categorical));
}

#[test]
fn many_texts_in_a_column_forced_to_be_numeric_are_not_suggested_as_missing() {
    let numeric = |cells: &[&str]| decide(cells, Some(ColumnType::Numeric)).unwrap_err();
    let texts = numeric(&["female", "male", "1"]);
    assert!(
        texts.contains("got \"female\" (2 of 3 values are not numbers); leave out --numeric 'my col'"),
        "{texts}"
    );
    assert!(!texts.contains("--missing"), "{texts}");
    assert!(
        numeric(&["female", "1", "2"])
            .ends_with("; give --missing female to treat it as missing in all columns")
    );
    assert!(
        numeric(&["NA", "NA", "2"]).ends_with("; give --missing NA to treat it as missing in all columns")
    );
}
