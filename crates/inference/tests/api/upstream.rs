//! Profiles of models that run in a server: `inference profile --upstream`, and the readers of requests and answers beside it.

use crate::harness::{DEADLINE, IRIS, Service};
use inference::foreign::{Protocol, Reader};
use model::{ModelFile, Output, ServerForm, ServerProbabilities, iris};
use serde_json::{Value, json};
use std::{
    cell::Cell,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// What a server answers to a path and a body: a status and a body.
type Answer = dyn Fn(&str, &Value) -> (u16, String) + Send + Sync;

/// A server of one thread per connection, which ends with the test process.
pub fn server(answer: impl Fn(&str, &Value) -> (u16, String) + Send + Sync + 'static) -> SocketAddr {
    server_over(|stream| stream, answer)
}

/// A server whose connections are streams that `over` returns, such as those of TLS.
pub fn server_over<S: Read + Write>(
    over: impl Fn(TcpStream) -> S + Send + Sync + 'static,
    answer: impl Fn(&str, &Value) -> (u16, String) + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (over, answer): (_, Arc<Answer>) = (Arc::new(over), Arc::new(answer));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (over, answer) = (Arc::clone(&over), Arc::clone(&answer));
            std::thread::spawn(move || {
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(DEADLINE)).unwrap();
                talk(over(stream), &answer);
            });
        }
    });
    address
}

/// Answers the requests of a connection until the client closes it.
fn talk(stream: impl Read + Write, answer: &Arc<Answer>) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut first, mut length) = (String::new(), 0);
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let path = first.split(' ').nth(1).unwrap_or_default();
        let (status, text) = answer(path, &serde_json::from_slice(&body).unwrap_or_default());
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nContent-Type: application/json\r\n\r\n",
            text.len()
        );
        // The client may be gone.
        let _ = reader.get_mut().write_all((head + &text).as_bytes());
    }
}

/// Writes Iris with its species as a table.
fn table(folder: &Path) -> String {
    let table = iris::table();
    let mut text: String = table.columns.iter().map(|column| format!("{},", column.name)).collect();
    text += "species\n";
    for row in 0..table.len() {
        text += &table.values.iter().map(|column| format!("{},", column[row])).collect::<String>();
        text += &format!("{}\n", table.classes[table.labels[row]]);
    }
    let path = folder.join("iris.csv");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

pub struct Profiled {
    pub file: ModelFile,
    pub text: String,
}

/// Runs `inference profile` on Iris with these flags.
pub fn profile(url: &str, flags: &[&str]) -> Result<Profiled, String> {
    profile_with(url, flags, &[])
}

/// Runs `inference profile` on Iris with these flags and environment variables.
pub fn profile_with(url: &str, flags: &[&str], variables: &[(&str, &str)]) -> Result<Profiled, String> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("card.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_inference"));
    command.args(["profile", "--data", &table(folder.path()), "--target", "species", "--upstream", url]);
    command.envs(variables.iter().copied());
    let output = command.args(["--out", &out.display().to_string()]).args(flags).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        return Err(text(&output.stderr));
    }
    let file = ModelFile::from_json(&std::fs::read_to_string(out).unwrap()).unwrap();
    Ok(Profiled { file, text: text(&output.stdout) })
}

/// Profiles the model of this server, which answers the protocol `native`.
fn native(
    answer: impl Fn(&Value) -> (u16, String) + Send + Sync + 'static,
    flags: &[&str],
) -> Result<Profiled, String> {
    let address = server(move |_, body| answer(body));
    profile(&format!("http://{address}"), &[&["--protocol", "native"], flags].concat())
}

/// The class that a rule on the petals gives to a row, and how sure it is.
pub fn rule(row: &Value) -> (usize, f64) {
    let value = |at: usize, name: &str| row.get(name).or_else(|| row.get(at)).and_then(Value::as_f64);
    let (Some(length), Some(width)) = (value(2, "petal_length"), value(3, "petal_width")) else {
        return (0, 0.0);
    };
    match length + width {
        sum if sum < 3.0 => (0, 0.95),
        sum if sum < 6.4 => (1, 0.5 + (6.4 - sum) / 10.0),
        sum => (2, (0.5 + (sum - 6.4) / 8.0).min(0.97)),
    }
}

const NAMES: [&str; 3] = ["setosa", "versicolor", "virginica"];

/// Classes that the table does not have.
const COLOURS: [&str; 3] = ["red", "green", "blue"];

/// Answers a body with one row of named values, and refuses others.
pub fn one_row(body: &Value, answer: impl Fn(usize, f64) -> Value) -> (u16, String) {
    if !body.is_object() || body.get("petal_length").is_none() {
        return (422, json!({"detail": "field required"}).to_string());
    }
    let (class, confidence) = rule(body);
    (200, answer(class, confidence).to_string())
}

#[test]
fn the_service_itself_is_profiled_by_every_protocol() {
    let service = Service::start();
    let reference = IRIS.card.reference.confidence.unwrap();
    for (protocol, model, has_probabilities) in [
        ("native", None, true),
        ("oip-v2", Some("iris"), true),
        ("v1", Some("iris"), false),
        ("mlflow", None, false),
    ] {
        let mut flags = vec!["--protocol", protocol];
        flags.extend(model.iter().flat_map(|name| ["--upstream-model", name]));
        let Profiled { file, text } = profile(&service.url(""), &flags).unwrap();
        assert_eq!(file.card.classes, NAMES, "{protocol}");
        let confidence = file.card.reference.confidence;
        assert_eq!(confidence.is_some(), has_probabilities, "{protocol}");
        // The weights were fitted on most of these rows.
        assert!(confidence.is_none_or(|own| (own - reference).abs() < 0.05), "{protocol}: {confidence:?}");
        assert!(file.card.reference.accuracy.unwrap() > 0.93, "{protocol}");
        assert!(!text.contains("differently"), "{text}");
    }
}

/// Rows of Iris in the forms of each protocol.
fn requests(rows: &[[f64; 4]]) -> Vec<(Protocol, &'static str, Value)> {
    let names = ["sepal_length", "sepal_width", "petal_length", "petal_width"];
    let records: Vec<Value> =
        rows.iter().map(|row| names.iter().zip(row).map(|(name, value)| (*name, *value)).collect()).collect();
    let tensor = json!({"name": "x", "shape": [rows.len(), 4], "datatype": "FP64", "data": rows.concat()});
    let columns: Vec<Value> = (0..4)
        .map(|at| {
            let data: Vec<f64> = rows.iter().map(|row| row[at]).collect();
            json!({"name": names[at], "shape": [rows.len(), 1], "datatype": "FP64", "data": data})
        })
        .collect();
    let infer = "/v2/models/iris/infer";
    vec![
        (Protocol::Native, "/predict", json!({"instances": rows})),
        (Protocol::Native, "/predict", json!({"features": rows[0]})),
        (Protocol::V1, "/v1/models/iris:predict", json!({"instances": records})),
        (Protocol::Mlflow, "/invocations", json!({"dataframe_split": {"columns": names, "data": rows}})),
        (Protocol::Mlflow, "/invocations", json!({"inputs": rows})),
        (Protocol::OipV2, infer, json!({"inputs": [tensor]})),
        (
            Protocol::OipV2,
            infer,
            json!({"inputs": columns, "outputs": [{"name": "predict"}, {"name": "predict_proba"}]}),
        ),
        (Protocol::OipV2, infer, json!({"inputs": columns, "parameters": {"binary_data_output": true}})),
    ]
}

#[tokio::test]
async fn the_readers_agree_with_the_service_on_rows_and_outputs() {
    let service = Service::start();
    let reader = Reader::new(&IRIS).unwrap();
    let pool = IRIS.card.pool().unwrap();
    let mut random = <rand_chacha::ChaCha8Rng as rand::SeedableRng>::seed_from_u64(11);
    for count in [1, 2, 17] {
        let mut rows = Vec::new();
        for at in 0..count {
            let mut row = Vec::new();
            pool.draw(at % 3, &mut random, &mut row);
            rows.push([0, 1, 2, 3].map(|at| row[at].unwrap()));
        }
        let sent = json!({"instances": rows});
        let (_, truth) = service.predict(&sent.to_string()).await;
        for (protocol, path, body) in requests(&rows) {
            let read = reader.rows(protocol, None, None, body.to_string().as_bytes()).unwrap();
            let sent = if body.get("features").is_some() { &rows[..1] } else { &rows[..] };
            let got: Vec<Vec<f64>> =
                read.rows().iter().map(|row| row.iter().flatten().copied().collect()).collect();
            assert_eq!(got, sent, "{body}");
            let request = service.client.post(service.url(path)).header("Content-Type", "application/json");
            let response = request.body(body.to_string()).send().await.unwrap();
            assert_eq!(response.status(), 200, "{body}");
            let length = response.headers().get("inference-header-content-length");
            let length = length.map(|value| value.to_str().unwrap().parse().unwrap());
            let answer = response.bytes().await.unwrap();
            let outputs = reader.outputs(protocol, length, &answer).unwrap();
            assert_eq!(outputs.len(), sent.len());
            for (output, truth) in outputs.iter().zip(truth["predictions"].as_array().unwrap()) {
                assert_eq!(json!(output.value() as usize), truth["prediction"], "{body}");
                let probabilities = |own: &[f64]| {
                    let all = truth["probabilities"].as_array().unwrap().iter().filter_map(Value::as_f64);
                    all.zip(own).all(|(truth, own)| (truth - own).abs() < 1e-12)
                };
                assert!(output.probabilities().is_none_or(probabilities), "{output:?} {truth}");
                let is_bare = matches!(protocol, Protocol::V1 | Protocol::Mlflow);
                assert_eq!(output.probabilities().is_none(), is_bare, "{body}");
            }
        }
    }
}

#[test]
fn a_service_of_one_row_at_a_time_is_profiled_from_named_values() {
    let answer = |body: &Value| {
        one_row(body, |class, confidence| json!({"label": NAMES[class], "confidence": confidence}))
    };
    let Profiled { file, text } = native(answer, &["--name", "flowers"]).unwrap();
    let server = file.server.as_ref().unwrap();
    assert_eq!(server.probabilities, ServerProbabilities::PredictedClass);
    assert_eq!(
        (server.output.as_deref(), server.probabilities_output.as_deref()),
        (Some("label"), Some("confidence"))
    );
    assert!(text.contains("one object of named values, one row each"), "{text}");
    assert_eq!(server.form, Some(ServerForm { field: None, named: true, listed: false }));
    assert!(text.contains("divided evenly"), "{text}");
    let reader = Reader::new(&file).unwrap();
    let outputs =
        reader.outputs(Protocol::Native, None, br#"{"label":"virginica","confidence":0.8}"#).unwrap();
    assert!(matches!(outputs[0], Output::Class { class: 2, .. }));
    assert_eq!(outputs[0].confidence(), Some(0.8));
}

#[test]
fn a_server_that_closes_the_connection_on_other_forms_is_profiled() {
    // The connection is closed when its thread panics.
    let answer = |body: &Value| match body["features"].as_array() {
        Some(row) => (200, json!({"label": NAMES[rule(&json!(row)).0]}).to_string()),
        None => panic!("a failure that the test expects"),
    };
    let Profiled { file, .. } = native(answer, &[]).unwrap();
    assert_eq!(file.server.unwrap().form.unwrap().field.as_deref(), Some("features"));
}

#[test]
fn a_server_that_closes_the_connection_after_a_refusal_is_profiled() {
    thread_local! {
        /// Whether the connection of this thread has got an error as its answer.
        static HAS_REFUSED: Cell<bool> = const { Cell::new(false) };
    }
    let answer = |body: &Value| {
        assert!(!HAS_REFUSED.get(), "a failure that the test expects");
        match body["features"].as_array() {
            Some(row) => (200, json!({"label": NAMES[rule(&json!(row)).0]}).to_string()),
            None => {
                HAS_REFUSED.set(true);
                (422, "no features".into())
            }
        }
    };
    let Profiled { file, .. } = native(answer, &[]).unwrap();
    let form = file.server.unwrap().form.unwrap();
    assert_eq!(form, ServerForm { field: Some("features".into()), named: false, listed: false });
}

#[test]
fn a_server_that_resets_the_connection_on_a_form_is_profiled() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        // Unread bytes make the closed connection a reset one.
        let mut stream = listener.accept().unwrap().0;
        stream.read_exact(&mut [0]).unwrap();
        drop(stream);
        let answer: Arc<Answer> = Arc::new(|_: &str, body: &Value| {
            let rows = body["instances"].as_array().unwrap().iter();
            let classes = rows.map(|row| NAMES[rule(row).0]);
            (200, json!({"predictions": classes.collect::<Vec<_>>()}).to_string())
        });
        for stream in listener.incoming() {
            talk(stream.unwrap(), &answer);
        }
    });
    let Profiled { file, .. } = profile(&format!("http://{address}"), &["--protocol", "native"]).unwrap();
    let form = file.server.unwrap().form.unwrap();
    assert_eq!(form, ServerForm { field: Some("instances".into()), named: true, listed: true });
}

#[test]
fn a_connection_that_is_closed_on_a_batch_is_an_error_and_no_row_is_sent_again() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let answer = move |body: &Value| {
        let rows = body["instances"].as_array().unwrap();
        counted.fetch_add(1, Ordering::SeqCst);
        assert!(rows.len() <= 2, "a failure that the test expects");
        let classes = rows.iter().map(|row| NAMES[rule(row).0]);
        (200, json!({"predictions": classes.collect::<Vec<_>>()}).to_string())
    };
    let error = native(answer, &[]).map(|own| own.text).unwrap_err();
    for part in [
        "iris.csv:2 to 51: POST /predict: the server closed the connection without an answer",
        "send fewer rows at once with --upstream-batch, or look for the reason in the server's log",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert_eq!(requests.load(Ordering::SeqCst), 2);
}

#[test]
fn rows_without_a_field_are_sent_as_lists() {
    let answer = |body: &Value| match body.as_array() {
        Some(rows) if rows.iter().all(Value::is_array) => {
            let answers = rows.iter().map(|row| json!({"label": NAMES[rule(row).0]}));
            (200, Value::from(answers.collect::<Vec<_>>()).to_string())
        }
        _ => (422, "expected a list of lists".into()),
    };
    let Profiled { file, text } = native(answer, &[]).unwrap();
    assert_eq!(file.server.unwrap().form, Some(ServerForm { field: None, named: false, listed: true }));
    assert!(text.contains("rows are sent as [[…], …]"), "{text}");
}

#[test]
fn an_answer_that_cannot_be_read_is_reported_rather_than_the_refusals_of_other_forms() {
    let error = native(
        |body| match body.get("petal_length") {
            Some(_) => (200, "[0.9, 0.05, 0.05]".into()),
            None => (422, "no petal_length".into()),
        },
        &[],
    );
    let error = error.map(|own| own.text).unwrap_err();
    assert!(error.contains("the server answers one object of named values, one row each, but"), "{error}");
    assert!(error.contains("sent 1 rows, but the answer has 3"), "{error}");
    let error = native(|_| (422, "no rows".into()), &[]).map(|own| own.text).unwrap_err();
    assert!(error.contains("the field that has the rows (--tensor)") && error.contains("no rows"), "{error}");
}

#[test]
fn a_server_that_answers_numbers_needs_names_for_its_classes() {
    let answer = |body: &Value| one_row(body, |class, _| json!({"prediction": class}));
    let error = native(answer, &[]).map(|own| own.text).unwrap_err();
    assert!(error.contains("the model returns \"0\", \"1\", \"2\", but the target column has"), "{error}");
    assert!(error.contains("--classes"), "{error}");
    let Profiled { file, text } = native(answer, &["--classes", "setosa,versicolor,virginica"]).unwrap();
    assert_eq!(file.server.as_ref().unwrap().labels, ["0", "1", "2"]);
    assert!(text.contains("labels of the server: 0 is setosa, 1 is versicolor, 2 is virginica"), "{text}");
    let outputs =
        Reader::new(&file).unwrap().outputs(Protocol::Native, None, br#"{"prediction":1}"#).unwrap();
    assert_eq!(outputs, [Output::Class { class: 1, probabilities: None }]);
}

#[test]
fn columns_have_the_names_and_the_order_of_the_server() {
    let answer = |body: &Value| {
        let Some(rows) = body["instances"].as_array() else { return (400, "no instances".into()) };
        let class = |row: &Value| NAMES[rule(&json!([0, 0, row[1], row[0]])).0];
        (200, json!({"predictions": rows.iter().map(class).collect::<Vec<_>>()}).to_string())
    };
    let inputs = "w=petal_width,l=petal_length,sepal_length,b=sepal_width";
    let Profiled { file, text } = native(answer, &["--inputs", inputs]).unwrap();
    assert!(file.card.reference.accuracy.unwrap() > 0.9);
    for line in ["1   \"w\" is feature \"petal_width\"", "3   \"sepal_length\"\n"] {
        assert!(text.contains(line), "{text}");
    }
    let reader = Reader::new(&file).unwrap();
    let rows =
        reader.rows(Protocol::Native, None, None, br#"[{"w":1,"l":2,"sepal_length":3,"b":4}]"#).unwrap();
    assert_eq!(rows.rows()[0], [3.0, 4.0, 2.0, 1.0].map(Some));
    for (inputs, problem) in [
        ("w=petal_width", "has no name for \"sepal_length\", \"sepal_width\", \"petal_length\""),
        ("w=width", "the table has no column \"width\", only"),
        ("a=petal_width,a=petal_length", "is given twice"),
    ] {
        let error = native(answer, &["--inputs", inputs]).map(|own| own.text).unwrap_err();
        assert!(error.contains("--inputs") && error.contains(problem), "{error}");
    }
}

#[test]
fn numbers_are_a_regression_and_answers_that_vary_are_noted() {
    let count = AtomicUsize::new(0);
    let answer = move |body: &Value| {
        let noise = 1e-3 * count.fetch_add(1, Ordering::Relaxed) as f64;
        one_row(body, |_, confidence| json!({"price": 10.0 * confidence + noise}))
    };
    let error = native(answer, &[]).map(|own| own.text).unwrap_err();
    assert!(error.contains("the model predicts a number, but the column has \"setosa\""), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let count = AtomicUsize::new(0);
    let address = server(move |_, body| {
        let noise = 1e-3 * count.fetch_add(1, Ordering::Relaxed) as f64;
        one_row(body, |_, confidence| json!({"price": 10.0 * confidence + noise}))
    });
    let out = folder.path().join("card.json").display().to_string();
    let url = format!("http://{address}/");
    let flags = ["--drop", "species", "--upstream", &url, "--protocol", "native", "--out", &out];
    let output = Command::new(env!("CARGO_BIN_EXE_inference"))
        .args(["profile", "--data", &table(folder.path())])
        .args(flags)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("differently when they were sent a second time"),
        "{output:?}"
    );
    let file = ModelFile::from_json(&std::fs::read_to_string(&out).unwrap()).unwrap();
    assert!(file.card.predicts_number() && file.server.unwrap().output.as_deref() == Some("price"));
}

#[test]
fn servers_that_cannot_be_profiled_are_errors_with_a_remedy() {
    let page = |_: &Value| (200, "<html>Sign in</html>".to_owned());
    let error = |answer: fn(&Value) -> (u16, String)| native(answer, &[]).map(|own| own.text).unwrap_err();
    for (text, parts) in [
        (
            native(page, &[]).map(|own| own.text).unwrap_err(),
            ["expected JSON, got an HTML page: \"Sign in\"", "iris.csv:2"],
        ),
        (error(|_| (404, "{}".into())), ["the server answered 404", "--upstream-path"]),
        (error(|_| (401, "{}".into())), ["the server answered 401", "INFERENCE_UPSTREAM_TOKEN"]),
        (error(|_| (302, "{}".into())), ["the server redirects", "give that address"]),
        (
            error(|_| (502, "<html>\n<title>Bad Gateway</title>\n</html>".into())),
            ["the server answered 502: an HTML page: \"Bad Gateway\"", "--inputs"],
        ),
        (error(|_| (500, "boom".into())), ["the server answered 500: \"boom\"", "--inputs"]),
        (
            error(|_| (200, json!(["setosa", "setosa", "setosa"]).to_string())),
            ["sent 2 rows, but the answer has 3", "iris.csv:2 to 3"],
        ),
        (
            error(|body| one_row(body, |class, _| json!({"a": NAMES[class], "b": NAMES[class]}))),
            ["the prediction may be \"a\" or \"b\"", "--output"],
        ),
        (
            error(|body| one_row(body, |class, _| json!({"class": COLOURS[class]}))),
            ["the model returns \"blue\", \"green\", \"red\", but the target column has", "--classes"],
        ),
        (
            error(|body| match body["petal_width"].as_f64() {
                Some(width) if width > 2.4 => (500, "too wide".into()),
                _ => one_row(body, |class, _| json!({"class": NAMES[class]})),
            }),
            ["the server answered 500: \"too wide\"", "iris.csv:1"],
        ),
        (
            profile("http://127.0.0.1:1", &["--protocol", "v1"]).map(|own| own.text).unwrap_err(),
            ["--upstream-model", "v1"],
        ),
        (
            profile("http://127.0.0.1:1", &["--protocol", "native"]).map(|own| own.text).unwrap_err(),
            ["cannot connect", "is the server running?"],
        ),
        (
            profile("http://user:secret@127.0.0.1:1/a b", &["--protocol", "native"])
                .map(|own| own.text)
                .unwrap_err(),
            ["--upstream", "…@127.0.0.1"],
        ),
        (
            native(|_| (200, "{}".into()), &["--output", "x"]).map(|own| own.text).unwrap_err(),
            ["has no values that can be read", "iris.csv:2"],
        ),
    ] {
        for part in parts {
            assert!(text.contains(part) && !text.contains("secret"), "{part}: {text}");
        }
    }
}

#[test]
fn the_path_can_be_given_and_the_metadata_of_the_server_name_its_tensor() {
    let address = server(|path, body| match path {
        "/prefix/v2/models/m" => {
            let input = json!({"name": "features", "datatype": "FP32", "shape": [-1, 4]});
            (200, json!({"name": "m", "inputs": [input]}).to_string())
        }
        "/prefix/v2/models/m/infer" => {
            let tensor = &body["inputs"][0];
            if tensor["name"] != "features" || tensor["datatype"] != "FP32" {
                return (400, json!({"error": "unknown tensor"}).to_string());
            }
            let data = tensor["data"].as_array().unwrap();
            let data: Vec<usize> = data.chunks(4).map(|row| rule(&json!(row)).0).collect();
            let output = json!({"name": "y_hat", "datatype": "INT64", "shape": [data.len()], "data": data});
            (200, json!({"outputs": [output]}).to_string())
        }
        _ => (404, String::new()),
    });
    let flags = ["--protocol", "oip-v2", "--upstream-model", "m", "--classes", "setosa,versicolor,virginica"];
    let Profiled { file, .. } = profile(&format!("http://{address}/prefix"), &flags).unwrap();
    assert_eq!(file.card.name, "m");
    assert_eq!(file.server.unwrap().output.as_deref(), Some("y_hat"));
    let flags = [&flags[..], &["--upstream-path", "/v2/models/m/infer"]].concat();
    profile(&format!("http://{address}/prefix"), &flags).unwrap();
    let error = profile(&format!("http://{address}"), &flags).map(|own| own.text).unwrap_err();
    assert!(error.contains("POST /v2/models/m/infer: the server answered 404"), "{error}");
}
