use super::*;
use crate::rows::ParsedRows;
use model::{CsvOptions, TrainOptions, read_csv, train};
use std::sync::LazyLock;

/// Columns of numbers, `a` and `b`. `b` may be missing.
static CARD: LazyLock<ModelCard> = LazyLock::new(|| {
    let b = |row: usize| if row % 6 == 5 { String::new() } else { row.to_string() };
    let body: String = (0..60).map(|row| format!("{row},{},{}\n", b(60 - row), row / 30)).collect();
    let table =
        read_csv(format!("a,b,class\n{body}").as_bytes(), "t", &CsvOptions::new("class")).unwrap().table;
    train(&table, &TrainOptions::new("t")).unwrap().card
});

fn outcome(read: Result<ParsedRows, Refusal>) -> Result<Vec<Vec<Option<f64>>>, String> {
    read.map(|rows| rows.rows().iter().map(<[_]>::to_vec).collect()).map_err(|refusal| {
        format!("{}: {}: {}", refusal.reason.code(), refusal.field.unwrap_or_default(), refusal.message)
    })
}

#[test]
fn the_four_forms_of_a_data_frame_give_the_same_rows() {
    let expected = Ok(vec![vec![Some(1.0), Some(2.0)], vec![Some(3.0), None]]);
    for body in [
        r#"{"dataframe_split":{"columns":["b","a"],"data":[[2,1],[null,3]],"index":[0,1]}}"#,
        r#"{"dataframe_records":[{"a":1,"b":2},{"a":3}],"params":{"x":1}}"#,
        r#"{"instances":[{"a":1,"b":2},{"a":3,"b":null}]}"#,
        r#"{"instances":[[1,2],[3,null]]}"#,
        r#"{"inputs":{"b":[2,null],"a":[1,3]}}"#,
        r#"{"inputs":[[1,2],[3,null]]}"#,
    ] {
        assert_eq!(outcome(dataframe(body.as_bytes(), &CARD)), expected, "{body}");
    }
    let without = r#"{"inputs":{"a":[1,3]}}"#;
    assert_eq!(
        outcome(dataframe(without.as_bytes(), &CARD)),
        Ok(vec![vec![Some(1.0), None], vec![Some(3.0), None]])
    );
}

#[test]
fn refusals_of_data_frames_name_the_place() {
    for (body, expected) in [
        ("{}", "missing_field: dataframe_split: expected exactly one of"),
        (
            r#"{"inputs":[[1,2]],"instances":[[1,2]]}"#,
            "missing_field: dataframe_split: expected exactly one of",
        ),
        (r#"{"inputs":{"b":[1]}}"#, "missing_feature: inputs: \"a\" is missing"),
        (r#"{"inputs":{"a":[1],"c":[1]}}"#, "unknown_feature: inputs: unknown feature \"c\""),
        (r#"{"inputs":{"a":[1,2],"b":[1]}}"#, "wrong_shape: inputs.b: has 1 values, but \"a\" has 2"),
        (r#"{"inputs":{"a":[]}}"#, "empty_batch: inputs: \"inputs\" has no rows"),
        (r#"{"inputs":{"a":["x"],"b":[1]}}"#, "not_a_number: inputs.a[0]: "),
        (r#"{"dataframe_split":{"columns":["a","a"],"data":[[1,2]]}}"#, "duplicate_field: "),
        (r#"{"dataframe_split":{"columns":["a","b"],"data":[]}}"#, "empty_batch: "),
    ] {
        let refused = outcome(dataframe(body.as_bytes(), &CARD)).unwrap_err();
        assert!(refused.starts_with(expected), "{body}: {refused}");
    }
}

#[test]
fn instances_are_rows() {
    let read = |body: &str| outcome(instances(body.as_bytes(), &CARD));
    assert_eq!(read(r#"{"instances":[[1,2]],"signature_name":"s"}"#), Ok(vec![vec![Some(1.0), Some(2.0)]]));
    assert!(read("{}").unwrap_err().starts_with("missing_field: instances: \"instances\" is missing"));
    assert!(read(r#"{"instances":[[1]]}"#).unwrap_err().starts_with("wrong_feature_count: "));
}
