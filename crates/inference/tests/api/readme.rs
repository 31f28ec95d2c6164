//! Runs the `curl` examples of the README and of the API's document.

use crate::harness::Service;
use inference::Settings;
use regex::Regex;
use std::{path::Path, process::Command};

/// Returns each `$ curl …` of the documents with the lines that it should print. `…` matches any text.
fn examples() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = ["README.md", "docs/http-api.md"]
        .map(|file| std::fs::read_to_string(root.join(file)).unwrap())
        .concat();
    let mut examples: Vec<(String, String)> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            match line.strip_prefix("$ ") {
                Some(command) => examples.push((command.to_owned(), String::new())),
                None => examples.last_mut().expect("a command before its output").1 += line,
            }
        }
    }
    examples
}

#[tokio::test]
async fn every_curl_example_prints_the_documented_output() {
    let service = Service::with(Settings { allow_fault_injection: true, ..Settings::default() });
    let examples = examples();
    assert!(examples.len() >= 8);
    let mut assignments = String::new();
    for (command, expected) in examples {
        assert!(command.contains("curl ") && command.contains("localhost:8000"), "{command}");
        let here = command.replace("localhost:8000", &service.address.to_string());
        // Examples share one shell, because later ones use variables of earlier ones.
        if expected.is_empty() {
            assignments += &format!("{here}\n");
            continue;
        }
        let here = format!("{assignments}{here}");
        let output =
            tokio::task::spawn_blocking(move || Command::new("bash").args(["-c", &here]).output().unwrap());
        let output = output.await.unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let pattern: Vec<String> = expected.split('…').map(regex::escape).collect();
        let pattern = Regex::new(&format!("^{}$", pattern.join("(?s:.*)"))).unwrap();
        assert!(pattern.is_match(printed.trim_end()), "$ {command}\n{printed}\nshould be\n{expected}");
    }
}
