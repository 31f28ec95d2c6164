//! Whole files.

use super::*;

fn read(text: &str) -> Result<CsvTable, CsvError> {
    read_csv(text.as_bytes(), "data.csv", &CsvOptions::new("class"))
}

fn error(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn reads_numbers_classes_and_gaps() {
    let text = "\u{feff}a, class ,b\n1,x,2.5\n3e1,y,\n5,x,6\n7,y,8\n";
    let table = read(text).unwrap().table;
    assert_eq!(table.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(table.row(1), [Some(30.0), None]);
    assert_eq!(table.labels, [0, 1, 0, 1]);
}

#[test]
fn integer_classes_are_numbered_by_value() {
    let text = "a,class\n1,10\n2,9\n3,10\n4,9\n";
    assert_eq!(read(text).unwrap().table.classes, ["9", "10"]);
}

#[test]
fn names_file_line_and_column_of_every_fault() {
    let cases = [
        ("", "data.csv:1: the file is empty"),
        ("a,class\n", "data.csv:1: there is a header but no rows"),
        ("a,b\n1,2\n", "data.csv:1: no column \"class\" to predict; the columns are a, b"),
        ("class\nx\n", "data.csv:1: column \"class\" is the only one"),
        ("a;class\n1;x\n", "data.csv:1: one column, \"a;class\": give --separator ';'"),
        ("a,a,class\n1,2,x\n", "data.csv:1: column 2 (\"a\") has the name of an earlier column"),
        ("a,,class\n1,2,x\n", "data.csv:1: column 2 (\"\") has no name"),
        ("a,class\n1,x\n2,y,3\n", "data.csv:3: 3 fields, but the header has 2"),
        ("a,class\n1,x\n2,x\nblue,y\n", "data.csv:4: column \"a\": expected a number, got \"blue\" (1 of 3"),
        ("a,class\r\n1,x\r\n\r\n2,x\r\nblue,y\r\n", "data.csv:5: column \"a\": expected a number, got"),
        ("a,class\n1,x\n\n\n2,y,3\n", "data.csv:5: 3 fields, but the header has 2"),
        ("a,class\n1,x\n2,x\nNaN,y\n", "data.csv:4: column \"a\": expected a number, got \"NaN\""),
        ("a,class\n1,x\n2,x\n-1e200,y\n", "data.csv:4: column \"a\": expected a number, got \"-1e200\""),
        ("a,class\n1,x\n2,x\n1e999,y\n", "data.csv:4: column \"a\": expected a number, got \"1e999\""),
        ("a,class\n1,x\n2,\n", "data.csv:3: column \"class\": the class is missing"),
        ("a,class\n1,x\n2,x\n", "data.csv: column \"class\": every row is \"x\""),
        ("a\\b,class\n1,x\n", "data.csv:1: column 1 (\"a\\\\b\") has a control character or a backslash"),
        ("a,class\n1,x\\y\n2,x\\y\n3,z\n4,z\n", "data.csv: column \"class\": class \"x\\\\y\" has a control"),
        ("a,class\n1,x\n2,x\n3,y\n", "data.csv: column \"class\": class \"y\" has a single row"),
    ];
    for (text, expected) in cases {
        let got = error(text);
        assert!(got.starts_with(expected), "{text:?}\n  gave {got}");
    }
    let unclosed = format!("a,class\n1,x\n\"2,y\n{}", "3,x\n".repeat(300_000));
    assert!(error(&unclosed).len() < 200, "{} bytes", error(&unclosed).len());
    let many: String = (0..202).map(|i| format!("{i},c{}\n", i / 2)).collect();
    assert!(error(&format!("a,class\n{many}")).contains("at most 100 classes"));
    let invalid =
        read_csv(&b"a,class\n1,x\n\xff,y\n"[..], "data.csv", &CsvOptions::new("class")).unwrap_err();
    assert!(invalid.to_string().starts_with("data.csv:3: the row is not UTF-8; save the file"), "{invalid}");
    let invalid = read_csv(&b"\xe9,class\n1,x\n"[..], "data.csv", &CsvOptions::new("class")).unwrap_err();
    assert!(
        invalid.to_string().starts_with("data.csv:1: the header is not UTF-8; save the file"),
        "{invalid}"
    );
}

#[test]
fn columns_of_text_are_categories_and_rare_ones_are_counted_together() {
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
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let expected = Categories { known: names(&["Oslo", "Rome"]), rare: names(&["Bonn", "Lima"]) };
    assert_eq!(city.categories, Some(expected));
    assert_eq!(flag.categories.as_ref().unwrap().known, ["false", "true"]);
    let row = |row: usize| read.table.row(row)[1..].to_vec();
    assert_eq!(
        [0, 40, 70, 77, 79].map(row),
        [
            [Some(1.0), Some(1.0)].to_vec(),
            [Some(0.0), Some(1.0)].to_vec(),
            [Some(2.0), Some(1.0)].to_vec(),
            [None, Some(0.0)].to_vec(),
            [Some(2.0), Some(0.0)].to_vec(),
        ]
    );
    assert!(
        read.notes.iter().any(|note| note.contains("2 categories are counted one by one; 2 others")),
        "{:?}",
        read.notes
    );
}

#[test]
fn all_columns_that_do_not_fit_are_named_at_once() {
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
    assert!(message.starts_with("3 columns do not fit:\n"), "{message}");
    for part in [
        "data.csv:2: column \"id\": 40 of 40 values differ",
        "data.csv:2: column \"day\": \"2024-01-01\" looks like a date",
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
fn options_that_name_no_column_or_contradict_are_refused() {
    type Change = fn(&mut CsvOptions);
    let text = "a,b,class\n1,2,x\n3,4,y\n";
    let refused = |change: Change| {
        let mut options = CsvOptions::new("class");
        change(&mut options);
        read_csv(text.as_bytes(), "d", &options).unwrap_err().to_string()
    };
    let cases: [(Change, &str); 6] = [
        (|o| o.numeric.push("z".into()), "d:1: --numeric: no column \"z\"; the columns are a, b, class"),
        (|o| o.drop.push("class".into()), "d:1: --drop: \"class\" is the target"),
        (|o| o.categorical.push("class".into()), "d:1: --categorical: \"class\" is the target"),
        (|o| o.drop.extend(["a".into(), "b".into()]), "d:1: column \"class\" is the only one"),
        (
            |o| {
                o.numeric.push("a".into());
                o.categorical.push("a".into());
            },
            "d:1: --numeric and --categorical both name \"a\"",
        ),
        (|o| o.missing.push("x".into()), "d:2: column \"class\": the class is missing"),
    ];
    for (change, expected) in cases {
        let error = refused(change);
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn other_separators_are_read() {
    let options = CsvOptions { separator: b';', ..CsvOptions::new("class") };
    let table = read_csv(&b"a;class\n1;x\n2;x\n3;y\n4;y\n"[..], "d", &options).unwrap().table;
    assert_eq!(table.values, [[1.0, 2.0, 3.0, 4.0]]);
}

#[test]
fn the_most_frequent_of_the_rare_categories_are_kept_as_examples() {
    // Two categories of 10 rows, then 9 to 3 rows of seven others.
    let rows = [("p", 10), ("q", 10), ("i", 9), ("h", 8), ("g", 7), ("f", 6), ("e", 5), ("d", 4), ("c", 3)];
    let cells = rows.iter().flat_map(|&(name, count)| std::iter::repeat_n(name, count));
    let body: String = cells.enumerate().map(|(row, name)| format!("{name},{}\n", row % 2)).collect();
    let read = read(&format!("letter,class\n{body}")).unwrap();
    let categories = read.table.columns[0].categories.clone().unwrap();
    assert_eq!((categories.known.concat(), categories.rare.concat()), ("pq".into(), "ihgfe".into()));
    assert_eq!(
        read.notes,
        ["column \"letter\": 2 categories are counted one by one; 7 others, rare or beyond 64, together"]
    );
}

#[test]
fn at_most_64_categories_are_counted_one_by_one() {
    let cells = (0..66).flat_map(|at| std::iter::repeat_n(at, if at == 65 { 11 } else { 10 }));
    let body: String = cells.enumerate().map(|(row, at)| format!("n{at:02},{}\n", row % 2)).collect();
    let table = read(&format!("n,class\n{body}")).unwrap().table;
    let categories = table.columns[0].categories.clone().unwrap();
    // The most frequent first, then by name; the last two by name have no place.
    assert_eq!((categories.known.len(), categories.known[63].as_str()), (64, "n65"));
    assert_eq!(categories.rare, ["n63", "n64"]);
}

#[test]
fn classes_with_outer_spaces_are_counted() {
    let notes = |text: &str| read(text).unwrap().notes.join("; ");
    assert_eq!(notes("a,class\n1.5,x\n2,x\n3,y\n4,y\n"), "");
    assert_eq!(
        notes("a,class\n1.5, x\n2,x\n3,y \n4, y \n"),
        "column \"class\": 3 classes have outer spaces, which are left out"
    );
}
