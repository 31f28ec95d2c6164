//! Tests of `driftsim check` against recorded pages of metrics, which a local HTTP server sends.

use crate::{
    cli::{command, driftsim, error, file, shop},
    common,
};
use model::ModelCard;
use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process::Stdio,
    thread::JoinHandle,
};

/// Answers one request after the other with `answers`, and then returns the heads of these requests.
fn serve(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let answer = move |answer: String| {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = String::new();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while !head.ends_with("\r\n\r\n") {
            reader.read_line(&mut head).unwrap();
        }
        stream.write_all(answer.as_bytes()).unwrap();
        head
    };
    (address, std::thread::spawn(move || answers.into_iter().map(answer).collect()))
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn ok(body: &str) -> String {
    answer("200 OK", "Content-Type: text/plain; version=0.0.4\r\n", body)
}

/// Returns the page of a server that counted the rows of the reference `times` times.
fn page(card: &ModelCard, times: u64) -> String {
    let (model, version) = (&card.name, &card.version);
    let mut page = "# HELP signal_bin_total Rows observed.\n# TYPE signal_bin_total counter\n".to_owned();
    for signal in &card.reference.signals {
        for (bin, count) in signal.bins.labels().iter().zip(&signal.counts) {
            let (name, rows) = (&signal.name, count * times);
            writeln!(
                page,
                "signal_bin_total{{model=\"{model}\",version=\"{version}\",signal=\"{name}\",bin=\"{bin}\"}} {rows}"
            )
            .unwrap();
        }
    }
    page + "process_start_time_seconds 1796101200\n"
}

/// Returns the path of a model file and the model's card.
fn model(folder: &std::path::Path) -> (String, ModelCard) {
    let path = shop(folder).0;
    let card = driftsim::load_card(Some(path.as_ref())).unwrap();
    (path, card)
}

/// Returns what `check` prints about the page at an address, and its exit code.
fn check(address: &str, reference: &str, more: &[&str]) -> (i32, String) {
    let output = driftsim(&[&["check", "--current", address, "--reference", reference], more].concat());
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text)
}

#[test]
fn the_rows_that_a_server_counted_are_judged() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, card) = model(folder.path());
    let steady = page(&card, 2);
    let (address, server) = serve(vec![ok(&steady); 3]);
    let metrics = format!("{address}/metrics");
    let (code, text) = check(&metrics, &reference, &[]);
    let expected = format!(
        "{metrics} against model shop {}\n1200 rows since the start of the server at 2026-12-01T05:00:00Z, steady: none of 5 signals drifts\n",
        card.version
    );
    assert!(code == 0 && text.starts_with(&expected), "{text}");
    for signal in ["price", "kind", "prediction", "confidence", "distance"] {
        assert!(text.contains(&format!("\n  {signal} ")), "{text}");
    }
    assert!(!text.contains("accuracy") && !text.contains("not read") && !text.contains("note"), "{text}");

    let (code, text) = check(&metrics, &reference, &["--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &json["overall"], &json["rows"]), (0, &"steady".into(), &1200.into()));
    assert_eq!((&json["rows_since"], &json["metrics"]), (&"server_start".into(), &metrics.into()));
    assert_eq!(json["server_start"], "2026-12-01T05:00:00Z");
    for absent in ["table", "unreadable_rows", "problems"] {
        assert!(json.get(absent).is_none(), "{absent}: {text}");
    }
    // An address without a path stands for its /metrics.
    let (_, text) = check(&address, &reference, &["--format", "html"]);
    let shown = "1200 rows since the start of the server at 2026-12-01T05:00:00Z against model shop";
    assert!(text.contains(shown) && text.contains("/metrics</h1>"), "{text}");
    let heads = server.join().unwrap();
    assert!(heads.iter().all(|head| head.starts_with("GET /metrics HTTP/1.1\r\n")), "{heads:?}");
    assert!(heads[0].contains("user-agent: driftsim/"), "{heads:?}");
}

#[test]
fn drift_that_a_server_counted_has_its_exit_code_and_its_bins() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, card) = model(folder.path());
    // 600 more rows have no kind.
    let labels = format!("model=\"shop\",version=\"{}\",signal=\"kind\",bin=\"missing\"", card.version);
    let missing = format!("signal_bin_total{{{labels}}} 0\n");
    let steady = page(&card, 1);
    assert!(steady.contains(&missing));
    let drifted = steady.replace(&missing, &format!("signal_bin_total{{{labels}}} 600\n"));
    let (address, server) = serve(vec![ok(&drifted)]);
    let (code, text) = check(&address, &reference, &[]);
    assert!(
        code == 1 && text.contains("\n1200 rows since ") && text.contains("drift: 1 of 5 signals"),
        "{text}"
    );
    assert!(text.contains("seen  50.0 % "), "{text}");
    let note = "note: some signals have fewer rows: price 600, prediction 600, confidence 600, distance 600. Rows without";
    assert!(text.contains(note), "{text}");
    server.join().unwrap();
}

#[test]
fn a_reference_is_read_from_the_server_or_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let (_, card) = model(folder.path());
    let json = serde_json::to_string(&card).unwrap();
    let (address, server) = serve(vec![ok(&json), ok(&page(&card, 1)), ok(&page(&card, 1))]);
    let (code, text) = check(&address, &address, &[]);
    assert!(code == 0 && text.contains("none of 5 signals drifts"), "{text}");

    let mut child = command(&["check", "--current", &address, "--reference", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(json.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("none of 5 signals drifts"));
    let paths: Vec<String> =
        server.join().unwrap().iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(paths, ["/model", "/metrics", "/metrics"]);

    let (address, server) = serve(vec![ok("up 1\n"), ok("{\"name\": \"shop\"}")]);
    let refused = || error(&["check", "--current", &address, "--reference", &address]);
    let text = refused();
    assert!(
        text.contains(
            "/model: the page has no JSON; give the address of the model card of `inference serve`"
        ),
        "{text}"
    );
    let text = refused();
    assert!(
        text.contains("/model: seems to be a JSON file of another kind; ") && text.contains("missing field"),
        "{text}"
    );
    server.join().unwrap();
}

#[test]
fn credentials_are_sent_and_not_printed() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, card) = model(folder.path());
    let (address, server) = serve(vec![ok(&page(&card, 1)), ok(&page(&card, 1))]);
    let with_token = |address: &str| {
        let mut command = command(&["check", "--current", address, "--reference", &reference]);
        command.env("DRIFTSIM_BEARER_TOKEN", "s3cret").output().unwrap()
    };
    assert!(with_token(&address).status.success());
    let with_password = address.replace("http://", "http://me:s3cret@");
    let (code, text) = check(&with_password, &reference, &[]);
    assert!(code == 0 && text.starts_with(&format!("{address}/metrics against")), "{text}");
    let heads = server.join().unwrap();
    assert!(heads[0].contains("authorization: Bearer s3cret\r\n"), "{heads:?}");
    assert!(heads[1].contains("authorization: Basic bWU6czNjcmV0\r\n"), "{heads:?}");
    let refused = with_token(&with_password);
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(
        text.contains("remove the user name or unset the variable") && !text.contains("s3cret"),
        "{text}"
    );
    let text = error(&["check", "--current", "http://me:s3cret@", "--reference", &reference]);
    assert!(text.starts_with("error: --current http://***@: ") && !text.contains("s3cret"), "{text}");
}

#[test]
fn pages_that_cannot_be_judged_are_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, card) = model(folder.path());
    let own = page(&card, 1);
    let renamed = own.replace("model=\"shop\"", "model=\"cafe\"");
    let two = renamed.clone() + &own.replace(&card.version, "0123456789ab");
    let first = own.lines().find(|line| line.starts_with("signal_bin_total")).unwrap().to_owned() + "\n";
    let value = |value: &str| {
        let (series, _) = first.trim_end().rsplit_once(' ').unwrap();
        own.replace(&first, &format!("{series} {value}\n"))
    };
    let found = |status: &str, headers: &str| answer(status, headers, "");
    let cases = [
        (ok("<!DOCTYPE html><html></html>"), "expected metrics in the text format of Prometheus: line 1 "),
        (ok("{\"name\": \"shop\"}\n"), "expected metrics in the text format of Prometheus: line 1 "),
        (ok(""), "the page has no metric signal_bin_total; give the address of the metrics"),
        (ok("up 1\n"), "the page has no metric signal_bin_total; give the address of the metrics"),
        (ok(&renamed), "the page has no counts of model \"shop "),
        (ok(&two), "; it has those of \"cafe "),
        (
            ok(&own.replace(&first, "")),
            "signal \"price\": the reference has a bin \"below\" that the page lacks",
        ),
        (ok(&own.replace("bin=\"below\"", "bin=\"deep\"")), "has a bin \"below\" that the page lacks"),
        (ok(&(own.clone() + &first.replace("below", "deep"))), "has a bin \"deep\" that the reference lacks"),
        (
            ok(&(own.clone() + &first.replace("price", "size"))),
            "signal \"size\": the page has a bin \"below\"",
        ),
        (ok(&value("1.5")), "bin=\"below\"}: expected a whole number of rows, got 1.5"),
        (ok(&value("-1")), "expected a whole number of rows, got -1"),
        (ok(&value("NaN")), "expected a whole number of rows, got NaN"),
        (ok(&value("+Inf")), "expected a whole number of rows, got inf"),
        (ok(&value("18446744073709551616")), "expected a whole number of rows, got 18446744073709552000"),
        (
            found("404 Not Found", ""),
            "answered 404 Not Found; give the address of the metrics of `inference serve`",
        ),
        (found("401 Unauthorized", ""), "set environment variable DRIFTSIM_BEARER_TOKEN to a token"),
        (
            found("503 Service Unavailable", ""),
            "answered 503 Service Unavailable; try again when the server is ready",
        ),
        (
            found("301 Moved Permanently", "Location: /vitals/metrics\r\n"),
            "/vitals/metrics, but redirects are not followed; give that address in --current",
        ),
        ("nonsense\r\n\r\n".to_owned(), "the answer is not HTTP"),
    ];
    let (address, server) = serve(cases.iter().map(|(answer, _)| answer.clone()).collect());
    let metrics = format!("{address}/metrics");
    for (answer, expected) in &cases {
        let text = error(&["check", "--current", &metrics, "--reference", &reference]);
        assert!(text.contains(expected) && text.contains(&metrics), "{answer}\n{text}");
    }
    server.join().unwrap();
    // The listener is closed.
    let text = error(&["check", "--current", &metrics, "--reference", &reference]);
    assert!(text.contains("onnection refused") && text.contains("start the server there"), "{text}");
    let text =
        error(&["check", "--current", "http://127.0.0.1:1/metrics?key=s3cret", "--reference", &reference]);
    assert!(text.contains("an address must not have a query") && !text.contains("s3cret"), "{text}");
}

#[test]
fn the_models_of_a_page_are_listed_if_none_is_that_of_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, card) = model(folder.path());
    let page = page(&card, 1).replace(&card.version, "0123456789ab")
        + &page(&card, 1).replace("model=\"shop\"", "model=\"cafe\"");
    let (address, server) = serve(vec![ok(&page)]);
    let text = error(&["check", "--current", &address, "--reference", &reference]);
    let version = &card.version;
    let expected = format!(
        "error: {address}/metrics: the page has no counts of model \"shop {version}\" of the reference; it has those of \
         \"cafe {version}\", \"shop 0123456789ab\"; give the model file or the profile that the server was started with in \
         --reference, or the answer of its GET /model\n"
    );
    assert_eq!(text, expected);
    server.join().unwrap();
}

#[test]
fn series_that_differ_in_other_labels_are_added_up_and_other_models_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, card) = model(folder.path());
    let own = page(&card, 1);
    let replica =
        |name: &str| own.replace("signal_bin_total{", &format!("signal_bin_total{{replica=\"{name}\","));
    let other = page(&card, 5).replace(&card.version, "0123456789ab");
    let (address, server) = serve(vec![ok(&(replica("a") + &replica("b") + &other))]);
    let (code, text) = check(&address, &reference, &[]);
    // The page has several times at which a server started.
    assert!(code == 0 && text.contains("\n1200 rows since the start of the server, steady: "), "{text}");
    server.join().unwrap();
}

#[test]
fn feedback_gives_the_accuracy() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, card) = model(folder.path());
    let mut page = page(&card, 1);
    for (predicted, actual, rows) in
        [("yes", "yes", 30), ("yes", "no", 10), ("no", "no", 40), ("no", "yes", 20)]
    {
        for (version, rows) in [(card.version.as_str(), rows), ("0123456789ab", 1000)] {
            page += &format!(
                "feedback_total{{model=\"shop\",version=\"{version}\",predicted=\"{predicted}\",actual=\"{actual}\"}} {rows}\n"
            );
        }
    }
    let (address, server) = serve(vec![ok(&page)]);
    let (_, text) = check(&address, &reference, &[]);
    assert!(text.contains("\naccuracy 0.700 on 100 rows with feedback, "), "{text}");
    server.join().unwrap();
}

#[test]
fn a_server_without_rows_gives_no_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, card) = model(folder.path());
    let empty = page(&card, 0);
    // 600 rows whose confidence is not known.
    let confidence = card.reference.by_role().confidence.unwrap();
    let mut unsure = page(&card, 1);
    for (bin, count) in confidence.bins.labels().iter().zip(&confidence.counts) {
        let series = format!("signal=\"confidence\",bin=\"{bin}\"}}");
        unsure = unsure.replace(&format!("{series} {count}\n"), &format!("{series} 0\n"));
    }
    let (address, server) = serve(vec![ok(&empty), ok(&empty), ok(&unsure)]);
    let (code, text) = check(&address, &reference, &[]);
    assert!(
        code == 2 && text.contains("\n0 rows since ") && text.contains(", cannot tell: 0 rows, needs 60\n"),
        "{text}"
    );
    assert!(text.contains("  price              -         -           -  cannot tell\n"), "{text}");
    let (_, text) = check(&address, &reference, &["--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let signal = &json["signals"][0];
    assert_eq!((&json["overall"], &signal["verdict"]), (&"cannot_tell".into(), &"cannot_tell".into()));
    for unknown in ["psi", "limit", "detectable"] {
        assert!(signal[unknown].is_null(), "{signal}");
    }
    let (code, text) = check(&address, &reference, &[]);
    assert!(code == 2 && text.contains("cannot tell: 1 of 5 signals have fewer than 60 rows"), "{text}");
    assert!(text.contains("fewer rows: confidence 0."), "{text}");
    server.join().unwrap();
}

#[test]
fn flags_and_references_that_do_not_apply_to_a_server_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (model, table) = shop(folder.path());
    // Nothing listens there: the flags are checked first.
    let check = |reference: &str, more: &[&str]| {
        error(&[&["check", "--current", "http://127.0.0.1:1/", "--reference", reference], more].concat())
    };
    for flag in ["--target", "--missing", "--separator", "--drop", "--numeric", "--categorical"] {
        let text = check(&model, &[flag, ";"]);
        assert!(text.starts_with(&format!("error: {flag}: is for tables, but --current")), "{text}");
    }
    let text = check(&table, &[]);
    assert!(
        text.contains("shop.csv: seems to be a table, but the counts of a server can only be judged against"),
        "{text}"
    );
    let text = check(&file(folder.path(), "report.html", "<html></html>"), &[]);
    assert!(
        text.contains("report.html: seems to be a web page; give a model file of `inference train`"),
        "{text}"
    );
    let text = check("https://", &[]);
    assert!(text.starts_with("error: --reference https://: "), "{text}");
    let iris = file(folder.path(), "iris.json", &common::iris().to_json().unwrap());
    let text = check(&iris, &["--ca-cert", "nowhere.pem"]);
    assert!(text.contains("--ca-cert nowhere.pem: No such file"), "{text}");
}
