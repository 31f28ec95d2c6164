//! Tests that read whole files.

use super::*;
use crate::table::Categories;

fn read(text: &str) -> Result<CsvTable, CsvError> {
    read_csv(text.as_bytes(), "data.csv", &CsvOptions::new("class"))
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn error(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn numbers_classes_and_missing_values_are_read() {
    let text = "\u{feff}a, class ,b\n1,x,2.5\n3e1,y,\n5,x,6\n7,y,8\n";
    let table = read(text).unwrap().table;
    assert_eq!(table.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(table.row(1), [Some(30.0), None]);
    assert_eq!(table.labels, [0, 1, 0, 1]);
}

#[test]
fn integer_classes_are_sorted_by_value() {
    let text = "a,class\n1,10\n2,9\n3,10\n4,9\n";
    assert_eq!(read(text).unwrap().table.classes, ["9", "10"]);
}

#[test]
fn every_error_names_file_line_and_column() {
    let cases = [
        ("", "data.csv:1: the file is empty"),
        ("a,class\n", "data.csv:1: the table has a header, but no rows"),
        ("a,b\n1,2\n", "data.csv:1: --target: there is no column \"class\"; the columns are a, b"),
        ("class\nx\n", "data.csv:1: expected at least one feature besides the target \"class\", got none"),
        (
            "a;class\n1;x\n",
            "data.csv:1: expected several columns, got only \"a;class\"; give --separator ';'",
        ),
        ("a,a,class\n1,2,x\n", "data.csv:1: column 2 (\"a\") has the name of an earlier column"),
        ("a,,class\n1,2,x\n", "data.csv:1: column 2 (\"\") has no name"),
        ("a,class\n1,x\n2,y,3\n", "data.csv:3: expected 2 fields as in the header, got 3"),
        ("a,class\n1,x\n2,x\nblue,y\n", "data.csv:4: column \"a\": expected a number, got \"blue\" (1 of 3"),
        ("a,class\r\n1,x\r\n\r\n2,x\r\nblue,y\r\n", "data.csv:5: column \"a\": expected a number, got"),
        ("a,class\n1,x\n\n\n2,y,3\n", "data.csv:5: expected 2 fields as in the header, got 3"),
        ("a,class\n1,x\n2,x\nNaN,y\n", "data.csv:4: column \"a\": expected a number, got \"NaN\""),
        ("a,class\n1,x\n2,x\n-1e200,y\n", "data.csv:4: column \"a\": expected a number, got \"-1e200\""),
        ("a,class\n1,x\n2,x\n1e999,y\n", "data.csv:4: column \"a\": expected a number, got \"1e999\""),
        ("a,class\n1,x\n2,\n", "data.csv:3: column \"class\": 1 row has no class, on line 3; label the row"),
        ("a,class\n1,x\n2,x\n", "data.csv: column \"class\": expected at least two classes, got only \"x\""),
        ("a\\b,class\n1,x\n", "data.csv:1: column 1 (\"a\\\\b\") has a control character or a backslash"),
        ("a,class\n1,x\\y\n2,x\\y\n3,z\n4,z\n", "data.csv: column \"class\": class \"x\\\\y\" has a control"),
        ("a,class\n1,x\n2,x\n3,y\n", "data.csv: column \"class\": class \"y\" has only one row"),
    ];
    for (text, expected) in cases {
        let got = error(text);
        assert!(got.starts_with(expected), "{text:?}\n  gave {got}");
    }
    let unclosed = error(&format!("a,class\n1,x\n\"2,y\n{}", "3,x\n".repeat(300_000)));
    assert_eq!(
        unclosed,
        "data.csv:3: expected 2 fields as in the header, got 1; a quoted field of this row goes over several lines; if its \
         quote is not closed, close it; otherwise quote fields that contain the separator, and write a quote inside a field twice"
    );
    let many: String = (0..202).map(|i| format!("{i},c{}\n", i / 2)).collect();
    assert!(
        error(&format!("a,class\n{many}")).contains("expected at most 100 classes, got 101 different values")
    );
    let invalid =
        read_csv(&b"a,class\n1,x\n2,\xff\n"[..], "data.csv", &CsvOptions::new("class")).unwrap_err();
    assert!(
        invalid.to_string().starts_with("data.csv:3: field 2 of the row is not UTF-8; save the file"),
        "{invalid}"
    );
    let invalid = read_csv(&b"\xe9,class\n1,x\n"[..], "data.csv", &CsvOptions::new("class")).unwrap_err();
    assert!(
        invalid.to_string().starts_with("data.csv:1: field 1 of the header is not UTF-8; save the file"),
        "{invalid}"
    );
}

#[test]
fn columns_of_text_are_categorical_and_rare_categories_share_a_bin() {
    let city = |row: usize| match row {
        0..=39 => "Rome",
        40..=69 => "Oslo",
        70..=76 => "Bonn",
        77 => "",
        _ => "Lima",
    };
    let body: String =
        (0..80).map(|row| format!("{row}.5,{}, {} ,c{}\n", city(row), row % 2 == 0, row % 2)).collect();
    let read = read(&format!("a,city,flag,class\n{body}")).unwrap();
    let [a, city, flag] = read.table.columns.as_slice() else { panic!() };
    assert_eq!(a.categories, None);
    let expected =
        Categories { known: names(&["Oslo", "Rome"]), weighted: names(&["Bonn"]), rare: names(&["Lima"]) };
    assert_eq!(city.categories, Some(expected));
    assert_eq!(flag.categories.as_ref().unwrap().known, ["false", "true"]);
    let row = |row: usize| read.table.row(row)[1..].to_vec();
    assert_eq!(
        [0, 40, 70, 77, 79].map(row),
        [
            [Some(1.0), Some(1.0)].to_vec(),
            [Some(0.0), Some(1.0)].to_vec(),
            [Some(3.0), Some(1.0)].to_vec(),
            [None, Some(0.0)].to_vec(),
            [Some(2.0), Some(0.0)].to_vec(),
        ]
    );
    assert!(
        read.notes.iter().any(|note| note.contains("2 categories have a separate bin; 2 rare ones")),
        "{:?}",
        read.notes
    );
}

#[test]
fn one_error_names_all_columns_that_cannot_be_used() {
    let body: String = (0..40)
        .map(|row| {
            format!(
                "u{row},2024-01-{:02},{},{row},c{}\n",
                row % 28 + 1,
                if row == 7 { "?" } else { "1" },
                row % 2
            )
        })
        .collect();
    let text = format!("id,day,code,n,class\n{body}");
    let message = error(&text);
    assert!(message.starts_with("3 columns cannot be used:\n"), "{message}");
    for part in [
        "data.csv:2: column \"id\": 40 of 40 values are different",
        "data.csv:2: column \"day\": expected a number or a category, got \"2024-01-01\", which looks like a date",
        "data.csv:9: column \"code\": expected a number, got \"?\" (1 of 40 values are not numbers); give --missing '?'",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let options = CsvOptions {
        drop: vec!["id".into(), "day".into()],
        missing: vec!["?".into()],
        categorical: vec!["code".into()],
        ..CsvOptions::new("class")
    };
    let table = read_csv(text.as_bytes(), "data.csv", &options).unwrap().table;
    assert_eq!(table.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["code", "n"]);
    assert_eq!((table.row(7)[0], table.row(8)[0]), (None, Some(0.0)));
}

#[test]
fn options_that_name_unknown_columns_or_contradict_each_other_are_refused() {
    type Change = fn(&mut CsvOptions);
    let text = "a,b,class\n1,2,x\n3,4,y\n";
    let refused = |change: Change| {
        let mut options = CsvOptions::new("class");
        change(&mut options);
        read_csv(text.as_bytes(), "d", &options).unwrap_err().to_string()
    };
    let cases: [(Change, &str); 6] = [
        (
            |o| o.numeric.push("z".into()),
            "d:1: --numeric: there is no column \"z\"; the columns are a, b, class",
        ),
        (|o| o.drop.push("class".into()), "d:1: --drop: \"class\" is the target"),
        (|o| o.categorical.push("class".into()), "d:1: --categorical: \"class\" is the target"),
        (
            |o| o.drop.extend(["a".into(), "b".into()]),
            "d:1: expected at least one feature besides the target \"class\", got none",
        ),
        (
            |o| {
                o.numeric.push("a".into());
                o.categorical.push("a".into());
            },
            "d:1: --numeric and --categorical both name \"a\"",
        ),
        (|o| o.missing.push("x".into()), "d:2: column \"class\": 1 row has no class, on line 2"),
    ];
    for (change, expected) in cases {
        let error = refused(change);
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn other_separators_can_be_set() {
    let options = CsvOptions { separator: b';', ..CsvOptions::new("class") };
    let table = read_csv(&b"a;class\n1;x\n2;x\n3;y\n4;y\n"[..], "d", &options).unwrap().table;
    assert_eq!(table.values, [[1.0, 2.0, 3.0, 4.0]]);
}

#[test]
fn the_most_frequent_of_the_rare_categories_are_kept_as_examples() {
    // Two categories have 10 rows each, and seven others 9 to 3 rows.
    let rows = [("p", 10), ("q", 10), ("i", 9), ("h", 8), ("g", 7), ("f", 6), ("e", 5), ("d", 4), ("c", 3)];
    let cells = rows.iter().flat_map(|&(name, count)| std::iter::repeat_n(name, count));
    let body: String = cells.enumerate().map(|(row, name)| format!("{name},{}\n", row % 2)).collect();
    let read = read(&format!("letter,class\n{body}")).unwrap();
    let categories = read.table.columns[0].categories.clone().unwrap();
    assert_eq!((categories.known.concat(), categories.weighted.concat()), ("pq".into(), "efghi".into()));
    assert_eq!(categories.rare.concat(), "dc");
    assert_eq!(
        read.notes,
        [
            "column \"letter\": 2 categories have a separate bin; 7 rare ones are (fewer than 10 rows, or not among the 64 most frequent) in \
          the bin \"other\", but the 5 of them with at least 5 rows have a separate weight"
        ]
    );
}

#[test]
fn at_most_64_categories_have_a_bin_and_others_have_a_weight() {
    // The last category has fewer rows than one with a weight needs.
    let rows = |at| [10, 11, 4][usize::from(at >= 65) + usize::from(at == 66)];
    let cells = (0..67).flat_map(|at| std::iter::repeat_n(at, rows(at)));
    let body: String = cells.enumerate().map(|(row, at)| format!("n{at:02},{}\n", row % 2)).collect();
    let text = format!("n,class\n{body}");
    let CsvTable { table, notes } = read(&text).unwrap();
    let categories = table.columns[0].categories.clone().unwrap();
    // Categories are ordered by frequency, then by name, so that the last two by name are left out.
    assert_eq!((categories.known.len(), categories.known[63].as_str()), (64, "n65"));
    assert_eq!((categories.weighted, categories.rare), (names(&["n63", "n64"]), names(&["n66"])));
    let values = |from: usize, to: usize| table.values[0][from..to].to_vec();
    assert_eq!(values(629, 651), [vec![62.0], vec![65.0; 10], vec![66.0; 10], vec![63.0]].concat());
    assert_eq!(values(660, 665), [vec![63.0], vec![64.0; 4]].concat());
    assert_eq!(
        notes.join("; "),
        "column \"n\": 64 categories have a separate bin; 3 rare ones are (fewer than 10 rows, or not among the 64 most frequent) in \
         the bin \"other\", but the 2 of them with at least 5 rows have a separate weight"
    );
    // A model that was trained elsewhere has no weights here.
    let reference = read_reference(text.as_bytes(), "data.csv", &CsvOptions::new("class")).unwrap();
    let categories = reference.columns[0].categories.as_ref().unwrap();
    assert_eq!((&categories.weighted, &categories.rare), (&Vec::new(), &names(&["n63", "n64", "n66"])));
    assert_eq!(reference.others.len(), 24);
}

#[test]
fn the_number_of_weights_is_limited() {
    // 64 categories have a bin, and with 100 classes, 500 others may have a weight.
    let text = |others: usize| {
        let rows = |at: usize| if at < 64 + others / 2 { 15 } else { 10 };
        let cells = (0..64 + others).flat_map(|at| std::iter::repeat_n(at, rows(at)));
        let body: String = cells.enumerate().map(|(row, at)| format!("c{at},k{:02}\n", row % 100)).collect();
        format!("n,class\n{body}")
    };
    let weighted = |others: usize| {
        let CsvTable { table, notes } = read(&text(others)).unwrap();
        (table.columns[0].categories.as_ref().unwrap().weighted.len(), notes.join("; "))
    };
    assert_eq!(weighted(500).0, 500);
    let (count, notes) = weighted(502);
    assert_eq!(count, 251);
    assert!(notes.ends_with("but the 251 of them with at least 15 rows have a separate weight"), "{notes}");
}

#[test]
fn classes_with_leading_or_trailing_spaces_are_noted() {
    let notes = |text: &str| read(text).unwrap().notes.join("; ");
    assert_eq!(notes("a,class\n1.5,x\n2,x\n3,y\n4,y\n"), "");
    assert_eq!(
        notes("a,class\n1.5, x\n2,x\n3,y \n4, y \n"),
        "column \"class\": the class of 3 rows has leading or trailing spaces, which are removed"
    );
}

/// Returns rows with the cells that `cells` returns for the row, followed by the class, which is `c0` and `c1` in turn.
fn body(rows: usize, cells: impl Fn(usize) -> String) -> String {
    (0..rows).map(|row| format!("{},c{}\n", cells(row), row % 2)).collect()
}

#[test]
fn rows_without_a_class_are_left_out_only_with_the_flag() {
    let text = "a,class\n1.5,x\n7,\n2,x\nbad,NA\n3,y\n4,y\n";
    let missing = vec!["NA".to_owned()];
    let read = |drop_unlabelled| {
        let options = CsvOptions { missing: missing.clone(), drop_unlabelled, ..CsvOptions::new("class") };
        read_csv(text.as_bytes(), "d.csv", &options)
    };
    assert_eq!(
        read(false).unwrap_err().to_string(),
        "d.csv:3: column \"class\": 2 rows have no class, the first on line 3; \
         label the rows, or leave them out with --drop-unlabelled"
    );
    let CsvTable { table, notes } = read(true).unwrap();
    assert_eq!((table.values, table.labels), (vec![vec![1.5, 2.0, 3.0, 4.0]], vec![0, 0, 1, 1]));
    assert_eq!(notes, ["column \"class\": 2 rows have no class and are left out"]);
    let options = CsvOptions { drop_unlabelled: true, ..CsvOptions::new("class") };
    let none = read_csv(&b"a,class\n1,\n2,\n"[..], "d.csv", &options).unwrap_err().to_string();
    assert_eq!(none, "d.csv: column \"class\": no row has a class; name another column with --target");
}

#[test]
fn one_error_names_rows_without_a_class_and_unusable_columns() {
    let message = error("a,class\n1,x\n2,\nNA,y\n3,y\n4,x\n");
    assert!(
        message.starts_with("2 columns cannot be used:\n  data.csv:3: column \"class\": 1 row"),
        "{message}"
    );
    assert!(message.contains("\n  data.csv:4: column \"a\": expected a number, got \"NA\""), "{message}");
}

#[test]
fn columns_with_the_same_fault_share_a_line() {
    let cells = |row: usize| {
        let token = if row == 3 { "NA" } else { "1" };
        format!("{token},{row}.5,\"{row},5\",{token},\"{row},25\"")
    };
    let text = format!("a,b,c,d,e,class\n{}", body(10, cells));
    assert_eq!(
        error(&text),
        "4 columns cannot be used:\n  \
         data.csv:5: 2 columns: expected a number, got \"NA\"; the columns are \"a\", \"d\"; \
         give --missing NA to treat it as missing in all columns, or --categorical COLUMN to read one of them as categories\n  \
         data.csv:2: 2 columns: expected a plain number, got \"0,5\", a number with a decimal comma; the columns are \"c\", \"e\"; \
         write such numbers as 0.5, or give --categorical COLUMN to read one of them as categories"
    );
}

#[test]
fn row_numbers_in_any_order_are_noted() {
    let text =
        format!("n,m,a,class\n{}", body(60, |row| format!("{},{},{}", row * 7 % 60, row + 1, row / 2)));
    assert_eq!(
        read(&text).unwrap().notes,
        [
            "column \"n\": has a different number in every row; leave it out with --drop n if it is a row number",
            "column \"m\": counts the rows; leave it out with --drop m if it is a row number",
        ]
    );
    let options = CsvOptions::new("class");
    let reference = read_reference(text.as_bytes(), "data.csv", &options).unwrap();
    assert_eq!(reference.row_number_notes(), read(&text).unwrap().notes);
}

#[test]
fn columns_of_a_single_value_are_noted_in_one_line() {
    let cells = |row: usize| {
        let gap = if row == 3 { "" } else { "1" };
        format!("x,,{gap},{}.5,{gap}", row % 3)
    };
    let text = format!("my text,none,gaps,n,code,class\n{}", body(30, cells));
    let options = CsvOptions { categorical: vec!["code".into()], ..CsvOptions::new("class") };
    let notes = read_csv(text.as_bytes(), "d.csv", &options).unwrap().notes;
    // The categorical column `code` is not listed, because its missing values count as a second value.
    assert_eq!(
        notes,
        ["3 columns have a single value, or none, and do not help to distinguish the classes; \
          leave them out with --drop 'my text' --drop none --drop gaps"]
    );
    let names: Vec<String> = (0..22).map(|at| format!("c{at}")).collect();
    let text =
        format!("a,{},class\n{}", names.join(","), body(4, |row| format!("{row}.5{}", ",1".repeat(22))));
    let notes = read(&text).unwrap().notes.concat();
    assert!(notes.starts_with("22 columns have") && notes.ends_with(" --drop c19 and 2 more"), "{notes}");
    let notes = read(&format!("a,b,class\n{}", body(4, |row| format!("{row}.5,1")))).unwrap().notes;
    assert!(notes.concat().starts_with("1 column has a single value, or none, and does not"), "{notes:?}");
}

#[test]
fn the_error_for_a_numeric_target_says_that_regression_is_not_supported() {
    let numeric: String = (0..202).map(|row| format!("{row}.5,{}\n", row / 2)).collect();
    let message = error(&format!("a,class\n{numeric}"));
    assert_eq!(
        message,
        "data.csv: column \"class\": expected at most 100 classes, got 101 different values; \
         the target is numeric: train fits classifiers only, and `inference profile` describes regression models that were trained elsewhere; \
         name a column of classes with --target, or replace the numbers by classes such as low and high"
    );
    let texts = error(&format!("a,class\n{}", numeric.replace(',', ",c")));
    assert!(
        texts.ends_with("values; name a column of classes with --target, or merge the rare classes"),
        "{texts}"
    );
}

#[test]
fn the_error_for_a_class_of_one_row_names_a_remedy() {
    assert_eq!(
        error("a,class\n1,x\n2,x\n3,12\n"),
        "data.csv: column \"class\": class \"12\" has only one row, but a class needs at least two; \
         remove the row or merge the class with another"
    );
    assert_eq!(
        error("a,class\n1,x\n2,x\n3,y\n4,z\n5,w\n"),
        "data.csv: column \"class\": classes \"w\", \"y\", \"z\" have only one row each, but a class needs at least two; \
         remove the rows or merge the classes with another"
    );
}

#[test]
fn a_target_of_fractions_is_numeric_even_if_it_has_few_values() {
    let error = |cells: &[&str]| {
        let rows: String = cells.iter().map(|cell| format!("1,{cell}\n2,{cell}\n")).collect();
        read(&format!("a,class\n{rows}3,7\n")).unwrap_err().to_string()
    };
    assert!(
        error(&["0", "0.25", "1.5", "3"]).contains("column \"class\": the target is numeric: train fits")
    );
    // Integers may be codes of classes.
    assert!(error(&["0", "1", "3"]).contains("class \"7\" has only one row"));
    assert!(error(&["0.5", "low", "mid"]).contains("class \"7\" has only one row"));
}

#[test]
fn notes_on_one_category_use_the_singular() {
    let notes = |cells: fn(usize) -> &'static str| {
        read(&format!("a,class\n{}", body(24, |row| cells(row).to_owned()))).unwrap().notes.concat()
    };
    let note = notes(|row| if row < 23 { "often" } else { "once" });
    assert_eq!(
        note,
        "column \"a\": 1 category has a separate bin; 1 rare one is (fewer than 10 rows, or not among the 64 most frequent) in \
          the bin \"other\""
    );
    let note = notes(|row| ["p", "q", "r", "s", "t", "u"][row % 6]);
    assert_eq!(
        note,
        "column \"a\": 6 categories each have fewer than 5 rows, so the column only shows whether a value is missing; leave it out with --drop a"
    );
}

#[test]
fn a_column_that_begins_with_many_numbers_keeps_all_categories() {
    // 1,500 different numbers, then "A" in most rows and one of the numbers in some.
    let cell = |row: usize| match row {
        0..1500 => row.to_string(),
        1500..1520 => "7".to_owned(),
        _ => "A".to_owned(),
    };
    let read = read(&format!("code,class\n{}", body(4000, cell))).unwrap();
    let categories = read.table.columns[0].categories.clone().unwrap();
    assert_eq!(categories.known, ["7", "A"]);
    assert_eq!(
        read.notes,
        [
            "column \"code\": 2 categories have a separate bin; 1499 rare ones are (fewer than 10 rows, or not among the 64 most frequent) in \
          the bin \"other\""
        ]
    );
    let counts = |code: f64| read.table.values[0].iter().filter(|&&value| value == code).count();
    assert_eq!([counts(0.0), counts(1.0), counts(2.0)], [21, 2480, 1499]);
}

#[test]
fn texts_keep_leading_and_trailing_spaces_if_the_options_say_so() {
    let rows: String =
        (0..60).map(|row| format!("{}, {} ,{}\n", [" a", "a"][row % 2], row % 7, row % 2)).collect();
    let text = format!("letter,number,class\n{rows}");
    let kept = CsvOptions { keep_spaces: true, ..CsvOptions::new("class") };
    let table = read_reference(text.as_bytes(), "data.csv", &kept).unwrap();
    assert_eq!(table.columns[0].categories.as_ref().unwrap().known, [" a", "a"]);
    assert!(table.columns[1].categories.is_none());
    assert_eq!((table.values[0][..3].to_vec(), table.values[1][8]), (vec![0.0, 1.0, 0.0], 1.0));
    let trained = read_csv(text.as_bytes(), "data.csv", &CsvOptions::new("class")).unwrap().table;
    assert_eq!(trained.columns[0].categories.as_ref().unwrap().known, ["a"]);
}
