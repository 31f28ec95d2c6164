//! Several models behind one server.

use crate::{
    support::{PROFILE, Watched},
    upstream::{Answer, Upstream},
};
use clap::Parser;
use inference::watch::{WatchSettings, Watcher};
use model::{CsvOptions, TrainOptions, read_csv};

/// Writes a model file of another table, and returns its path.
fn other() -> String {
    let table: String = (0..200)
        .map(|row| format!("{},{}\n", row % 40, if row % 40 < 20 { "low" } else { "high" }))
        .collect();
    let options = CsvOptions::new("kind");
    let table = read_csv(format!("size,kind\n{table}").as_bytes(), "table", &options).unwrap().table;
    let file = model::train(&table, &TrainOptions::new("size")).unwrap();
    let path = tempfile::Builder::new().suffix(".json").tempfile().unwrap().keep().unwrap().1;
    std::fs::write(&path, file.to_json().unwrap()).unwrap();
    path.display().to_string()
}

#[test]
fn each_model_has_its_own_series() {
    let upstream = Upstream::answering(|request| {
        let is_flower = String::from_utf8_lossy(&request.start).contains("flowers");
        Answer::json(200, &format!(r#"{{"predictions":["{}"]}}"#, if is_flower { "setosa" } else { "low" }))
    });
    let (iris, size) = (format!("flowers={}", PROFILE.display()), format!("size={}", other()));
    let watched = Watched::start(upstream.address, &["--profile", &iris, "--profile", &size]);
    watched.post("/v1/models/flowers:predict", r#"{"instances":[[5.1,3.5,1.4,0.2]]}"#);
    watched.post("/v1/models/size:predict", r#"{"instances":[[3]]}"#);
    watched.post("/v1/models/third:predict", r#"{"instances":[[3]]}"#);
    watched.until_outcome("observed", 2.0);
    for model in ["iris", "size"] {
        let own = format!("model=\"{model}\"");
        assert_eq!(watched.metric("watch_requests_total", &[&own]), 1.0, "{model}");
        assert_eq!(watched.metric("signal_bin_total", &[&own, "signal=\"prediction\""]), 1.0, "{model}");
    }
    watched.until("the unknown model is counted", |watched| {
        watched.metric("watch_unknown_model_total", &[]) == 1.0
    });
}

#[test]
fn one_model_may_have_several_paths() {
    let upstream = Upstream::predicting(r#"{"predictions":["setosa"]}"#);
    let profile = PROFILE.display();
    let paths = [format!("/score={profile}"), format!("/score/batch={profile}")];
    let watched = Watched::start(upstream.address, &["--profile", &paths[0], "--profile", &paths[1]]);
    for path in ["/score", "/score/batch", "/predict"] {
        watched.post(path, r#"{"instances":[[5.1,3.5,1.4,0.2]]}"#);
    }
    watched.until_outcome("observed", 2.0);
    assert_eq!(watched.metric("signal_bin_total", &["signal=\"prediction\""]), 2.0);
    assert_eq!(watched.metric("watch_unknown_model_total", &[]), 1.0);
    let answer =
        watched.post_own("/observe", r#"{"instances":[[5.1,3.5,1.4,0.2]],"predictions":["setosa"]}"#);
    assert_eq!(answer.json()["observed"], 1);
}

#[test]
fn an_encoded_path_is_recognised_and_passes_unchanged() {
    let upstream = Upstream::predicting(r#"{"predictions":["setosa"]}"#);
    let profile = format!("my flowers={}", PROFILE.display());
    let watched = Watched::start(upstream.address, &["--profile", &profile]);
    for (path, endpoint) in [
        ("/v1/models/my%20flowers%3Apredict", "/v1/models/{model}:predict"),
        ("/%76%31/models/%6dy%20flowers:%70redict", "/v1/models/{model}:predict"),
    ] {
        let before = watched.outcome("observed");
        watched.post(path, r#"{"instances":[[5.1,3.5,1.4,0.2]]}"#);
        watched.until_outcome("observed", before + 1.0);
        let start = upstream.take().remove(0).start;
        assert_eq!(String::from_utf8_lossy(&start), format!("POST {path} HTTP/1.1"));
        let counted = watched.metric("inference_requests_total", &[&format!("endpoint=\"{endpoint}\"")]);
        assert_eq!(counted, before + 1.0, "{path}");
    }
}

#[test]
fn a_profile_that_cannot_be_used_is_named_at_the_start() {
    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        settings: WatchSettings,
    }
    let build = |profiles: &[&str]| {
        let flags = profiles.iter().flat_map(|profile| ["--profile", profile]);
        let usual = [
            "watch",
            "--upstream",
            "http://127.0.0.1:1",
            "--listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
        ];
        let settings = Flags::try_parse_from(usual.into_iter().chain(flags)).unwrap().settings;
        let built = actix_web::rt::System::new().block_on(async { Watcher::build(&settings).map(|_| ()) });
        format!("{:#}", built.unwrap_err())
    };
    let missing = build(&["/nonexistent.json"]);
    assert!(missing.contains("--profile /nonexistent.json"), "{missing}");
    let (one, two) = (format!("a={}", PROFILE.display()), format!("b={}", PROFILE.display()));
    let twice = build(&[&one, &two]);
    assert!(twice.contains("given twice"), "{twice}");
    // A profile for a path may be the first, the second or the last one.
    let path = format!("/score={}", PROFILE.display());
    for order in [[&path, &one, &two], [&one, &path, &two], [&one, &two, &path]] {
        let twice = build(&order.map(String::as_str));
        assert!(twice.contains("given twice"), "{twice}");
    }
    let other = other();
    let same = build(&[&format!("a={other}"), &one]);
    assert!(same.contains("another profile is for the same requests"), "{same}");
}
