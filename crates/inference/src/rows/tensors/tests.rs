use super::*;
use model::{TrainOptions, iris, train};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

static CARD: LazyLock<ModelCard> =
    LazyLock::new(|| train(&iris::table(), &TrainOptions::new("iris")).unwrap().card);

const NAMES: [&str; 4] = ["sepal_length", "sepal_width", "petal_length", "petal_width"];

fn read(body: &[u8], header_length: Option<usize>) -> Result<Vec<Vec<Option<f64>>>, Refusal> {
    let request = InferRequest::parse(body, header_length, &CARD)?;
    let parsed = request.rows(&CARD)?;
    assert_eq!(parsed.rows().len(), request.row_count());
    Ok(parsed.rows().iter().map(<[_]>::to_vec).collect())
}

fn parse(body: &Value) -> Result<Vec<Vec<Option<f64>>>, (&'static str, String)> {
    read(body.to_string().as_bytes(), None)
        .map_err(|refusal| (refusal.reason.code(), refusal.field.unwrap_or_default()))
}

/// Returns one tensor in JSON.
fn tensor(shape: Value, datatype: &str, data: Value) -> Value {
    json!({ "inputs": [{ "name": "x", "shape": shape, "datatype": datatype, "data": data }] })
}

/// Returns one column per feature, with the values of its rows.
fn columns(rows: usize, value: impl Fn(usize) -> Value) -> Vec<Value> {
    NAMES
        .iter()
        .enumerate()
        .map(|(feature, name)| {
            let data: Vec<Value> = (0..rows).map(|_| value(feature)).collect();
            json!({ "name": name, "shape": [rows, 1], "datatype": "FP64", "data": data })
        })
        .collect()
}

/// Returns a JSON header followed by binary data.
fn binary(header: &Value, tensors: &[u8]) -> (Vec<u8>, Option<usize>) {
    let header = header.to_string();
    (([header.as_bytes(), tensors]).concat(), Some(header.len()))
}

#[test]
fn all_forms_of_a_request_give_the_same_rows() {
    let rows = vec![[5.0, 3.0, 1.0, 0.0].map(Some).to_vec(), [6.0, 2.0, 4.0, 1.0].map(Some).to_vec()];
    let flat = json!([5, 3, 1, 0, 6, 2, 4, 1]);
    for datatype in ["FP64", "FP32", "FP16", "INT8", "INT64", "UINT8", "UINT64"] {
        assert_eq!(parse(&tensor(json!([2, 4]), datatype, flat.clone())), Ok(rows.clone()), "{datatype}");
    }
    let nested = json!([[5, 3, 1, 0], [6, 2, 4, 1]]);
    assert_eq!(parse(&tensor(json!([2, 4]), "FP64", nested)), Ok(rows.clone()));
    assert_eq!(parse(&tensor(json!([4]), "FP64", json!([5, 3, 1, 0]))), Ok(rows[..1].to_vec()));
    // The inputs are named, in any order, with one or two dimensions, and with different datatypes.
    let by_name = json!({ "id": "7", "inputs": [
        { "name": "petal_width", "shape": [2], "datatype": "INT32", "data": [0, 1] },
        { "name": "sepal_length", "shape": [2, 1], "datatype": "FP32", "data": [[5], [6]] },
        { "name": "petal_length", "shape": [2, 1], "datatype": "INT64", "data": [1.0, 4.0] },
        { "name": "sepal_width", "shape": [2], "datatype": "UINT8", "data": [3, 2] },
    ]});
    assert_eq!(parse(&by_name), Ok(rows.clone()));
    let header = json!({ "inputs": [
        { "name": "x", "shape": [2, 4], "datatype": "FP64", "parameters": { "binary_data_size": 64 } },
    ]});
    let bytes: Vec<u8> =
        rows.iter().flatten().flat_map(|value| value.unwrap_or_default().to_le_bytes()).collect();
    let (body, length) = binary(&header, &bytes);
    assert_eq!(read(&body, length).unwrap(), rows);
}

#[test]
fn null_and_nan_are_missing_values() {
    let missing = vec![vec![Some(5.0), None, Some(1.0), Some(0.0)]];
    assert_eq!(parse(&tensor(json!([1, 4]), "FP64", json!([5, null, 1, 0]))), Ok(missing.clone()));
    let header = json!({ "inputs": [
        { "name": "x", "shape": [4], "datatype": "FP32", "parameters": { "binary_data_size": 16 } },
    ]});
    let bytes: Vec<u8> = [5.0, f32::NAN, 1.0, 0.0].into_iter().flat_map(f32::to_le_bytes).collect();
    let (body, length) = binary(&header, &bytes);
    assert_eq!(read(&body, length).unwrap(), missing);
}

#[test]
fn every_invalid_request_has_a_code_and_a_place() {
    let ok = json!([1, 2, 3, 4]);
    let input = |fields: Value| json!({ "inputs": [fields] });
    let with = |columns: Vec<Value>| json!({ "inputs": columns });
    let four = || columns(2, |_| json!(1));
    let changed = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut columns = four();
        change(&mut columns);
        with(columns)
    };
    let cases = [
        (json!([]), "wrong_type", ""),
        (json!({}), "missing_field", "inputs"),
        (json!({ "inputs": [] }), "empty_batch", "inputs"),
        (json!({ "inputs": {} }), "wrong_type", "inputs"),
        (json!({ "inputs": [7] }), "wrong_type", "inputs[0]"),
        (json!({ "instances": [] }), "unknown_field", "instances"),
        (json!({ "id": 7, "inputs": [] }), "wrong_type", "id"),
        (json!({ "parameters": [], "inputs": [] }), "wrong_type", "parameters"),
        (
            json!({ "parameters": { "binary_data_output": 1 }, "inputs": [] }),
            "wrong_type",
            "parameters.binary_data_output",
        ),
        (json!({ "outputs": 7, "inputs": [] }), "wrong_type", "outputs"),
        (json!({ "outputs": [{}], "inputs": [] }), "missing_field", "outputs[0].name"),
        (input(json!({ "shape": [1], "datatype": "FP64", "data": [] })), "missing_field", "inputs[0].name"),
        (input(json!({ "name": "x", "datatype": "FP64", "data": ok })), "missing_field", "inputs[0].shape"),
        (input(json!({ "name": "x", "shape": [4], "data": ok })), "missing_field", "inputs[0].datatype"),
        (input(json!({ "name": "x", "shape": [4], "datatype": "FP64" })), "missing_field", "inputs[0].data"),
        (
            input(json!({ "name": "x", "shape": [4], "datatype": "FP64", "dat": ok })),
            "unknown_field",
            "inputs[0].dat",
        ),
        (tensor(json!([4]), "FP8", ok.clone()), "unknown_datatype", "inputs.x.datatype"),
        (tensor(json!("4"), "FP64", ok.clone()), "wrong_shape", "inputs.x.shape"),
        (tensor(json!([4.5]), "FP64", ok.clone()), "wrong_shape", "inputs.x.shape"),
        (tensor(json!([]), "FP64", ok.clone()), "wrong_shape", "inputs.x.shape"),
        (tensor(json!([1, 2, 2]), "FP64", ok.clone()), "wrong_shape", "inputs.x.shape"),
        (tensor(json!([-1, 4]), "FP64", ok.clone()), "wrong_shape", "inputs.x.shape"),
        (tensor(json!([0, 4]), "FP64", json!([])), "empty_batch", "inputs.x.shape"),
        (tensor(json!([i64::MAX, 4]), "FP64", ok.clone()), "wrong_shape", "inputs.x.shape"),
        (tensor(json!([i64::MAX / 4, 4]), "FP64", ok.clone()), "wrong_data_size", "inputs.x"),
        (tensor(json!([1, 3]), "FP64", json!([1, 2, 3])), "wrong_feature_count", "inputs.x"),
        (tensor(json!([3]), "FP64", json!([1, 2, 3])), "wrong_feature_count", "inputs.x"),
        (tensor(json!([2, 4]), "FP64", ok.clone()), "wrong_data_size", "inputs.x.data"),
        (tensor(json!([4]), "FP64", json!([1, 2, 3, 4, 5])), "wrong_data_size", "inputs.x.data[4]"),
        (tensor(json!([2, 4]), "FP64", json!([ok, [1, 2, 3]])), "wrong_shape", "inputs.x.data"),
        (tensor(json!([2, 4]), "FP64", json!([ok, 1, 2, 3, 4])), "wrong_shape", "inputs.x.data"),
        (tensor(json!([1, 4]), "FP64", json!([1, [2, 3, 4]])), "wrong_shape", "inputs.x.data"),
        (tensor(json!([1, 4]), "FP64", json!([[[1, 2, 3, 4]]])), "wrong_shape", "inputs.x.data"),
        (tensor(json!([1, 4]), "FP64", json!("1,2,3,4")), "wrong_shape", "inputs.x.data"),
        (tensor(json!([1, 4]), "FP64", json!({ "a": 1 })), "wrong_shape", "inputs.x.data"),
        (tensor(json!([1, 4]), "FP64", json!([[1, 2, "3", 4]])), "wrong_type", "inputs.x.data[0][2]"),
        (tensor(json!([1, 4]), "INT64", json!([1, 2.5, 3, 4])), "wrong_type", "inputs.x.data[0][1]"),
        (tensor(json!([1, 4]), "INT8", json!([1, 128, 3, 4])), "number_out_of_range", "inputs.x.data[0][1]"),
        (tensor(json!([1, 4]), "UINT8", json!([1, -1, 3, 4])), "number_out_of_range", "inputs.x.data[0][1]"),
        (
            tensor(json!([1, 4]), "INT64", json!([1, 2, 9_007_199_254_740_993_i64, 4])),
            "number_out_of_range",
            "inputs.x.data[0][2]",
        ),
        (
            tensor(json!([1, 4]), "BOOL", json!([true, true, true, true])),
            "not_a_number",
            "inputs.x.data[0][0]",
        ),
        (tensor(json!([1, 4]), "BYTES", json!(["1", "2", "3", "4"])), "not_a_number", "inputs.x.data[0][0]"),
        (changed(&|inputs| inputs[1]["name"] = json!("x")), "unknown_feature", "inputs.x"),
        (changed(&|inputs| drop(inputs.pop())), "missing_feature", "inputs.petal_width"),
        (
            changed(&|inputs| inputs[1]["name"] = json!("sepal_length")),
            "duplicate_field",
            "inputs.sepal_length",
        ),
        (changed(&|inputs| inputs[1]["shape"] = json!([1, 2])), "wrong_shape", "inputs.sepal_width.shape"),
        (
            changed(&|inputs| {
                inputs[1]["shape"] = json!([3]);
                inputs[1]["data"] = json!([1, 2, 3]);
            }),
            "wrong_shape",
            "inputs.sepal_width.shape",
        ),
        (changed(&|inputs| inputs[3]["data"] = json!([1, "2"])), "wrong_type", "inputs.petal_width.data[1]"),
        (
            changed(&|inputs| inputs[3]["parameters"] = json!({ "binary_data_size": 16 })),
            "duplicate_field",
            "inputs.petal_width",
        ),
        (
            input(
                json!({ "name": "x", "shape": [4], "datatype": "FP64", "parameters": { "binary_data_size": 32 } }),
            ),
            "wrong_data_size",
            "inputs.x",
        ),
    ];
    for (body, code, field) in cases {
        assert_eq!(parse(&body), Err((code, field.to_owned())), "{body}");
    }
}

#[test]
fn binary_data_of_a_wrong_size_are_refused() {
    let header = |datatype: &str, size: Value| {
        json!({ "inputs": [
            { "name": "x", "shape": [4], "datatype": datatype, "parameters": { "binary_data_size": size } },
        ]})
    };
    let code = |header: &Value, tensors: &[u8]| {
        let (body, length) = binary(header, tensors);
        read(&body, length).map_err(|refusal| (refusal.reason.code(), refusal.field.unwrap_or_default()))
    };
    let size = |place: &str| Err(("wrong_data_size", place.to_owned()));
    assert_eq!(code(&header("FP64", json!(32)), &[0; 31]), size("inputs.x"));
    assert_eq!(code(&header("FP64", json!(31)), &[0; 31]), size("inputs.x"));
    assert_eq!(code(&header("FP64", json!(32)), &[0; 33]), size("inputs"));
    assert_eq!(code(&header("BYTES", json!(3)), &[0; 3]), size("inputs.x"));
    assert_eq!(code(&header("BYTES", json!(15)), &[0; 15]), size("inputs.x.data[3]"));
    assert_eq!(code(&header("BYTES", json!(20)), &[0; 20]), size("inputs.x.data[4]"));
    assert_eq!(code(&header("BYTES", json!(12)), &[0; 12]), size("inputs.x.data"));
    let long = [0xff, 0xff, 0xff, 0xff, b'a'];
    assert_eq!(code(&header("BYTES", json!(5)), &long), size("inputs.x.data[0]"));
    let not_text = [1, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(
        code(&header("BYTES", json!(17)), &not_text),
        Err(("wrong_type", "inputs.x.data[0]".to_owned()))
    );
    for wrong in [json!(-1), json!("32"), json!(1.5)] {
        let place = "inputs.x.parameters.binary_data_size".to_owned();
        assert_eq!(code(&header("FP64", wrong), &[0; 32]), Err(("wrong_type", place)));
    }
    let infinite: Vec<u8> = [1.0, f64::INFINITY, 1.0, 1.0].into_iter().flat_map(f64::to_le_bytes).collect();
    let place = "inputs.x.data[1]".to_owned();
    assert_eq!(code(&header("FP64", json!(32)), &infinite), Err(("number_out_of_range", place)));
    let refusal = read(b"{}", Some(3)).unwrap_err();
    assert_eq!((refusal.reason.code(), refusal.field.as_deref()), ("wrong_data_size", Some(HEADER_LENGTH)));
}

#[test]
fn deeply_nested_and_malformed_json_is_refused() {
    let deep = "[".repeat(100_000);
    assert_eq!(read(deep.as_bytes(), None).unwrap_err().reason.code(), "malformed_json");
    let nested = format!("{deep}{}", "]".repeat(100_000));
    let body = format!(r#"{{"inputs":[{{"name":"x","shape":[4],"datatype":"FP64","data":{nested}}}]}}"#);
    assert_eq!(read(body.as_bytes(), None).unwrap_err().reason.code(), "wrong_shape");
    for (value, code) in [("NaN", "malformed_json"), ("1e999", "number_out_of_range")] {
        let body = format!(
            r#"{{"inputs":[{{"name":"x","shape":[1,4],"datatype":"FP64","data":[{value},2,3,4]}}]}}"#
        );
        assert_eq!(read(body.as_bytes(), None).unwrap_err().reason.code(), code);
    }
}

#[test]
fn the_example_is_a_valid_request() {
    let rows = read(example(&CARD).as_bytes(), None).unwrap();
    let expected = ParsedRows::parse(super::super::example(&CARD).as_bytes(), &CARD).unwrap();
    assert_eq!(rows, [expected.rows()[0].to_vec()]);
}

proptest! {
    #[test]
    fn any_bytes_are_rows_or_an_error(
        body in prop::collection::vec(any::<u8>(), 0..200),
        length in prop::option::of(0..300_usize),
    ) {
        let _ = read(&body, length);
    }

    /// Most requests are well-formed, so that the later steps are tested as well.
    #[test]
    fn any_tensor_is_rows_or_an_error(
        name in prop::sample::select(vec!["x", "sepal_length", "petal_width", ""]),
        shape in prop::collection::vec(prop_oneof![0..6_i64, any::<i64>()], 0..4),
        datatype in prop::sample::select(vec!["FP64", "FP32", "FP16", "INT8", "INT64", "UINT64", "BOOL", "BYTES", "X"]),
        size in prop::option::of(0..60_usize),
        data in prop::option::of(prop::collection::vec(
            prop_oneof![Just(json!(null)), Just(json!(true)), Just(json!("a")), any::<i64>().prop_map(|n| json!(n)),
                any::<f64>().prop_map(|n| json!(n)), Just(json!([1, 2])), Just(json!([]))],
            0..6,
        )),
        tensors in prop::collection::vec(any::<u8>(), 0..60),
        has_length in any::<bool>(),
    ) {
        let mut input = json!({ "name": name, "shape": shape, "datatype": datatype });
        if let Some(size) = size {
            input["parameters"] = json!({ "binary_data_size": size });
        }
        if let Some(data) = data {
            input["data"] = json!(data);
        }
        let (body, length) = binary(&json!({ "inputs": [input] }), &tensors);
        let _ = read(&body, length.filter(|_| has_length));
    }

    #[test]
    fn numbers_come_through_exactly(
        row in prop::collection::vec(any::<f64>().prop_filter("finite", |value| value.is_finite()), 4),
    ) {
        let expected = vec![row.iter().copied().map(Some).collect::<Vec<_>>()];
        prop_assert_eq!(parse(&tensor(json!([1, 4]), "FP64", json!(row))).unwrap(), expected.clone());
        let header = json!({ "inputs": [
            { "name": "x", "shape": [1, 4], "datatype": "FP64", "parameters": { "binary_data_size": 32 } },
        ]});
        let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
        let (body, length) = binary(&header, &bytes);
        prop_assert_eq!(read(&body, length).unwrap(), expected);
    }
}

#[test]
fn a_refusal_names_the_datatype_that_the_feature_takes() {
    let body: String = (0..60)
        .map(|row| format!("{},{},{},{row},{}\n", ["a", "b"][row % 2], row % 3 == 0, row % 2 + 1, row / 30))
        .collect();
    let options = model::CsvOptions { categorical: vec!["code".into()], ..model::CsvOptions::new("class") };
    let text = format!("letter,flag,code,number,class\n{body}");
    let table = model::read_csv(text.as_bytes(), "t", &options).unwrap().table;
    let card = train(&table, &TrainOptions::new("t")).unwrap().card;
    let message = |wrong: &str| {
        let inputs: Vec<Value> =
            [("letter", json!("a")), ("flag", json!(true)), ("code", json!(1)), ("number", json!(1))]
                .into_iter()
                .map(|(name, right)| {
                    let value = match (name == wrong, name) {
                        (false, _) => right,
                        (true, "letter" | "number") => json!(false),
                        (true, _) => json!(2.5e300),
                    };
                    let datatype = match value {
                        Value::Bool(_) => "BOOL",
                        Value::Number(_) => "FP64",
                        _ => "BYTES",
                    };
                    json!({ "name": name, "shape": [1], "datatype": datatype, "data": [value] })
                })
                .collect();
        let body = json!({ "inputs": inputs }).to_string();
        InferRequest::parse(body.as_bytes(), None, &card)
            .and_then(|request| request.rows(&card).map(|_| ()))
            .map_err(|refusal| refusal.message)
    };
    for (wrong, datatype) in [
        ("letter", "BYTES"),
        ("flag", "BOOL or BYTES"),
        ("code", "BYTES or a numeric datatype"),
        ("number", "a numeric datatype such as FP64"),
    ] {
        let message = message(wrong).unwrap_err();
        assert!(message.starts_with(&format!("{wrong:?} ")), "{message}");
        assert!(message.ends_with(&format!("; send it with {datatype}")), "{message}");
    }
    assert_eq!(message("none"), Ok(()));
}

#[test]
fn the_tensor_of_a_single_feature_may_have_any_name() {
    let body: String = (0..60).map(|row| format!("{row},{}\n", row / 30)).collect();
    let text = format!("x,class\n{body}");
    let table = model::read_csv(text.as_bytes(), "t", &model::CsvOptions::new("class")).unwrap().table;
    let card = train(&table, &TrainOptions::new("t")).unwrap().card;
    let read = |name: &str, shape: Value| {
        let data = json!([1, 2, 3, 4]);
        let body = json!({ "inputs": [{ "name": name, "shape": shape, "datatype": "FP64", "data": data }] });
        let body = body.to_string();
        InferRequest::parse(body.as_bytes(), None, &card)
            .and_then(|request| {
                request.rows(&card).map(|rows| rows.rows().iter().map(<[_]>::to_vec).collect::<Vec<_>>())
            })
            .map_err(|refusal| refusal.reason.code())
    };
    let rows = Ok([1.0, 2.0, 3.0, 4.0].map(|value| vec![Some(value)]).to_vec());
    for name in ["x", "features"] {
        assert_eq!(read(name, json!([4])), rows, "{name}");
        assert_eq!(read(name, json!([4, 1])), rows, "{name}");
    }
    assert_eq!(read("x", json!([2, 2])), Err("wrong_shape"));
    assert_eq!(read("features", json!([2, 2])), Err("unknown_feature"));
}

#[test]
fn an_unreadable_output_does_not_affect_the_others() {
    let named = |name: &str, shape: Value, data: Value| json!({ "name": name, "shape": shape, "datatype": "FP64", "data": data });
    let deep = named("deep", json!([1, 1, 1]), json!([1]));
    let flat = named("flat", json!([1, 2]), json!([1, 2]));
    let read = |outputs: Value| answer::outputs(json!({ "outputs": outputs }).to_string().as_bytes(), None);
    let expected = [answer::Tensor {
        name: "flat".into(),
        shape: vec![1, 2],
        values: answer::TensorValues::Numbers(vec![1.0, 2.0]),
    }];
    assert_eq!(read(json!([deep, flat])).unwrap(), expected);
    assert_eq!(read(json!([flat, deep])).unwrap(), expected);
    assert_eq!(read(json!([deep])).unwrap_err().field.as_deref(), Some("outputs.deep.shape"));
    // Where the binary form of the second tensor begins is not known.
    let in_binary = |name: &str, shape: Value, size: usize| json!({ "name": name, "shape": shape, "datatype": "FP64", "parameters": { "binary_data_size": size } });
    let header =
        json!({ "outputs": [in_binary("deep", json!([1, 1, 1]), 8), in_binary("flat", json!([1]), 8)] });
    let (body, length) = binary(&header, &[1.0_f64.to_le_bytes(), 2.0_f64.to_le_bytes()].concat());
    assert!(answer::outputs(&body, length).is_err());
}
