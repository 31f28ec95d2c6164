use super::*;
use model::{
    CsvOptions, ProfileInput, ServerForm, ServerInput, ServerModel, ServerProbabilities, Truth, profile,
    read_reference,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// A profile of columns of each type: `age` (numbers), `city` (texts), `member` (booleans), `plan` (numbers as categories).
static MIXED: LazyLock<ModelFile> = LazyLock::new(made);

fn mixed(server: Option<ServerModel>) -> ModelFile {
    ModelFile { server, ..MIXED.clone() }
}

fn made() -> ModelFile {
    let row = |at: usize| {
        let city = ["Rome", "Oslo", "Lima"][at % 3];
        format!("{},{city},{},{}\n", 20 + at * 7 % 50, at.is_multiple_of(2), [10, 20][at / 2 % 2])
    };
    let text: String = "age,city,member,plan\n".to_owned() + &(0..240).map(row).collect::<String>();
    let options = CsvOptions { target: None, categorical: vec!["plan".into()], ..CsvOptions::new("") };
    let table = read_reference(text.as_bytes(), "t.csv", &options).unwrap();
    let output = |at: usize| {
        let no = 0.1 + 0.8 * (at % 5) as f64 / 4.0;
        Output::Class { class: usize::from(no < 0.5), probabilities: Some([no, 1.0 - no].as_slice().into()) }
    };
    let input = ProfileInput {
        name: "mixed".into(),
        table,
        classes: vec!["no".into(), "yes".into()],
        outputs: (0..240).map(output).collect(),
        truth: Truth::Unknown,
        engine: None,
        accepts_missing: Vec::new(),
        external: None,
        server: None,
        seed: 1,
    };
    profile(input, |_| {}).unwrap()
}

fn server(inputs: &[(&str, &str)]) -> ServerModel {
    let input = |&(name, feature): &(&str, &str)| ServerInput { name: name.into(), feature: feature.into() };
    ServerModel {
        protocol: None,
        inputs: inputs.iter().map(input).collect(),
        tensor: None,
        form: None,
        output: None,
        probabilities_output: None,
        labels: vec!["no".into(), "yes".into()],
        probabilities: ServerProbabilities::PerClass,
        logits: false,
    }
}

fn reader() -> Reader {
    Reader::new(&MIXED).unwrap()
}

fn rows(reader: &Reader, protocol: Protocol, body: &Value) -> Result<Vec<Vec<Option<f64>>>, String> {
    read(reader, protocol, None, body.to_string().as_bytes())
}

fn read(
    reader: &Reader,
    protocol: Protocol,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<Vec<Vec<Option<f64>>>, String> {
    let parsed = reader.rows(protocol, content_type, None, body);
    parsed.map(|own| own.rows().iter().map(<[_]>::to_vec).collect()).map_err(|refusal| refusal.placed())
}

/// The row of 30, Oslo, true, 20. Categories are sorted: Lima, Oslo, Rome; false, true; 10, 20.
fn expected() -> Vec<Option<f64>> {
    vec![Some(30.0), Some(1.0), Some(1.0), Some(1.0)]
}

#[test]
fn rows_are_found_in_the_bodies_of_hand_written_services() {
    let reader = reader();
    let named = json!({"age": 30, "city": "Oslo", "member": true, "plan": 20});
    let with = |mut row: Value, name: &str, value: Value| {
        row[name] = value;
        row
    };
    let listed = json!([30, "Oslo", true, 20]);
    for body in [
        named.clone(),
        with(named.clone(), "customer_id", json!("c-17")),
        with(named.clone(), "age", json!("30")),
        with(named.clone(), "member", json!(1)),
        json!([named]),
        listed.clone(),
        json!([listed]),
        json!({"features": named, "request_id": 7}),
        json!({"features": listed, "tags": ["a"]}),
        json!({"data": [listed]}),
        json!({"input": {"customer": named}}),
        json!({"data": {"ndarray": [listed], "names": ["a", "b", "c", "d"]}}),
        json!({"input_data": [listed], "names": ["a"]}),
        json!({"instances": [named], "params": {"a": [1]}}),
        json!({"age": [30], "city": ["Oslo"], "member": [true], "plan": [20]}),
        json!({"age": {"0": 30}, "city": {"0": "Oslo"}, "member": {"0": true}, "plan": {"0": 20}}),
        json!({"columns": ["plan", "age", "city", "member"], "index": [0], "data": [[20, 30, "Oslo", true]]}),
    ] {
        assert_eq!(rows(&reader, Protocol::Native, &body), Ok(vec![expected()]), "{body}");
    }
}

#[test]
fn rows_of_known_servers_are_read_in_all_their_forms() {
    let reader = reader();
    let listed = json!([30, "Oslo", true, 20]);
    for (protocol, body) in [
        (Protocol::V1, json!({"instances": [listed]})),
        (Protocol::V1, json!({"instances": [{"x": listed}]})),
        (
            Protocol::V1,
            json!({"instances": [{"age": [30], "city": ["Oslo"], "member": [true], "plan": [20]}]}),
        ),
        (
            Protocol::V1,
            json!({"inputs": {"age": [[30]], "city": [["Oslo"]], "member": [[true]], "plan": [[20]]}}),
        ),
        (Protocol::V1, json!({"inputs": {"x": [listed]}, "signature_name": "serving_default"})),
        (Protocol::Mlflow, json!({"inputs": [listed]})),
        (
            Protocol::Mlflow,
            json!({"dataframe_split": {
                "columns": ["extra", "age", "city", "member", "plan"], "data": [[0, 30, "Oslo", true, 20]],
            }}),
        ),
        (
            Protocol::Mlflow,
            json!({"dataframe_records": [{"age": 30, "city": "Oslo", "member": true, "plan": 20, "n": 1}]}),
        ),
    ] {
        assert_eq!(rows(&reader, protocol, &body), Ok(vec![expected()]), "{body}");
    }
    let csv = b"plan,age,,member,city\n20,30,0,true,Oslo\n20,,1,True,Oslo\n";
    let read_csv = read(&reader, Protocol::Mlflow, Some("text/csv; charset=utf-8"), csv);
    assert_eq!(read_csv, Ok(vec![expected(), vec![None, Some(1.0), Some(1.0), Some(1.0)]]));
}

#[test]
fn tensors_are_read_by_name_and_other_inputs_are_ignored() {
    let reader = reader();
    let tensor = |name: &str, datatype: &str, value: Value| json!({"name": name, "datatype": datatype, "shape": [1], "data": [value]});
    let mut inputs = vec![
        tensor("id", "INT64", json!(4)),
        tensor("plan", "INT64", json!(20)),
        tensor("member", "INT32", json!(1)),
        tensor("city", "BYTES", json!("Oslo")),
        tensor("age", "FP32", json!(30)),
    ];
    let body = json!({"inputs": inputs, "parameters": {"content_type": "pd"}, "datacenter": "north"});
    assert_eq!(rows(&reader, Protocol::OipV2, &body), Ok(vec![expected()]));
    let nan = body.to_string().replace("\"data\":[30]", "\"data\":[NaN]");
    assert_eq!(read(&reader, Protocol::OipV2, None, nan.as_bytes()).unwrap()[0][0], None);
    // The service itself refuses what it does not know.
    assert!(InferRequest::parse(body.to_string().as_bytes(), None, reader.card()).is_err());
    inputs[4]["name"] = json!("years");
    let error = rows(&reader, Protocol::OipV2, &json!({"inputs": inputs})).unwrap_err();
    assert!(error.contains("\"age\" is missing") && error.contains("\"id\" is unknown"), "{error}");
}

#[test]
fn what_cannot_be_told_apart_is_an_error_that_names_the_field() {
    let reader = reader();
    let other = json!({"years": 30, "city": "Oslo", "member": true, "plan": 20});
    for (body, place) in [
        (other.clone(), "body: \"age\" is missing"),
        (json!({"instances": [other]}), "instances[0]: \"age\" is missing"),
        (json!({"a": [[1]], "b": [[1]]}), "a: the rows may be in \"a\" or \"b\""),
        (json!({"data": [[1, 2]], "rows": [[1, 2]]}), "data: the rows may be in \"data\" or \"rows\""),
        (json!({"text": "hello"}), "body: found neither"),
        (json!("hello"), "body: found neither"),
        (json!([[30, "Oslo", true]]), "[0]: expected 4 values"),
        (json!([[30, "Oslo", {}, 20]]), "[0][2]: must be a category"),
        (json!([["old", "Oslo", true, 20]]), "[0][0]: must be a number"),
        (json!([]), "body: the list has no rows"),
        (json!({"age": [30, 31], "city": ["Oslo"], "member": [true], "plan": [20]}), "city: has 1 values"),
    ] {
        let error = rows(&reader, Protocol::Native, &body).unwrap_err();
        assert!(error.starts_with(place), "{body}: {error}");
    }
    for body in [&b"<html>"[..], b"", b"{\"age\":NaN", b"\xff"] {
        assert!(read(&reader, Protocol::Native, None, body).is_err());
    }
}

#[test]
fn a_profile_names_the_field_that_has_the_rows() {
    let row = json!([30, "Oslo", true, 20]);
    let body = json!({"tags": ["a", "b"], "client": {"row": row, "history": [1, 2]}});
    let usual: Vec<(&str, &str)> = ["age", "city", "member", "plan"].map(|name| (name, name)).into();
    let form = ServerForm { field: Some("row".into()), named: false, listed: false };
    let own = |server| Reader::new(&mixed(Some(server))).unwrap();
    for reader in [
        own(ServerModel { form: Some(form), ..server(&usual) }),
        own(ServerModel { tensor: Some("row".into()), ..server(&usual) }),
    ] {
        assert_eq!(
            rows(&reader, Protocol::Native, &json!({"tags": ["a"], "row": row})),
            Ok(vec![expected()])
        );
        // Other forms are still read.
        assert_eq!(rows(&reader, Protocol::Native, &json!({"features": row})), Ok(vec![expected()]));
        // The field does not lead to the rows of another field.
        let error = rows(&reader, Protocol::Native, &body).unwrap_err();
        assert!(error.contains("the rows may be in") && error.contains("(--tensor)"), "{error}");
    }
}

#[test]
fn columns_of_other_names_are_reported_with_a_remedy() {
    let body = json!({"Age": 30, "City": "Oslo", "Member": true, "Plan": 20});
    let error = rows(&reader(), Protocol::Native, &body).unwrap_err();
    assert!(error.contains("other names, such as \"Age\"") && error.contains("--inputs"), "{error}");
}

#[test]
fn a_profile_renames_and_reorders_the_columns_of_requests() {
    let inputs = [("abo", "plan"), ("alter", "age"), ("mitglied", "member"), ("stadt", "city")];
    let reader = Reader::new(&mixed(Some(server(&inputs)))).unwrap();
    let named = json!({"alter": 30, "stadt": "Oslo", "mitglied": true, "abo": 20});
    for body in [json!({"instances": [named]}), json!({"instances": [[20, 30, true, "Oslo"]]}), named] {
        assert_eq!(rows(&reader, Protocol::V1, &body), Ok(vec![expected()]), "{body}");
    }
    let other =
        reader.rows(Protocol::Native, None, None, br#"[[20,30,true,"Bonn"],[20,30,true,"Ulm"]]"#).unwrap();
    let texts: Vec<_> = other.others.iter().map(|other| (other.row, other.feature, &*other.text)).collect();
    assert_eq!(texts, [(0, 1, "Bonn"), (1, 1, "Ulm")]);
    let error = rows(&reader, Protocol::Native, &json!({"age": 30})).unwrap_err();
    assert!(error.contains("abo, alter, mitglied, stadt"), "{error}");
}

fn outputs(reader: &Reader, protocol: Protocol, body: &Value) -> Result<Vec<(f64, Option<f64>)>, String> {
    let outputs = reader.outputs(protocol, None, body.to_string().as_bytes())?;
    // Rounded, because the confidence may be computed from that of the other class.
    let confidence = |output: &Output| Some((output.confidence()? * 1e9).round() / 1e9);
    Ok(outputs.iter().map(|output| (output.value(), confidence(output))).collect())
}

#[test]
fn answers_are_read_in_the_forms_of_servers_and_of_hand_written_services() {
    let reader = reader();
    let (label, both) = (vec![(1.0, None)], vec![(1.0, Some(0.75))]);
    let predict = json!({"name": "predict", "shape": [1, 1], "datatype": "BYTES", "data": ["yes"]});
    let proba = json!({"name": "predict_proba", "shape": [1, 2], "datatype": "FP64", "data": [0.25, 0.75]});
    for (protocol, body, expected) in [
        (Protocol::Native, json!({"prediction": "yes"}), &label),
        (Protocol::Native, json!({"predictions": ["yes"]}), &label),
        (Protocol::Native, json!(["yes"]), &label),
        (Protocol::Native, json!("yes"), &label),
        (Protocol::Native, json!({"prediction": ["yes"], "took_ms": 3}), &label),
        (Protocol::Native, json!({"status": "ok", "result": {"label": "yes"}}), &label),
        (
            Protocol::Native,
            json!({"prediction": 1, "class": "yes", "probabilities": [0.25, 0.75], "model": "m"}),
            &both,
        ),
        (
            Protocol::Native,
            json!({"predictions": [{"prediction": 1, "class": "yes", "probabilities": [0.25, 0.75]}]}),
            &both,
        ),
        (Protocol::Native, json!({"predictions": ["yes"], "probabilities": [[0.25, 0.75]]}), &both),
        (Protocol::Native, json!({"label": "yes", "confidence": 0.75}), &both),
        (Protocol::Native, json!({"label": "yes", "probabilities": {"yes": 0.75, "no": 0.25}}), &both),
        (Protocol::Native, json!({"result": {"label": "yes", "confidence": 0.75}, "id": 3}), &both),
        (Protocol::Native, json!({"prediction": {"label": "yes", "confidence": 0.75}}), &both),
        (Protocol::Native, json!({"probabilities": [0.25, 0.75]}), &both),
        (Protocol::V1, json!({"predictions": [[0.25, 0.75]]}), &both),
        (Protocol::V1, json!({"predictions": [{"label": "yes", "scores": [0.25, 0.75]}]}), &both),
        (Protocol::V1, json!({"outputs": {"classes": ["yes"], "scores": [[0.25, 0.75]]}}), &both),
        (Protocol::Mlflow, json!({"predictions": [{"yes": 0.75, "no": 0.25}]}), &both),
        (Protocol::Native, json!({"yes": 0.75, "no": 0.25}), &both),
        (
            Protocol::Native,
            json!({"data": {"names": ["t:0", "t:1"], "ndarray": [[0.25, 0.75]]}, "meta": {}}),
            &both,
        ),
        (Protocol::OipV2, json!({"outputs": [predict]}), &label),
        (Protocol::OipV2, json!({"model_name": "m", "outputs": [predict, proba]}), &both),
        (Protocol::OipV2, json!({"outputs": [proba]}), &both),
    ] {
        assert_eq!(outputs(&reader, protocol, &body), Ok(expected.clone()), "{body}");
    }
}

#[test]
fn answers_that_do_not_fit_are_errors_that_name_the_field() {
    let reader = reader();
    for (body, part) in [
        (json!({"prediction": "maybe"}), "\"maybe\", which is none of the classes \"no\", \"yes\""),
        (json!({"prediction": 1}), "make the profile with --upstream"),
        (json!({"prediction": "yes", "probability": 0.75}), "\"probability\": it is not known whether"),
        (json!({"predictions": [[0.2, 0.3, 0.5]]}), "\"predictions\" has 3 numbers per row"),
        (json!({"predictions": [[0.5, 0.75]]}), "adds up to 1.25"),
        (json!({"a": "yes", "b": "yes"}), "the prediction may be \"a\" or \"b\""),
        (json!({"predictions": []}), "has no values"),
        (json!({"detail": []}), "has no values"),
        (json!(null), "null"),
    ] {
        let error = outputs(&reader, Protocol::Native, &body).unwrap_err();
        assert!(error.contains(part), "{body}: {error}");
    }
    let page = reader.outputs(Protocol::V1, None, b"<html>Sign in</html>").unwrap_err();
    assert!(page.starts_with("expected JSON, got an HTML page: \"Sign in\" ("), "{page}");
}

#[test]
fn a_profile_says_which_labels_a_server_has_and_what_its_probability_means() {
    let own = ServerModel {
        output: Some("churn".into()),
        probabilities_output: Some("p".into()),
        labels: vec!["0".into(), "1".into()],
        probabilities: ServerProbabilities::SecondClass,
        ..server(&[("age", "age"), ("city", "city"), ("member", "member"), ("plan", "plan")])
    };
    let reader = Reader::new(&mixed(Some(own.clone()))).unwrap();
    let body = |churn: Value, p: f64| json!({"churn": churn, "p": p, "label": "unused"});
    assert_eq!(outputs(&reader, Protocol::Native, &body(json!(1), 0.75)), Ok(vec![(1.0, Some(0.75))]));
    assert_eq!(outputs(&reader, Protocol::Native, &body(json!("0.0"), 0.25)), Ok(vec![(0.0, Some(0.75))]));
    let own = ServerModel { probabilities: ServerProbabilities::PredictedClass, ..own };
    let reader = Reader::new(&mixed(Some(own))).unwrap();
    assert_eq!(outputs(&reader, Protocol::Native, &body(json!(0), 0.75)), Ok(vec![(0.0, Some(0.75))]));
}

proptest! {
    #[test]
    fn no_body_makes_the_readers_panic(body in proptest::collection::vec(any::<u8>(), 0..200), length in proptest::option::of(0_usize..300)) {
        let reader = reader();
        for protocol in Protocol::value_variants() {
            let _ = reader.rows(*protocol, Some("text/csv"), length, &body);
            let _ = reader.outputs(*protocol, length, &body);
        }
    }

    #[test]
    fn json_of_any_form_is_read_or_refused(text in r#"(\{|\[|\}|\]|"age"|"predictions"|"outputs"|:|,|1|null|"x"|NaN){0,24}"#) {
        let reader = reader();
        for protocol in Protocol::value_variants() {
            if let Ok(rows) = reader.rows(*protocol, None, None, text.as_bytes()) {
                prop_assert!(!rows.rows().is_empty());
            }
            if let Ok(outputs) = reader.outputs(*protocol, None, text.as_bytes()) {
                prop_assert!(!outputs.is_empty());
            }
        }
    }

    #[test]
    fn the_order_of_columns_does_not_change_the_rows(
        order in Just(vec![0_usize, 1, 2, 3]).prop_shuffle(),
        rows in proptest::collection::vec((0_u32..90, 0_usize..4, any::<bool>(), 0_usize..2), 1..6),
    ) {
        let cells: Vec<[Value; 4]> = rows.iter().map(|&(age, city, member, plan)| {
            [json!(age), json!(["Lima", "Oslo", "Rome", "Bonn"][city]), json!(member), json!([10, 20][plan])]
        }).collect();
        let names = ["age", "city", "member", "plan"];
        let inputs: Vec<(&str, &str)> = order.iter().map(|&at| (names[at], names[at])).collect();
        let mapped = Reader::new(&mixed(Some(server(&inputs)))).unwrap();
        let body = |order: &[usize]| {
            let row = |row: &[Value; 4]| order.iter().map(|&at| row[at].clone()).collect::<Vec<_>>();
            json!({"instances": cells.iter().map(row).collect::<Vec<_>>()}).to_string()
        };
        let direct = reader().rows(Protocol::V1, None, None, body(&[0, 1, 2, 3]).as_bytes()).unwrap();
        let moved = mapped.rows(Protocol::V1, None, None, body(&order).as_bytes()).unwrap();
        prop_assert_eq!(direct, moved);
    }
}

#[test]
fn the_later_one_of_two_equal_paths_counts() {
    let answer = Answer::read(Protocol::Native, None, br#"{"prediction":1,"a":{"b":3},"a.b":2}"#).unwrap();
    let names: Vec<&str> = answer.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["a.b", "prediction"]);
    assert_eq!(answer.fields[0].values, answer::FieldValues::Numbers(vec![2.0]));
}
