//! Implements the endpoints that the service is compared with. They have one worker each and are written as in the actix manual,
//! without metrics, limits and signed ids.

use actix_web::{App, HttpResponse, HttpServer, web};
use model::{ModelFile, Output, Predictor};
use ort::{session::Session, value::Tensor};
use serde::{Deserialize, Serialize};
use std::{
    io::Write,
    net::TcpListener,
    path::Path,
    sync::{Arc, Mutex},
};

/// Serves the built-in model, with the requests and answers of the service.
pub fn serve_linear() {
    serve(|config| {
        let file = iris();
        config
            .app_data(web::Data::new((predictor(&file), file)))
            .service(web::resource("/predict").route(web::post().to(linear)));
    });
}

/// Reads the body and sends the same bytes each time, without parsing JSON and without a model.
pub fn serve_static() {
    let file = iris();
    let prediction = predictor(&file).predict_row(&[6.3, 3.3, 6.0, 2.5].map(Some)).expect("plain numbers");
    let answer = web::Bytes::from(serde_json::to_vec(&answer(&file, &prediction)).expect("plain data"));
    serve(move |config| {
        let answer = answer.clone();
        let reply = move |_: web::Bytes| {
            let answer = answer.clone();
            async move { HttpResponse::Ok().content_type("application/json").body(answer) }
        };
        config.service(web::resource("/predict").route(web::post().to(reply)));
    });
}

/// Serves an ONNX classifier with one matrix of single-precision numbers and integer labels.
pub fn serve_onnx(model: &Path) {
    let library = std::env::var_os(onnx::runtime::LIBRARY_VARIABLE).expect("the path of ONNX Runtime");
    let builder = ort::init_from(Path::new(&library)).expect("ONNX Runtime loads");
    let environment = builder.with_telemetry(false).build().expect("ONNX Runtime starts");
    let bytes = std::fs::read(model).expect("the model's file");
    // These are the options that the service uses for its sessions.
    let session = Session::builder(&environment)
        .and_then(|builder| builder.with_intra_threads(1)?.with_inter_threads(1)?.commit_from_memory(&bytes))
        .expect("the model loads");
    let session = web::Data::new(Mutex::new(session));
    serve(move |config| {
        config.app_data(session.clone()).service(web::resource("/predict").route(web::post().to(boosted)));
    });
}

fn serve(routes: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let routes = Arc::new(Mutex::new(routes));
    actix_web::rt::System::new()
        .block_on(async move {
            let server = HttpServer::new(move || {
                let routes = routes.lock().expect("no panic before").clone();
                App::new().configure(routes)
            })
            .workers(1)
            .listen(listener)?
            .run();
            writeln!(std::io::stderr(), "address={address}")?;
            server.await
        })
        .expect("the server runs");
}

fn iris() -> ModelFile {
    inference::load_model(None).expect("the built-in model")
}

fn predictor(file: &ModelFile) -> Predictor {
    Predictor::built_in(file).expect("a built-in model")
}

#[derive(Deserialize)]
struct Question {
    features: Vec<Option<f64>>,
}

/// The fields of the service's answer, with an id that is not signed.
#[derive(Serialize)]
struct Answer<'a> {
    prediction: usize,
    class: &'a str,
    probabilities: &'a [f64],
    prediction_id: &'a str,
    model: &'a str,
    version: &'a str,
}

const ID: &str = "AQGiAlcjNwAA_2JTIVAvHx3YoAmNzm68tou6YNXcArQ_PILU4FODCNc";

fn answer<'a>(file: &'a ModelFile, prediction: &'a model::Prediction) -> Answer<'a> {
    let Output::Class { class, probabilities: Some(probabilities) } = &prediction.output else {
        unreachable!("the built-in model predicts classes with probabilities")
    };
    Answer {
        prediction: *class,
        class: &file.card.classes[*class],
        probabilities,
        prediction_id: ID,
        model: &file.card.name,
        version: &file.card.version,
    }
}

async fn linear(question: web::Json<Question>, model: web::Data<(Predictor, ModelFile)>) -> HttpResponse {
    match model.0.predict_row(&question.features) {
        Ok(prediction) => HttpResponse::Ok().json(answer(&model.1, &prediction)),
        Err(error) => HttpResponse::UnprocessableEntity().body(error.to_string()),
    }
}

async fn boosted(question: web::Json<Question>, session: web::Data<Mutex<Session>>) -> HttpResponse {
    match run(&question, &mut session.lock().expect("no panic before")) {
        Ok(response) => response,
        Err(error) => HttpResponse::UnprocessableEntity().body(error.to_string()),
    }
}

fn run(question: &Question, session: &mut Session) -> ort::Result<HttpResponse> {
    let row: Vec<f32> =
        question.features.iter().map(|value| value.map_or(f32::NAN, |value| value as f32)).collect();
    let tensor = Tensor::from_array(([1, row.len()], row))?;
    let outputs = session.run(ort::inputs![tensor])?;
    let (_, labels) = outputs["label"].try_extract_tensor::<i64>()?;
    let (_, probabilities) = outputs["probabilities"].try_extract_tensor::<f32>()?;
    let probabilities: Vec<f64> = probabilities.iter().map(|&probability| f64::from(probability)).collect();
    Ok(HttpResponse::Ok().json(Answer {
        prediction: labels[0] as usize,
        class: &labels[0].to_string(),
        probabilities: &probabilities,
        prediction_id: ID,
        model: "gradient_boosting",
        version: "0123456789ab",
    }))
}
