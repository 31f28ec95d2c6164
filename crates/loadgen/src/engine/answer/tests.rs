use super::*;

const ONE: &str = r#"{"prediction":0,"class":"setosa","probabilities":[0.9,0.1],"prediction_id":"x"}"#;

fn is_met(format: Format, rows: Rows, body: &str) -> bool {
    ExpectedAnswer { format: Some(format), rows, field: None }.is_met(200, Some(body.as_bytes()))
}

fn native(rows: Rows, body: &str) -> bool {
    is_met(Format::Native, rows, body)
}

#[test]
fn predictions_are_recognised() {
    let many = format!(r#"{{"predictions":[{ONE},{ONE}]}}"#);
    assert!(native(Rows::One, ONE));
    assert!(native(Rows::One, r#" {"prediction": 17.25, "other": {"a": [1]}} "#));
    assert!(native(Rows::List(2), &many));
    assert!(native(Rows::Any, ONE) && native(Rows::Any, &many));
    let any = ExpectedAnswer { format: None, rows: Rows::One, field: None };
    assert!(any.is_met(200, Some(b"<html>")) && any.is_met(200, None));
    let one = ExpectedAnswer { format: Some(Format::Native), rows: Rows::One, field: None };
    assert!(one.is_met(503, Some(b"<html>")) && !one.is_met(200, None));
}

#[test]
fn answers_of_services_that_were_written_for_one_model_are_recognised() {
    for body in [
        r#"{"prediction":"setosa"}"#,
        r#"{"prediction":[0]}"#,
        r#"{"prediction":{"label":"setosa"}}"#,
        r#"{"label":"setosa","confidence":0.9,"model":null}"#,
        r#"{"result":true}"#,
        r#"{"predictions":[0]}"#,
        "[0]",
        r#"[{"label":"setosa","score":0.9}]"#,
    ] {
        assert!(native(Rows::One, body), "{body}");
    }
}

#[test]
fn the_field_that_a_profile_names_has_the_prediction() {
    let species =
        ExpectedAnswer { format: Some(Format::Native), rows: Rows::One, field: Some("species".into()) };
    assert!(species.is_met(200, Some(br#"{"species":"setosa"}"#)));
    assert!(!species.is_met(200, Some(br#"{"species":null}"#)));
    assert!(!native(Rows::One, r#"{"species":"setosa"}"#));
}

#[test]
fn the_id_of_a_prediction_is_read() {
    assert_eq!(prediction_id(ONE.as_bytes()).as_deref(), Some("x"));
    let tensors = br#"{"parameters":{"prediction_ids":"x"},"outputs":[]}"#;
    assert_eq!(prediction_id(tensors).as_deref(), Some("x"));
    assert_eq!(prediction_id(br#"{"prediction":0}"#), None);
    assert_eq!(prediction_id(b"<html>"), None);
}

#[test]
fn tensors_of_one_row_are_recognised() {
    let tensors =
        |outputs: &str| is_met(Format::Tensors, Rows::One, &format!(r#"{{"outputs":[{outputs}]}}"#));
    assert!(tensors(r#"{"name":"predict","shape":[1,1],"data":["setosa"]}"#));
    assert!(tensors(r#"{"name":"predict","shape":[1],"data":[0]},{"name":"classes","shape":[3]}"#));
    assert!(!tensors(r#"{"name":"predict","shape":[2,1],"data":["setosa","setosa"]}"#));
    assert!(!tensors("") && !tensors("{}"));
    for body in [ONE, "", "<html>", r#"{"error":"no such model"}"#] {
        assert!(!is_met(Format::Tensors, Rows::One, body), "{body}");
    }
}

#[test]
fn predictions_of_v1_and_mlflow_are_recognised() {
    let one = |body: &str| is_met(Format::Predictions, Rows::One, body);
    for body in [
        r#"{"predictions":[0]}"#,
        r#"{"predictions":[[0.1,0.9]],"model_version":"1"}"#,
        r#"{"predictions":[{"label":"a"}]}"#,
    ] {
        assert!(one(body), "{body}");
    }
    for body in [
        "",
        "<html>",
        ONE,
        "[0]",
        r#"{"predictions":[]}"#,
        r#"{"predictions":[null]}"#,
        r#"{"predictions":[0,1]}"#,
        r#"{"predictions":0}"#,
        r#"{"error":"failed"}"#,
        r#"{"predictions":[0]}{"predictions":[0]}"#,
    ] {
        assert!(!one(body), "{body}");
    }
    assert!(is_met(Format::Predictions, Rows::List(2), r#"{"predictions":[0,1]}"#));
}

#[test]
fn a_body_that_is_not_a_prediction_is_rejected() {
    let two = format!("{ONE}{ONE}");
    let both = r#"{"prediction":0,"predictions":[{"prediction":0}]}"#;
    for body in [
        "",
        "null",
        "\"Unauthorized\"",
        "[]",
        "<html><body>502</body></html>",
        r#"{"hello":1}"#,
        r#"{"error":"the model is not loaded"}"#,
        r#"{"detail":"Not Found"}"#,
        r#"{"prediction":null}"#,
        r#"{"prediction":""}"#,
        r#"{"prediction":[]}"#,
        r#"{"prediction":0,"prediction":1}"#,
        r#"{"predictions":[{"prediction":0},{"prediction":0}]}"#,
        "[0,1]",
        &two,
        both,
        &ONE[..ONE.len() - 1],
    ] {
        assert!(!native(Rows::One, body), "{body}");
    }
    for body in [ONE, r#"{"predictions":[]}"#, r#"{"predictions":[{"prediction":0}]}"#, both] {
        assert!(!native(Rows::List(2), body), "{body}");
    }
    assert!(!native(Rows::List(1), r#"{"predictions":[{}]}"#));
    assert!(!native(Rows::Any, "{}"));
}

#[test]
fn the_expected_number_of_predictions_is_that_of_the_rows_in_a_fixed_body() {
    let asked = |body: &str| Rows::asked_by(body.as_bytes());
    assert_eq!(asked(r#"{ "features": [1, 2] }"#), Rows::One);
    assert_eq!(asked(r#"{ "instances": [[1, 2], {"a": 1}] }"#), Rows::List(2));
    assert_eq!(asked("nonsense"), Rows::Any);
}
