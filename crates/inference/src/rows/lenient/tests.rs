use super::*;
use model::{CsvOptions, TrainOptions, read_csv, train};
use std::sync::LazyLock;

/// The columns `length` and `colour`, which may be missing, and `wide`, `flag` and `code`, which may not.
static CARD: LazyLock<ModelCard> = LazyLock::new(|| {
    let body: String = (0..80)
        .map(|row| {
            let colour = ["red", "blue", "", "7"][row % 4];
            let length = if row % 8 == 7 { String::new() } else { format!("{row}.5") };
            format!("{length},{colour},{}.25,{},{},{}\n", 80 - row, row % 3 == 0, row % 2 + 1, row / 2 % 2)
        })
        .collect();
    let options = CsvOptions { categorical: vec!["code".into()], ..CsvOptions::new("class") };
    let text = format!("length,colour,wide,flag,code,class\n{body}");
    let table = read_csv(text.as_bytes(), "t", &options).unwrap().table;
    train(&table, &TrainOptions::new("t")).unwrap().card
});

/// A single column of numbers.
static ONE: LazyLock<ModelCard> = LazyLock::new(|| {
    let body: String = (0..60).map(|row| format!("{row},{}\n", row / 30)).collect();
    let table =
        read_csv(format!("x,class\n{body}").as_bytes(), "t", &CsvOptions::new("class")).unwrap().table;
    train(&table, &TrainOptions::new("t")).unwrap().card
});

type Rows = Vec<Vec<Option<f64>>>;

fn outcome(read: Result<ParsedRows, Refusal>) -> Result<Rows, String> {
    read.map(|rows| rows.rows().iter().map(<[_]>::to_vec).collect()).map_err(|refusal| {
        format!("{}: {}: {}", refusal.reason.code(), refusal.field.unwrap_or_default(), refusal.message)
    })
}

fn read(body: &str) -> Result<Rows, String> {
    outcome(json(body.as_bytes(), &CARD, None))
}

fn read_one(body: &str) -> Result<Rows, String> {
    outcome(json(body.as_bytes(), &ONE, None))
}

fn row(length: Option<f64>, colour: Option<f64>, wide: f64, flag: f64, code: f64) -> Vec<Option<f64>> {
    vec![length, colour, Some(wide), Some(flag), Some(code)]
}

/// The columns and their order, which the other tests rely on.
#[test]
fn the_card_has_the_expected_columns() {
    let names: Vec<&str> = CARD.features.iter().map(|feature| feature.name.as_str()).collect();
    assert_eq!(names, ["length", "colour", "wide", "flag", "code"]);
    let may_be_missing: Vec<bool> = CARD.features.iter().map(Feature::may_be_missing).collect();
    assert_eq!(may_be_missing, [true, true, false, false, false]);
}

#[test]
fn rows_are_found_in_every_form() {
    // The categories are in the order "7", "blue", "red"; false, true; 1, 2.
    let first = row(Some(1.5), Some(2.0), 3.25, 1.0, 0.0);
    let second = row(Some(2.5), Some(1.0), 4.25, 0.0, 1.0);
    let both = Ok(vec![first.clone(), second]);
    let lists = r#"[[1.5,"red",3.25,true,1],[2.5,"blue",4.25,false,2]]"#;
    let objects = r#"[{"length":1.5,"colour":"red","wide":3.25,"flag":true,"code":1},
        {"code":2,"flag":false,"wide":4.25,"colour":"blue","length":2.5,"note":"x"}]"#;
    for rows in [lists, objects] {
        assert_eq!(read(rows), both, "{rows}");
        for container in ["instances", "anything", "Inputs"] {
            assert_eq!(read(&format!(r#"{{"{container}":{rows}}}"#)), both, "{container}: {rows}");
        }
        assert_eq!(read(&format!(r#"{{"parameters":{{"a":1}},"x":{rows},"other":[1]}}"#)), both, "{rows}");
        assert_eq!(read(&format!(r#"{{"a":{{"b":{{"c":{{"d":{rows}}}}}}}}}"#)), both, "{rows}");
    }
    let split = r#"{"columns":["wide","length","colour","flag","code"],
        "data":[[3.25,1.5,"red",true,1],[4.25,2.5,"blue",false,2]]}"#;
    let columns =
        r#"{"length":[1.5,2.5],"colour":["red","blue"],"wide":[3.25,4.25],"flag":[true,false],"code":[1,2]}"#;
    let by_number = r#"{"length":{"10":2.5,"9":1.5},"colour":{"9":"red","10":"blue"},"wide":{"9":3.25,"10":4.25},
        "flag":{"9":true,"10":false},"code":{"9":1,"10":2}}"#;
    for rows in [split, columns, by_number] {
        assert_eq!(read(rows), both, "{rows}");
        assert_eq!(read(&format!(r#"{{"data":{rows}}}"#)), both, "{rows}");
    }
    for one in [
        r#"[1.5,"red",3.25,true,1]"#,
        r#"{"features":[1.5,"red",3.25,true,1]}"#,
        r#"{"length":1.5,"colour":"red","wide":3.25,"flag":true,"code":1}"#,
        r#"[[[[1.5,"red",3.25,true,1]]]]"#,
        r#"[{"tensor":[1.5,"red",3.25,true,1]}]"#,
        r#"[{"length":[1.5],"colour":["red"],"wide":[3.25],"flag":[true],"code":[1]}]"#,
    ] {
        assert_eq!(read(one), Ok(vec![first.clone()]), "{one}");
    }
}

/// Seldon sends the names of columns beside rows.
#[test]
fn names_beside_rows_give_the_order_of_their_values() {
    let first = row(Some(1.5), Some(2.0), 3.25, 1.0, 0.0);
    let names = r#""names":["code","flag","wide","colour","length"]"#;
    for body in [
        format!(r#"{{{names},"ndarray":[[1,true,3.25,"red",1.5]]}}"#),
        format!(r#"{{"data":{{{names},"ndarray":[[1,true,3.25,"red",1.5]]}}}}"#),
        format!(r#"{{{names},"ndarray":[1,true,3.25,"red",1.5]}}"#),
        format!(r#"{{{names},"instances":[[1,true,3.25,"red",1.5]]}}"#),
        // Rows with names of their own, and names that only count the columns.
        format!(
            r#"{{{names},"ndarray":[{{"length":1.5,"colour":"red","wide":3.25,"flag":true,"code":1}}]}}"#
        ),
        r#"{"names":["t:0","t:1","t:2","t:3","t:4"],"ndarray":[[1.5,"red",3.25,true,1]]}"#.to_owned(),
    ] {
        assert_eq!(read(&body), Ok(vec![first.clone()]), "{body}");
    }
    let few = r#"{"names":["wide","flag","code"],"ndarray":[[3.25,true,1],[4,false,2]]}"#;
    assert_eq!(read(few), Ok(vec![row(None, None, 3.25, 1.0, 0.0), row(None, None, 4.0, 0.0, 1.0)]));
    let unknown = read(r#"{"names":["wide","flag","cod"],"ndarray":[[3.25,true,1]]}"#).unwrap_err();
    assert!(unknown.starts_with("missing_feature: names: \"code\" is missing"), "{unknown}");
    // The field that the profile names contains the rows.
    let two = br#"{"names":["x"],"ndarray":[[9]],"features":[[1],[2]]}"#;
    assert_eq!(outcome(json(two, &ONE, Some("features"))), Ok(vec![vec![Some(1.0)], vec![Some(2.0)]]));
    assert!(outcome(json(two, &ONE, None)).unwrap_err().starts_with("duplicate_field"));
}

#[test]
fn lists_of_a_single_column_are_rows() {
    let expected = Ok(vec![vec![Some(1.0)], vec![Some(2.0)]]);
    for body in [r"[1,2]", r"[[1],[2]]", r"[[[1]],[[2]]]", r#"{"x":[1,2]}"#, r#"[{"x":1},{"x":2}]"#] {
        assert_eq!(read_one(body), expected, "{body}");
    }
    assert_eq!(read_one("[[[[[[1]]]]]]"), Ok(vec![vec![Some(1.0)]]));
    // Of two columns, a number is not a row.
    assert!(
        read("[1,[1.5,\"red\",3.25,true,1]]").unwrap_err().starts_with("missing_field: [0]: found neither")
    );
}

#[test]
fn values_of_another_type_are_converted_if_they_are_certain() {
    let values = |row: &str| read(&format!("[{row}]")).map(|rows| rows[0].clone());
    // Numbers as texts, spaces included; booleans as numbers; NaN and an empty text are missing.
    assert_eq!(values(r#"[" 1.5 ","red","3.25","true","1"]"#), Ok(row(Some(1.5), Some(2.0), 3.25, 1.0, 0.0)));
    assert_eq!(values(r#"[true,"red",false,1,2]"#), Ok(row(Some(1.0), Some(2.0), 0.0, 1.0, 1.0)));
    assert_eq!(values(r#"["nan","red",3.25,0,1.0]"#), Ok(row(None, Some(2.0), 3.25, 0.0, 0.0)));
    assert_eq!(values(r#"["  ",null,3.25,1.0,2]"#), Ok(row(None, None, 3.25, 1.0, 1.0)));
    // A number stands for a text, and a category that is not known is `other`.
    assert_eq!(values(r#"[1,7,3.25,true,3]"#), Ok(row(Some(1.0), Some(0.0), 3.25, 1.0, 2.0)));
    assert_eq!(values(r#"[1,7.5,3.25,true,1]"#), Ok(row(Some(1.0), Some(3.0), 3.25, 1.0, 0.0)));
    for (row, field) in [
        (r#"["inf","red",3.25,true,1]"#, "[0][0]"),
        (r#"["x","red",3.25,true,1]"#, "[0][0]"),
        (r#"[1,true,3.25,true,1]"#, "[0][1]"),
        (r#"[1,"red",3.25,2,1]"#, "[0][3]"),
        (r#"[1,"red",3.25,true,true]"#, "[0][4]"),
        (r#"[1,"red",[1,2],true,1]"#, "[0][2]"),
        (r#"[1,"red",{"a":1},true,1]"#, "[0][2]"),
    ] {
        let refused = values(row).unwrap_err();
        assert!(refused.contains(&format!(": {field}: ")), "{row}: {refused}");
    }
}

#[test]
fn nan_outside_of_strings_is_missing() {
    assert_eq!(read(r#"[[NaN,"red",3.25,true,1]]"#), Ok(vec![row(None, Some(2.0), 3.25, 1.0, 0.0)]));
    assert_eq!(
        read(r#"[[NaN,"NaN \" NaN",3.25,true,1],[1,NaN,3.25,true,1]]"#),
        Ok(vec![row(None, Some(3.0), 3.25, 1.0, 0.0), row(Some(1.0), None, 3.25, 1.0, 0.0)])
    );
    let text = |body: &str| with_null_for_nan(body.as_bytes()).map(|text| String::from_utf8(text).unwrap());
    assert_eq!(text(r#"[1,"a"]"#), None);
    assert_eq!(text(r#"["NaN",NaN,"\"NaN","\\",NaN]"#).unwrap(), r#"["NaN",null,"\"NaN","\\",null]"#);
    assert_eq!(text("[NaN,NaT,N"), Some("[null,NaT,N".into()));
    // The error is about the body as it was sent.
    assert!(read("[[NaN,Infinity,1]]").unwrap_err().starts_with("malformed_json"));
    assert_eq!(read("\u{feff}[[1,\"red\",3.25,true,1]]").unwrap().len(), 1);
}

#[test]
fn names_that_are_absent_are_missing_if_they_may_be() {
    let rest = r#""wide":3.25,"flag":true,"code":1"#;
    let expected = Ok(vec![row(None, None, 3.25, 1.0, 0.0)]);
    for body in [
        format!("{{{rest}}}"),
        format!("[{{{rest}}}]"),
        r#"{"wide":[3.25],"flag":[true],"code":[1]}"#.to_owned(),
        r#"{"columns":["wide","flag","code"],"data":[[3.25,true,1]]}"#.to_owned(),
    ] {
        assert_eq!(read(&body), expected, "{body}");
    }
    // A name that is not known may be meant for the absent one.
    let renamed = read(&format!(r#"{{"colour":"red","lenght":1.5,{rest}}}"#)).unwrap_err();
    assert!(renamed.starts_with("missing_feature: body: \"length\" is missing"), "{renamed}");
    assert!(renamed.contains("\"lenght\" is unknown"), "{renamed}");
    // Of several absent features, the one that may not be missing is named.
    let needed = read(r#"[{"wide":1,"flag":true}]"#).unwrap_err();
    assert!(needed.starts_with("missing_feature: [0]: \"code\" is missing"), "{needed}");
    assert!(!needed.contains("unknown"), "{needed}");
}

#[test]
fn refusals_name_the_place() {
    let five = "[1,\"red\",3.25,true,1]";
    for (body, expected) in [
        ("[]", "empty_batch: body: the list has no rows"),
        (r#"{"rows":[]}"#, "empty_batch: rows: the list has no rows"),
        (r#"{"columns":["wide","flag","code"],"data":[]}"#, "empty_batch: : the body has no rows"),
        ("7", "missing_field: body: found neither"),
        ("{}", "missing_field: body: found neither"),
        (r#"{"a":{"b":7}}"#, "missing_field: a: found neither"),
        (
            &format!(r#"{{"a":{{"b":{{"c":{{"d":{{"e":[{five}]}}}}}}}}}}"#),
            "missing_field: a.b.c.d: found neither",
        ),
        ("[[1,2]]", "wrong_feature_count: [0]: expected 5 values, one per column, got 2"),
        (&format!("[{five},[1]]"), "wrong_feature_count: [1]: expected 5"),
        (
            r#"{"data":[[1,2]],"columns":["wide","flag","code"]}"#,
            "wrong_feature_count: data[0]: expected a list of 3",
        ),
        (
            r#"{"wide":[1,2],"flag":[true],"code":[1,1]}"#,
            "wrong_shape: flag: has 1 values, but \"wide\" has 2",
        ),
        (r#"{"p":[[1]],"q":[[2]]}"#, "duplicate_field: p: the rows may be in \"p\" or \"q\""),
        (r#"{"rows":[[1]],"data":[[2]]}"#, "duplicate_field: "),
    ] {
        let refused = read(body).unwrap_err();
        assert!(refused.starts_with(expected), "{body}: {refused}");
    }
    let other_names = read(r#"{"a":1,"b":2,"c":3,"d":4,"e":5}"#).unwrap_err();
    assert!(other_names.contains("such as \"a\""), "{other_names}");
    assert!(!read(r#"{"a":1,"b":2,"c":3,"d":4}"#).unwrap_err().contains("such as"));
    assert_eq!(outcome(json(br#"{"p":[[1]],"q":[[2],[3]]}"#, &ONE, Some("q"))).unwrap().len(), 2);
}

#[test]
fn tables_are_read_by_their_header() {
    let read = |body: &str| outcome(csv(body.as_bytes(), &CARD));
    let expected = Ok(vec![row(Some(1.5), Some(2.0), 3.25, 1.0, 0.0), row(None, None, 4.25, 0.0, 1.0)]);
    assert_eq!(
        read("code, wide ,flag,colour,length,id\n1,3.25,true,red,1.5,a\n2,4.25,false,NaN,,b\n"),
        expected
    );
    assert!(read("wide,flag,code\n").unwrap_err().starts_with("empty_batch"));
    assert!(read("wide,flag\n1,true\n").unwrap_err().starts_with("missing_feature: the header: \"code\""));
    assert!(read("wide,flag,code\n1,true\n").unwrap_err().starts_with("malformed_request"));
    let text = read("wide,flag,code\n1,true,1\nx,true,1\n").unwrap_err();
    assert!(text.contains(": row 2, column \"wide\": "), "{text}");
}
