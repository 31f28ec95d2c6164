//! Measures the service's throughput as a ratio to that of bare actix endpoints, in one run, with
//! the same body and the same answer. Run it with `just bench`; it needs `wrk`.
//!
//! Two endpoints to compare with, each in a process of its own with one worker, as the service:
//! - `bare`: the same JSON in, the same model, the same JSON out, written as the actix manual would; no metrics, no
//!   limits, no signed ids
//! - `static`: takes the body and answers the same bytes every time; no JSON, no model: what actix itself costs
//!
//! With `INFERENCE_BASELINE=FILE`, the binary `inference` of another commit, that one takes part as `baseline`: the ratio to
//! it is what the changes since then cost.
//!
//! Servers take turns, and each turn gives one ratio; the median over the turns is printed, with the CPU time that each
//! server spent on a request, which a busy neighbour disturbs less.

use actix_web::{App, HttpResponse, HttpServer, web};
use model::{ModelFile, Output, Predictor};
use serde::{Deserialize, Serialize};
use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    sync::Arc,
};

const ROUNDS: usize = 7;
const SECONDS: &str = "2s";
const CONNECTIONS: &str = "16";
const BODY: &str = r#"{"features":[6.3,3.3,6.0,2.5]}"#;

fn main() {
    let mode = std::env::args().nth(1).unwrap_or_default();
    match mode.as_str() {
        "serve-bare" => serve(|config| {
            let file = iris();
            config
                .app_data(web::Data::new((predictor(&file), file)))
                .service(web::resource("/predict").route(web::post().to(bare)));
        }),
        "serve-static" => {
            let file = iris();
            let answer = answer(&file, &[6.3, 3.3, 6.0, 2.5].map(Some));
            let answer = web::Bytes::from(serde_json::to_vec(&answer.body()).expect("plain data"));
            serve(move |config| {
                let answer = answer.clone();
                let reply = move |_: web::Bytes| {
                    let answer = answer.clone();
                    async move { HttpResponse::Ok().content_type("application/json").body(answer) }
                };
                config.service(web::resource("/predict").route(web::post().to(reply)));
            });
        }
        // cargo passes `--bench`, and test runners ask for lists.
        _ if std::env::args().any(|arg| arg == "--bench") => compare(),
        _ => println!("0 tests: run `just bench`"),
    }
}

fn compare() {
    let this = std::env::current_exe().expect("this program has a path");
    let this = this.to_str().expect("of plain text");
    let service = ["serve", "--listen", "127.0.0.1:0", "--workers", "1"];
    let mut servers = vec![
        Server::start("service", env!("CARGO_BIN_EXE_inference"), &service),
        Server::start("bare", this, &["serve-bare"]),
        Server::start("static", this, &["serve-static"]),
    ];
    if let Ok(baseline) = std::env::var("INFERENCE_BASELINE") {
        servers.push(Server::start("baseline", &baseline, &service));
    }
    let script = tempfile::NamedTempFile::new().expect("a temporary file");
    let lua = format!(
        "wrk.method = 'POST'\nwrk.body = '{BODY}'\nwrk.headers['Content-Type'] = 'application/json'\n\
         done = function(s) if s.errors.status + s.errors.connect + s.errors.read + s.errors.timeout > 0 then \
         print('FAILED') end end"
    );
    std::fs::write(script.path(), lua).expect("a temporary file");
    let script = script.path().to_str().expect("of plain text");

    println!("{ROUNDS} rounds of {SECONDS}, {CONNECTIONS} connections, one worker each");
    let mut rounds: Vec<Vec<(f64, f64)>> = Vec::new();
    for round in 0..=ROUNDS {
        let mut measured = vec![(0.0, 0.0); servers.len()];
        // Every server gets to go first, so that none is favoured by what the one before it left behind.
        for turn in 0..servers.len() {
            let at = (round + turn) % servers.len();
            measured[at] = servers[at].measure(script);
        }
        // The first round warms up.
        if round > 0 {
            rounds.push(measured);
        }
    }
    for (at, server) in servers.iter().enumerate() {
        let rate = median(rounds.iter().map(|round| round[at].0));
        let cpu = median(rounds.iter().map(|round| round[at].1));
        println!("  {:<8} {rate:>8.0} requests/s  {cpu:>6.2} µs of CPU a request", server.name);
    }
    for (at, Server { name, .. }) in servers.iter().enumerate().skip(1) {
        let rate = median(rounds.iter().map(|round| round[0].0 / round[at].0));
        let cpu = median(rounds.iter().map(|round| round[0].1 / round[at].1));
        println!("service to {name}: throughput ratio {rate:.3}, CPU ratio {cpu:.3}");
    }
}

struct Server {
    name: &'static str,
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts a server that writes `address=ADDRESS` to its log.
    fn start(name: &'static str, program: &str, flags: &[&str]) -> Self {
        let mut child =
            Command::new(program).args(flags).stderr(Stdio::piped()).spawn().expect("the server starts");
        let mut log = BufReader::new(child.stderr.take().expect("piped")).lines();
        let address = loop {
            let line = log.next().expect("the server says where it listens").expect("in plain text");
            if let Some((_, rest)) = line.split_once("address=") {
                break rest.split_whitespace().next().and_then(|text| text.parse().ok()).expect("an address");
            }
        };
        std::thread::spawn(move || log.for_each(drop));
        Self { name, child, address }
    }

    /// Requests a second, and microseconds of the server's CPU time a request.
    fn measure(&mut self, script: &str) -> (f64, f64) {
        let before = self.cpu_seconds();
        let output = Command::new("wrk")
            .args(["-t", "1", "-c", CONNECTIONS, "-d", SECONDS, "-s", script])
            .arg(format!("http://{}/predict", self.address))
            .output()
            .expect("wrk is missing: `just bench` installs it");
        let spent = self.cpu_seconds() - before;
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && !text.contains("FAILED"), "{}: {text}", self.name);
        let field = |name: &str, at: usize| -> f64 {
            let line = text.lines().find(|line| line.contains(name)).expect("wrk's report");
            line.split_whitespace().nth(at).and_then(|text| text.parse().ok()).expect("a number")
        };
        (field("Requests/sec:", 1), spent / field("requests in", 0) * 1e6)
    }

    fn cpu_seconds(&self) -> f64 {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("a running server");
        // Fields 14 and 15 after the name in parentheses; in ticks of 1/100 s on every Linux that runs this.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
        (ticks(11) + ticks(12)) / 100.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn serve(routes: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let routes = Arc::new(std::sync::Mutex::new(routes));
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

struct Scored<'a>(&'a ModelFile, model::Prediction);

impl Scored<'_> {
    fn body(&self) -> Answer<'_> {
        let Output::Class { class, probabilities: Some(probabilities) } = &self.1.output else {
            unreachable!("the built-in model predicts classes with probabilities")
        };
        Answer {
            prediction: *class,
            class: &self.0.card.classes[*class],
            probabilities,
            prediction_id: "AQGiAlcjNwAA_2JTIVAvHx3YoAmNzm68tou6YNXcArQ_PILU4FODCNc",
            model: &self.0.card.name,
            version: &self.0.card.version,
        }
    }
}

fn predictor(file: &ModelFile) -> Predictor {
    Predictor::built_in(file).expect("a built-in model")
}

fn answer<'a>(file: &'a ModelFile, row: &[Option<f64>]) -> Scored<'a> {
    Scored(file, predictor(file).predict_row(row).expect("plain numbers"))
}

async fn bare(question: web::Json<Question>, model: web::Data<(Predictor, ModelFile)>) -> HttpResponse {
    match model.0.predict_row(&question.features) {
        Ok(prediction) => HttpResponse::Ok().json(Scored(&model.1, prediction).body()),
        Err(error) => HttpResponse::UnprocessableEntity().body(error.to_string()),
    }
}
