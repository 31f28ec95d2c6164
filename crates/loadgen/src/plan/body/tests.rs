use super::*;
use crate::scenario::Datatype;
use model::{CsvOptions, ServerInput, ServerProbabilities, TrainOptions};

fn iris() -> Arc<Model> {
    Arc::new(model::train(&model::iris::table(), &TrainOptions::new("iris")).unwrap().card.into())
}

/// Returns a model with a number, a text, a boolean and a coded feature.
fn mixed() -> Arc<Model> {
    let line = |row: usize| {
        let cells = [["a", "b"][row % 2], ["true", "false"][row / 2 % 2], ["10", "20"][row / 4 % 2]];
        format!("{},{},{}\n", row % 7, cells.join(","), row % 2)
    };
    let text: String = (0..60).map(line).collect();
    let text = format!("size,letter,flag,code,class\n{text}");
    let mut options = CsvOptions::new("class");
    options.categorical = vec!["code".into()];
    let table = model::read_csv(text.as_bytes(), "t", &options).unwrap().table;
    Arc::new(model::train(&table, &TrainOptions::new("t")).unwrap().card.into())
}

const ROW: [Option<f64>; 4] = [Some(5.1), Some(3.5), Some(1.4), None];

fn tensors(matrix: Option<&str>) -> Protocol {
    Protocol::OipV2(Tensors {
        matrix: matrix.map(str::to_owned),
        datatype: Datatype::Fp32,
        outputs: vec!["predict".into(), "predict_proba".into()],
    })
}

fn body(protocol: &Protocol, model: &Arc<Model>, row: &[Option<f64>]) -> Value {
    let writer = BodyWriter::new(protocol, model).unwrap();
    serde_json::from_slice(&writer.row(row)).unwrap()
}

#[test]
fn numbers_are_written_in_the_format_of_each_protocol() {
    let card = iris();
    let row = object!([5.1, 3.5, 1.4, null]);
    assert_eq!(body(&Protocol::Native, &card, &ROW), object!({ "features": row }));
    assert_eq!(body(&Protocol::V1, &card, &ROW), object!({ "instances": [row] }));
    let columns = ["sepal_length", "sepal_width", "petal_length", "petal_width"];
    assert_eq!(
        body(&Protocol::Mlflow, &card, &ROW),
        object!({ "dataframe_split": { "columns": columns, "data": [row] } })
    );
    let outputs = object!([{ "name": "predict" }, { "name": "predict_proba" }]);
    let input = object!({ "name": "x \"y\"", "shape": [1, 4], "datatype": "FP32", "data": row });
    assert_eq!(
        body(&tensors(Some("x \"y\"")), &card, &ROW),
        object!({ "inputs": [input], "outputs": outputs })
    );
    let body = body(&Protocol::OipV2(Tensors::default()), &card, &ROW);
    assert_eq!(
        body["inputs"][1],
        object!({ "name": "sepal_width", "shape": [1, 1], "datatype": "FP64", "data": [3.5] })
    );
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["inputs", "parameters"]);
}

#[test]
fn a_native_row_keeps_its_numbers() {
    let writer = BodyWriter::new(&Protocol::Native, &iris()).unwrap();
    let row = [None, Some(1e300), Some(2.0), Some(3.0)];
    assert_eq!(writer.row(&row), r#"{"features":[null,1e+300,2.0,3.0]}"#);
}

#[test]
fn other_values_than_numbers_are_written_by_their_type() {
    let card = mixed();
    let row = [Some(2.5), Some(1.0), Some(0.0), Some(1.0)];
    let values = body(&Protocol::Native, &card, &row)["features"].clone();
    assert!(
        values[0].is_number() && values[1].is_string() && values[2].is_boolean() && values[3].is_number()
    );
    assert_eq!(body(&Protocol::Mlflow, &card, &row)["dataframe_split"]["data"][0], values);
    let inputs = body(&Protocol::OipV2(Tensors::default()), &card, &row)["inputs"].clone();
    for (at, datatype) in ["FP64", "BYTES", "BOOL", "FP64"].into_iter().enumerate() {
        assert_eq!((&inputs[at]["datatype"], &inputs[at]["data"][0]), (&object!(datatype), &values[at]));
    }
    // A category that is neither true nor false.
    let unseen = [Some(2.5), Some(1.0), Some(3.0), Some(1.0)];
    let flag = body(&Protocol::OipV2(Tensors::default()), &card, &unseen)["inputs"][2].clone();
    assert_eq!((&flag["datatype"], &flag["data"]), (&object!("BYTES"), &object!(["unseen"])));
}

#[test]
fn names_and_order_are_those_of_the_server() {
    let mut model = Model::clone(&iris());
    let inputs =
        [("pw", "petal_width"), ("pl", "petal_length"), ("sw", "sepal_width"), ("sl", "sepal_length")];
    let inputs = inputs.map(|(name, feature)| ServerInput { name: name.into(), feature: feature.into() });
    let server = ServerModel {
        protocol: None,
        inputs: inputs.into(),
        tensor: None,
        form: None,
        output: Some("predict".into()),
        probabilities_output: Some("predict_proba".into()),
        labels: model.card.classes.clone(),
        probabilities: ServerProbabilities::PerClass,
        logits: false,
    };
    model.server = Some(server.clone());
    let model = Arc::new(model);
    let row = object!([null, 1.4, 3.5, 5.1]);
    assert_eq!(body(&Protocol::V1, &model, &ROW)["instances"][0], row);
    let frame = body(&Protocol::Mlflow, &model, &ROW)["dataframe_split"].clone();
    assert_eq!(frame, object!({ "columns": ["pw", "pl", "sw", "sl"], "data": [row] }));
    let plain = Protocol::OipV2(Tensors::default());
    let columns = body(&plain, &model, &ROW);
    assert_eq!(
        (&columns["inputs"][0]["name"], &columns["inputs"][3]["data"]),
        (&object!("pw"), &object!([5.1]))
    );
    assert_eq!(columns["outputs"], object!([{ "name": "predict" }, { "name": "predict_proba" }]));
    // The payload's own names take precedence.
    let matrix =
        Model { server: Some(ServerModel { tensor: Some("x".into()), ..server }), ..Model::clone(&model) };
    let matrix = Arc::new(matrix);
    assert_eq!(
        body(&plain, &matrix, &ROW)["inputs"],
        object!([
            { "name": "x", "shape": [1, 4], "datatype": "FP64", "data": row }
        ])
    );
    assert_eq!(body(&tensors(Some("y")), &matrix, &ROW)["inputs"][0]["name"], "y");
}

#[test]
fn rows_have_the_form_that_the_profile_of_a_server_has() {
    let asked = |field: Option<&str>, named, listed| {
        in_form(Model::clone(&iris()), |feature| feature.replace('_', "-"), field, named, listed)
    };
    let list = object!([5.1, 3.5, 1.4, null]);
    let named = object!({"sepal-length": 5.1, "sepal-width": 3.5, "petal-length": 1.4, "petal-width": null});
    for (model, expected) in [
        (asked(None, true, false), named.clone()),
        (asked(None, true, true), object!([named])),
        (asked(None, false, true), object!([list])),
        (asked(None, false, false), list.clone()),
        (asked(Some("a \"b\""), true, false), object!({"a \"b\"": named})),
        (asked(Some("data"), false, true), object!({"data": [list]})),
    ] {
        assert_eq!(body(&Protocol::Native, &model, &ROW), expected);
        let writer = BodyWriter::new(&Protocol::Native, &model).unwrap();
        assert_eq!(writer.body(&writer.texts(&ROW)), writer.row(&ROW));
        // V1 defines its field.
        assert_eq!(body(&Protocol::V1, &model, &ROW), object!({"instances": [list]}));
    }
    let mut v1 = Model::clone(&asked(Some("instances"), true, true));
    v1.server.as_mut().unwrap().protocol = Some(ServerProtocol::V1);
    let v1 = Arc::new(v1);
    assert_eq!(body(&Protocol::V1, &v1, &ROW), object!({"instances": [named]}));
    // The form of another protocol is not sent to a native server.
    assert_eq!(body(&Protocol::Native, &v1, &ROW), object!({"features": list}));
}

#[test]
fn a_feature_that_the_protocol_has_no_place_for_is_an_error() {
    let error = |protocol| BodyWriter::new(&protocol, &mixed()).unwrap_err();
    let matrix = error(tensors(Some("x")));
    assert!(matrix.starts_with("tensors.matrix: tensor \"x\""), "{matrix}");
    assert!(matrix.contains("feature \"letter\" of model t has texts; leave `matrix` out"), "{matrix}");
}

#[test]
fn a_body_of_texts_may_have_fewer_or_more_values_than_features() {
    let card = iris();
    let mut protocols = vec![Protocol::Native, Protocol::V1, Protocol::Mlflow];
    protocols.extend([tensors(None), tensors(Some("x"))]);
    for protocol in protocols {
        let writer = BodyWriter::new(&protocol, &card).unwrap();
        assert_eq!(writer.body(&writer.texts(&ROW)), writer.row(&ROW));
        for count in [0, 1, 3, 5] {
            let texts = vec!["7".to_owned(); count];
            let body = writer.body(&texts);
            assert!(serde_json::from_str::<Value>(&body).is_ok(), "{protocol:?}: {body}");
            assert_eq!(body.matches('7').count(), count, "{body}");
        }
    }
}
