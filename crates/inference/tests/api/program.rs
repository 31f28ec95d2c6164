//! What the program says about itself: its version, completion scripts and manual pages.

use crate::harness::Service;
use inference::Settings;
use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
};

fn stdout(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_inference")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_version_on_the_terminal_is_that_of_the_metrics() {
    let text = stdout(&["--version"]);
    let [program, commit, target] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert_eq!(format!("{program}\n"), stdout(&["-V"]));
    let labels = [
        ("version", program.strip_prefix("inference ").unwrap()),
        ("commit", commit.strip_prefix("commit: ").unwrap()),
        ("target", target.strip_prefix("target: ").unwrap()),
    ];
    assert!(target.contains("linux") && !commit.ends_with(' '), "{text}");
    assert_eq!(Service::start().metric("inference_build_info", &labels).await, 1.0);
}

#[test]
fn every_visible_command_has_a_manual_page_and_completions() {
    let help = stdout(&["--help"]);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands =
        commands.take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next());
    let mut expected: BTreeSet<String> =
        commands.filter(|name| *name != "help").map(|name| format!("inference-{name}.1")).collect();
    assert!(expected.contains("inference-serve.1"), "{help}");
    let script = stdout(&["completions", "bash"]);
    for page in &expected {
        let command = page.trim_start_matches("inference-").trim_end_matches(".1");
        assert!(script.contains(&format!("inference__subcmd__{}", command.replace('-', "__"))), "{command}");
    }
    expected.insert("inference.1".to_owned());

    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man 1");
    stdout(&["man-pages", pages.to_str().unwrap()]);
    let written = pages.read_dir().unwrap().map(|page| page.unwrap().file_name().into_string().unwrap());
    assert_eq!(written.collect::<BTreeSet<_>>(), expected);
    let serve = std::fs::read_to_string(pages.join("inference-serve.1")).unwrap();
    assert!(serve.contains("INFERENCE_LISTEN") && !serve.contains("commit:"), "{serve}");
}

#[test]
fn a_closed_standard_output_of_completions_is_not_an_error() {
    let line = r#"set -o pipefail; "$0" completions zsh | head -n 1"#;
    let run = Command::new("bash")
        .args(["-c", line, env!("CARGO_BIN_EXE_inference")])
        .stdout(Stdio::null())
        .output()
        .unwrap();
    assert!(run.status.success() && run.stderr.is_empty(), "{}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn the_package_has_settings_of_serve_and_enough_time_to_stop() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/package");
    let help = stdout(&["serve", "--help"]);
    let settings = std::fs::read_to_string(folder.join("inference.env")).unwrap();
    let names: BTreeSet<&str> = settings
        .lines()
        .map(|line| line.trim_start_matches('#'))
        .filter_map(|line| line.split_once('=').filter(|_| line.starts_with("INFERENCE_")))
        .map(|(name, _)| name)
        .collect();
    assert!(names.len() > 4, "{names:?}");
    for name in names {
        assert!(help.contains(&format!("[env: {name}=")), "{name}");
    }

    let unit = std::fs::read_to_string(folder.join("model-vitals.service")).unwrap();
    let limit = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
    let limit: u64 = limit.trim_end_matches('s').parse().unwrap();
    let defaults = Settings::default();
    // Both listeners finish their requests, one after the other.
    let longest = defaults.drain.as_secs() + 2 * (defaults.request_timeout.as_secs() + 1);
    assert!(limit > longest, "{limit} s, but stopping may take {longest} s");
}
