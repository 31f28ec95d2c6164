use super::*;
use model::{TrainOptions, Values, iris, train};
use proptest::prelude::*;
use std::sync::LazyLock;

static CARD: LazyLock<ModelCard> =
    LazyLock::new(|| train(&iris::table(), &TrainOptions::new("iris")).unwrap().card);

fn parse(body: &str) -> Result<ParsedRows, (&'static str, String)> {
    ParsedRows::parse(body.as_bytes(), &CARD)
        .and_then(|rows| rows.complete(&CARD))
        .map(|rows| rows.0)
        .map_err(|error| (error.reason.code(), error.field.unwrap_or_default()))
}

#[test]
fn listed_and_named_values_give_the_same_rows() {
    let values = [5.1, 3.5, 1.4, 0.2].map(Some).to_vec();
    let expected = |form| ParsedRows { values: values.clone(), features: 4, others: Vec::new(), form };
    assert_eq!(parse(r#"{"features":[5.1,3.5,1.4,0.2]}"#), Ok(expected(Form::One)));
    let named = r#"{"petal_width":0.2,"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4}"#;
    assert_eq!(parse(&format!(r#"{{"features":{named}}}"#)), Ok(expected(Form::One)));
    assert_eq!(parse(&format!(r#"{{"instances":[{named}]}}"#)), Ok(expected(Form::List("instances"))));
}

#[test]
fn errors_of_invalid_bodies_have_a_code_and_a_field() {
    let cases = [
        ("", "malformed_json", ""),
        ("{", "malformed_json", ""),
        (r#"{"features":[NaN,1,2,3]}"#, "malformed_json", ""),
        (r#"{"features":[1,2,3,4]} x"#, "malformed_json", ""),
        (r#"{"features":[1e999,1,2,3]}"#, "number_out_of_range", ""),
        ("[1,2,3,4]", "wrong_type", ""),
        ("null", "wrong_type", ""),
        ("{}", "missing_field", "features"),
        (r#"{"feature":[1,2,3,4]}"#, "unknown_field", "feature"),
        (r#"{"features":[1,2,3,4],"features":[1,2,3,4]}"#, "duplicate_field", "features"),
        (r#"{"features":[1,2,3,4],"instances":[]}"#, "duplicate_field", "instances"),
        (r#"{"features":"1,2,3,4"}"#, "wrong_type", "features"),
        (r#"{"features":null}"#, "wrong_type", "features"),
        (r#"{"features":[1,2]}"#, "wrong_feature_count", "features"),
        (r#"{"features":[]}"#, "wrong_feature_count", "features"),
        (r#"{"features":[1,"2",3,4]}"#, "not_a_number", "features[1]"),
        (r#"{"features":[1,2,true,4]}"#, "not_a_number", "features[2]"),
        (r#"{"features":[1,2,[3],4]}"#, "not_a_number", "features[2]"),
        (r#"{"features":[1,2,3,{"a":1}]}"#, "not_a_number", "features[3]"),
        (r#"{"features":[1,null,3,4]}"#, "missing_value", "features.sepal_width"),
        (r#"{"features":{"sepal_length":1}}"#, "missing_feature", "features.sepal_width"),
        (r#"{"features":{"sepal":1}}"#, "unknown_feature", "features.sepal"),
        (r#"{"features":{"sepal_length":1,"sepal_length":2}}"#, "duplicate_field", "features.sepal_length"),
        (r#"{"features":{"sepal_length":"long"}}"#, "not_a_number", "features.sepal_length"),
        (r#"{"instances":[]}"#, "empty_batch", "instances"),
        (r#"{"instances":{}}"#, "wrong_type", "instances"),
        (r#"{"instances":[[1,2,3,4],[1,2,3]]}"#, "wrong_feature_count", "instances[1]"),
        (r#"{"instances":[[1,2,3,4],7]}"#, "wrong_type", "instances[1]"),
        (r#"{"instances":[[1,2,3,4],[1,2,"x",4]]}"#, "not_a_number", "instances[1][2]"),
    ];
    for (body, code, field) in cases {
        assert_eq!(parse(body), Err((code, field.to_owned())), "{body}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(parse(&deep).unwrap_err().0, "malformed_json");
    assert_eq!(parse(&format!(r#"{{"features":[1,2,3,{deep}"#)).unwrap_err().0, "malformed_json");
}

#[test]
fn named_values_may_lack_a_feature_with_missing_values_in_the_reference() {
    let mut card = CARD.clone();
    card.features[1].missing_ratio = 0.1;
    let parse = |body: &str| {
        ParsedRows::parse(body.as_bytes(), &card)
            .and_then(|rows| rows.complete(&card))
            .map(|rows| rows.rows()[0].to_vec())
    };
    let row = parse(r#"{"features":{"sepal_length":5.1,"petal_length":1.4,"petal_width":0.2}}"#).unwrap();
    assert_eq!(row, [Some(5.1), None, Some(1.4), Some(0.2)]);
    let cases = [
        (r#"{"features":{"sepal_length":5.1,"petal_length":1.4}}"#, "missing_feature"),
        (
            r#"{"features":{"sepal_length":5.1,"sepal_widht":3.5,"petal_length":1.4,"petal_width":0.2}}"#,
            "unknown_feature",
        ),
        (r#"{"features":[5.1,1.4,0.2]}"#, "wrong_feature_count"),
    ];
    for (body, code) in cases {
        assert_eq!(parse(body).unwrap_err().reason.code(), code, "{body}");
    }
}

#[test]
fn the_error_for_nan_in_json_says_to_send_null() {
    let message = |body: &str| ParsedRows::parse(body.as_bytes(), &CARD).unwrap_err().message;
    for body in [
        r#"{"features":[NaN,1,2,3]}"#,
        r#"{"features": [5.1, NaN, 2, 3]}"#,
        r#"{"features":[1,Infinity,2,3]}"#,
        r#"{"features":[1,-Infinity,2,3]}"#,
        "{\n \"instances\": [[1, 2, 3, 4],\n  [1, NaN, 3, 4]]}",
        r#"{"features":{"sepal_length":NaN}}"#,
    ] {
        assert!(message(body).contains("send null"), "{body}: {}", message(body));
    }
    for body in [r#"{"features":[nil]}"#, r#"{"NaN":1,}"#, "{"] {
        assert!(!message(body).contains("send null"), "{body}: {}", message(body));
    }
}

fn message(body: &str) -> String {
    ParsedRows::parse(body.as_bytes(), &CARD).unwrap_err().message
}

#[test]
fn messages_name_the_kind_of_value() {
    let kinds = [
        ("null", "null"),
        ("true", "a boolean"),
        ("-1", "a number"),
        ("1.5", "a number"),
        ("7", "a number"),
        ("\"x\"", "a string"),
        ("[]", "a list"),
        ("[[1], {}]", "a list"),
        ("{\"a\": [1]}", "an object"),
    ];
    for (value, kind) in kinds {
        let ends_with = |body: &str, wanted: &str| {
            let message = message(body);
            assert!(message.ends_with(&format!("{wanted}, got {kind}")), "{body}: {message}");
        };
        if kind != "an object" {
            ends_with(value, "the body must be an object");
        }
        if kind != "a list" {
            ends_with(&format!(r#"{{"instances":{value}}}"#), "\"instances\" must be a list of rows");
        }
        if !["a list", "an object"].contains(&kind) {
            let place = format!(r#"{{"instances":[[1,2,3,4],{value}]}}"#);
            ends_with(&place, "a row must be a list of values or an object of named values");
        }
        if !["null", "a number"].contains(&kind) {
            ends_with(&format!(r#"{{"features":[1,2,{value},4]}}"#), "must be a number");
        }
    }
}

#[test]
fn long_names_are_shortened_in_messages() {
    let (fits, long) = ("ä".repeat(80), "ä".repeat(81));
    assert!(message(&format!(r#"{{"{fits}":1}}"#)).contains(&format!("{fits:?}")));
    let cut = format!("\"{fits}…\"");
    assert!(message(&format!(r#"{{"{long}":1}}"#)).contains(&cut));
    assert!(message(&format!(r#"{{"features":{{"{long}":1}}}}"#)).contains(&cut));
}

#[test]
fn the_error_for_several_faults_names_the_first() {
    assert!(message(r#"{"a":1,"b":2,"features":[1,2,3,4]}"#).contains("unknown field \"a\""));
    let twice = r#"{"features":[1,2,3,4],"instances":[],"features":[1,2,3,4],"instances":[]}"#;
    assert!(message(twice).starts_with("\"features\" is given twice"));
    assert_eq!(message(" \n "), "expected a JSON object, got an empty body");
    assert!(message(r#"{"features":[1,2]}"#).contains("expected 4 features, got 2"));
}

#[test]
fn a_body_without_rows_is_answered_with_an_example() {
    let example = example(&CARD);
    assert!(message("{}").ends_with(&example));
    // The means are near those in UCI's iris.names, which are of slightly different rows.
    let parsed = ParsedRows::parse(example.as_bytes(), &CARD).unwrap();
    for (value, mean) in parsed.rows()[0].iter().zip([5.84, 3.05, 3.76, 1.20]) {
        assert!((value.unwrap() - mean).abs() < 0.15, "{example}");
    }
    assert_eq!(example.len(), "{\"features\":[5.8,3.1,3.8,1.2]}".len(), "the data have one decimal");
    // Large means are no integers in the example, which would be refused.
    let mut card = CARD.clone();
    if let Values::Numeric(numeric) = &mut card.features[0].values {
        (numeric.mean, numeric.decimals) = (1.25e17, Some(0));
    }
    let example = super::example(&card);
    assert_eq!(
        ParsedRows::parse(example.as_bytes(), &card).unwrap().rows()[0][0],
        Some(1.25e17),
        "{example}"
    );
}

#[test]
fn the_place_of_a_row_is_its_path_in_the_request() {
    let rows = |body: &str| ParsedRows::parse(body.as_bytes(), &CARD).unwrap().complete(&CARD).unwrap();
    let one = rows(r#"{"features":[1,2,3,4]}"#);
    assert_eq!((one.is_batch(), one.place(0), one.rows().len()), (false, "features".to_owned(), 1));
    let two = rows(r#"{"instances":[[1,2,3,4],[5,6,7,8]]}"#);
    assert_eq!((two.is_batch(), two.place(1)), (true, "instances[1]".to_owned()));
    assert_eq!(two.rows()[1], [5.0, 6.0, 7.0, 8.0].map(Some));
    let named = r#"{"sepal_length":9,"sepal_width":10,"petal_length":11,"petal_width":12}"#;
    let mixed = rows(&format!(r#"{{"instances":[[1,2,3,4],{named},[5,6,7,8]]}}"#));
    assert!(
        mixed
            .rows()
            .iter()
            .eq([[1.0, 2.0, 3.0, 4.0], [9.0, 10.0, 11.0, 12.0], [5.0, 6.0, 7.0, 8.0]]
                .map(|row| row.map(Some)))
    );
}

#[test]
fn categories_are_read_as_the_reference_writes_them() {
    let body: String = (0..60)
        .map(|row| format!("{},{},{},{}\n", ["a", "b"][row % 2], row % 3 == 0, row % 2 + 1, row % 2))
        .collect();
    let text = format!("letter,flag,code,class\n{body}");
    let options = model::CsvOptions { categorical: vec!["code".into()], ..model::CsvOptions::new("class") };
    let table = model::read_csv(text.as_bytes(), "t", &options).unwrap().table;
    let card = train(&table, &TrainOptions::new("t")).unwrap().card;
    let parse = |row: &str| {
        ParsedRows::parse(format!(r#"{{"features":{row}}}"#).as_bytes(), &card)
            .map(|rows| rows.rows()[0].to_vec())
            .map_err(|refusal| (refusal.reason.code(), refusal.message))
    };
    assert_eq!(parse(r#"["b",true,2]"#), Ok([1.0, 1.0, 1.0].map(Some).to_vec()));
    // A category that is not in the reference is `other`.
    assert_eq!(parse(r#"["z",false,3]"#), Ok([2.0, 0.0, 2.0].map(Some).to_vec()));
    assert_eq!(parse(r#"[null,"true","1"]"#), Ok(vec![None, Some(1.0), Some(0.0)]));
    let mixed =
        r#"{"instances":[[null,null,2],["b",true,2],{"code":1,"flag":false,"letter":"a"},[null,null,1]]}"#;
    let mixed = ParsedRows::parse(mixed.as_bytes(), &card).unwrap();
    let expected = [[None, None, Some(1.0)], [Some(1.0); 3], [Some(0.0); 3], [None, None, Some(0.0)]];
    assert!(mixed.rows().iter().eq(expected), "{mixed:?}");
    let refused = |row: &str, example: &str, kind: &str| {
        let expected = format!("must be a category such as {example}, got {kind}");
        assert_eq!(parse(row), Err(("not_a_category", expected)), "{row}");
    };
    refused(r#"[1,true,1]"#, "\"a\"", "a number");
    refused(r#"[true,true,1]"#, "\"a\"", "a boolean");
    refused(r#"["a",1,1]"#, "false", "a number");
    refused(r#"["a",true,false]"#, "1", "a boolean");
    refused(r#"["a",true,[1]]"#, "1", "a list");
    // A code that would be rounded may be that of another category.
    assert_eq!(parse(r#"["a",true,9007199254740993]"#).unwrap_err().0, "number_out_of_range");
    assert_eq!(parse(r#"["a",true,"9007199254740993"]"#).unwrap()[2], Some(2.0));
}

/// A model may have categories that its card does not list, so their texts are kept with their features.
#[test]
fn texts_of_unlisted_categories_stay_with_their_features() {
    let body: String = (0..60)
        .map(|row| format!("{},{},{}\n", ["a", "b"][row % 2], ["c", "d"][row / 2 % 2], row % 2))
        .collect();
    let text = format!("one,two,class\n{body}");
    let table = model::read_csv(text.as_bytes(), "t", &model::CsvOptions::new("class")).unwrap().table;
    let mut card = train(&table, &TrainOptions::new("t")).unwrap().card;
    let others_of = |row: &str, card: &ModelCard| {
        let body = format!(r#"{{"instances":[{row}]}}"#);
        ParsedRows::parse(body.as_bytes(), card).unwrap().others.len()
    };
    assert_eq!(others_of(r#"["x","y"]"#, &card), 0, "the built-in model does not use the texts");
    card.training.alpha = None;
    let others = |row: &str| {
        let body = format!(r#"{{"instances":[["a","c"],{row}]}}"#);
        let rows = ParsedRows::parse(body.as_bytes(), &card).unwrap().complete(&card).unwrap();
        [0, 1].map(|feature| rows.batch().other(1, feature).map(str::to_owned))
    };
    let both = [Some("x".to_owned()), Some("y".to_owned())];
    assert_eq!(others(r#"["x","y"]"#), both);
    assert_eq!(others(r#"["b"," y "]"#), [None, Some(" y ".to_owned())]);
    assert_eq!(others(r#"{"one":"x","two":"y"}"#), both);
    assert_eq!(others(r#"{"two":"y","one":"x"}"#), both);
    assert_eq!(others(r#"{"two":"y","one":"b"}"#), [None, Some("y".to_owned())]);
}

/// A model made elsewhere treats a known category with a space as an unknown one, so it has to be counted as `other`.
#[test]
fn spaces_around_categories_count_unless_the_model_is_built_in() {
    let body: String =
        (0..60).map(|row| format!("{},{},{}\n", ["a", "b"][row % 2], row % 7, row % 2)).collect();
    let text = format!("one,two,class\n{body}");
    let table = model::read_csv(text.as_bytes(), "t", &model::CsvOptions::new("class")).unwrap().table;
    let mut card = train(&table, &TrainOptions::new("t")).unwrap().card;
    let body = br#"{"instances":[["b",1],["b ",1],[" b",1],[" ",1]]}"#;
    let values = |card: &ModelCard| {
        let strict = ParsedRows::parse(body, card).unwrap();
        let lenient = lenient::json(body, card, None).unwrap();
        let first = |rows: &ParsedRows| rows.rows().iter().map(|row| row[0]).collect::<Vec<_>>();
        assert_eq!(first(&strict), first(&lenient));
        first(&strict)
    };
    assert_eq!(values(&card), [Some(1.0), Some(1.0), Some(1.0), None]);
    card.training.alpha = None;
    assert_eq!(values(&card), [Some(1.0), Some(2.0), Some(2.0), None]);
}

#[test]
fn texts_for_missing_values_are_read_in_the_same_way_as_in_the_table() {
    let body: String =
        (0..60).map(|row| format!("{},{},{}\n", ["a", "b", "NA"][row % 3], row % 2 + 1, row % 2)).collect();
    let text = format!("letter,code,class\n{body}");
    let card = |missing: &[&str]| {
        let options = model::CsvOptions {
            categorical: vec!["code".into()],
            missing: missing.iter().map(|&token| token.to_owned()).collect(),
            ..model::CsvOptions::new("class")
        };
        let table = model::read_csv(text.as_bytes(), "t", &options).unwrap().table;
        train(&table, &TrainOptions::new("t")).unwrap().card
    };
    let parse = |card: &ModelCard, row: &str| {
        let body = format!(r#"{{"features":{row}}}"#);
        ParsedRows::parse(body.as_bytes(), card).map(|rows| rows.rows()[0].to_vec()).unwrap()
    };
    let own = card(&["NA", "?"]);
    for (row, expected) in [
        (r#"["NA","?"]"#, [None, None]),
        (r#"[" NA ",""]"#, [None, None]),
        (r#"["  ","1"]"#, [None, Some(0.0)]),
        (r#"["na","N"]"#, [Some(2.0), Some(2.0)]),
    ] {
        assert_eq!(parse(&own, row), expected, "{row}");
    }
    // Without the flag, `NA` is a category.
    let mut category = card(&[]);
    let position = |card: &ModelCard| parse(card, r#"["NA","1"]"#)[0];
    let known = position(&category);
    assert!(known < Some(3.0), "{known:?}");
    category.notation.missing = vec!["NA".into()];
    assert_eq!(position(&category), known, "a category of the model is not a missing value");
}

proptest! {
    #[test]
    fn any_bytes_are_read_as_rows_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = ParsedRows::parse(&body, &CARD);
    }

    #[test]
    fn numbers_are_read_exactly(row in prop::collection::vec(any::<f64>().prop_filter("finite", |v| v.is_finite()), 4)) {
        let parsed = parse(&serde_json::json!({ "features": row }).to_string()).unwrap();
        prop_assert_eq!(parsed.values, row.into_iter().map(Some).collect::<Vec<_>>());
    }
}
