//! The memory of copies is limited, and requests pass when there is none.

use crate::{
    message::{self, Message},
    support::{PROFILE, Watched, ask, connect},
    upstream::{Answer, Upstream},
};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// A batch of about 600 kB.
fn batch() -> String {
    format!(r#"{{"instances":[{}]}}"#, vec!["[5.1,3.5,1.4,0.2]"; 33_000].join(","))
}

#[test]
fn bodies_beyond_the_memory_for_copies_pass_and_are_counted() {
    let upstream = Upstream::answering(|_| {
        Answer::json(200, &serde_json::json!({ "predictions": vec!["setosa"; 33_000] }).to_string())
    });
    let watched = Watched::iris(upstream.address, &["--copy-memory", "700KiB"]);
    let answer = watched.post("/predict", &batch());
    assert_eq!((answer.status(), answer.json()["predictions"].as_array().unwrap().len()), (200, 33_000));
    watched.until_outcome("no_memory", 1.0);
    assert_eq!(upstream.take()[0].body, batch().as_bytes());
    // The memory is free again.
    watched.post("/predict", r#"{"features":[5.1,3.5,1.4,0.2]}"#);
    watched
        .until("the second request is counted", |watched| watched.metric("watch_requests_total", &[]) == 2.0);
    assert_eq!(watched.outcome("no_memory"), 1.0);
}

#[test]
fn a_stream_passes_piece_by_piece() {
    let (next, pieces) = std::sync::mpsc::channel::<&'static [u8]>();
    let pieces = std::sync::Mutex::new(pieces);
    let address = Upstream::serving(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        Message::read_head(&mut reader).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        while let Ok(piece) = pieces.lock().unwrap().recv() {
            stream.write_all(piece).unwrap();
        }
    });
    let watched = Watched::iris(address, &[]);
    let mut stream = connect(watched.address);
    stream.write_all(&message::post("/predict", "")).unwrap();
    let mut reader = BufReader::new(stream);
    assert_eq!(Message::read_head(&mut reader).unwrap().status(), 200);
    // Each piece arrives before the next one is sent.
    for piece in ["one", "two", "six"] {
        let chunk: &'static [u8] = format!("3\r\n{piece}\r\n").leak().as_bytes();
        next.send(chunk).unwrap();
        let mut came = [0; 8];
        reader.read_exact(&mut came).unwrap();
        assert_eq!(came, chunk);
    }
    next.send(b"0\r\n\r\n").unwrap();
    drop(next);
    watched.until("the stream is counted", |watched| watched.metric("watch_requests_total", &[]) == 1.0);
}

/// The program in a process of its own, so that its memory can be measured.
struct Process {
    child: Child,
    address: SocketAddr,
    own: SocketAddr,
    /// The messages that were logged since the start.
    log: Arc<Mutex<Vec<String>>>,
}

impl Process {
    fn start(upstream: SocketAddr, flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_inference"))
            .args(["watch", "--upstream", &format!("http://{upstream}"), "--profile"])
            .arg(PROFILE.as_path())
            .args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--log-format", "json"])
            .args(flags)
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut lines =
            log.lines().map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap());
        let watching = lines.find(|line| line["fields"]["message"] == "watching").unwrap();
        let address = |name: &str| watching["fields"][name].as_str().unwrap().parse().unwrap();
        let (address, own) = (address("address"), address("own"));
        let log = Arc::new(Mutex::new(Vec::new()));
        let logged = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines {
                logged
                    .lock()
                    .unwrap()
                    .push(line["fields"]["message"].as_str().unwrap_or_default().to_owned());
            }
        });
        Self { child, address, own, log }
    }

    /// Waits until a message that contains this text is logged.
    fn until_logged(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.log.lock().unwrap().iter().any(|message| message.contains(text)) {
            assert!(Instant::now() < deadline, "not logged: {text}; {:?}", self.log.lock().unwrap());
            std::thread::yield_now();
        }
    }

    /// Returns the resident memory in bytes.
    fn memory(&self) -> f64 {
        let page = ask(self.own, b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").body;
        let page = String::from_utf8(page).unwrap();
        let line = page.lines().find(|line| line.starts_with("process_resident_memory_bytes ")).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that reads each request and then answers how many bytes its body had.
fn counting() -> SocketAddr {
    Upstream::serving(|mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Ok(head) = Message::read_head(&mut reader) {
            let length: u64 = head.field("content-length").unwrap().parse().unwrap();
            let received = std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink()).unwrap();
            stream.write_all(&Answer::json(200, &received.to_string()).bytes).unwrap();
        }
    })
}

#[test]
fn the_log_names_requests_that_are_not_observed() {
    let watched = Process::start(counting(), &[]);
    let ask = |bytes: &[u8]| {
        let mut stream = connect(watched.address);
        stream.write_all(bytes).unwrap();
        // An answer, or the end of the connection.
        let _ = stream.read(&mut [0; 64]);
    };
    ask(&message::post("/score", "{}"));
    watched.until_logged("a POST to this path was answered with JSON, but was not observed");
    ask(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    watched.until_logged("a client began with HTTP/2");
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let watched = Process::start(nowhere, &[]);
    let mut stream = connect(watched.address);
    stream.write_all(&message::post("/predict", "{}")).unwrap();
    watched.until_logged("a request was not answered: the model server cannot be reached");
}

#[test]
fn a_body_of_a_gigabyte_passes_without_taking_memory() {
    const SIZE: usize = 1 << 30;
    let watched = Process::start(counting(), &[]);
    let mut stream = connect(watched.address);
    let head =
        format!("POST /predict HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {SIZE}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..SIZE >> 20 {
        stream.write_all(&chunk).unwrap();
    }
    let answer = Message::read_answer(&mut BufReader::new(stream), false).unwrap();
    assert_eq!(answer.body, SIZE.to_string().as_bytes());
    let memory = watched.memory();
    assert!(memory < 64e6, "{memory} bytes");
}

/// Starts an upstream that sends bodies back.
fn returning() -> SocketAddr {
    Upstream::serving(|mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Ok(head) = Message::read_head(&mut reader) {
            let mut body = vec![0; head.field("content-length").unwrap().parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            let answer = Answer::json(200, std::str::from_utf8(&body).unwrap());
            stream.write_all(&answer.bytes).unwrap();
        }
    })
}

#[test]
fn two_hundred_bodies_and_answers_at_once_fit_into_64_mebibytes() {
    const SIZE: usize = 1 << 20;
    let watched = Process::start(returning(), &[]);
    let body = vec![b'x'; SIZE];
    let half = SIZE / 2;
    let mut streams: Vec<_> = (0..200).map(|_| connect(watched.address)).collect();
    for stream in &mut streams {
        let head = format!("POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body[..half]).unwrap();
    }
    // All bodies are on their way.
    let memory = watched.memory();
    assert!(memory < f64::from(64 << 20), "{memory} bytes");
    for stream in &mut streams {
        stream.write_all(&body[half..]).unwrap();
        let answer = Message::read_answer(&mut BufReader::new(stream), false).unwrap();
        assert_eq!(answer.body, body);
    }
    let memory = watched.memory();
    assert!(memory < f64::from(64 << 20), "{memory} bytes");
}
