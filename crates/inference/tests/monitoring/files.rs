//! Finds the files of the monitoring pack and runs tools on them.

use serde_yaml::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Returns the files of a folder with this ending, sorted. There must be at least one.
pub fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        listed.filter(|path| path.extension().is_some_and(|e| e == ending)).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} has no .{ending}");
    files
}

pub fn yaml(path: &Path) -> Value {
    serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Returns all recording rules and alerts of the pack.
pub fn rules() -> Vec<Value> {
    let groups = files("monitoring/rules", "yml").into_iter().flat_map(|path| {
        yaml(&path)["groups"]
            .as_sequence()
            .unwrap()
            .iter()
            .flat_map(|g| g["rules"].as_sequence().unwrap().clone())
            .collect::<Vec<_>>()
    });
    groups.collect()
}

/// Runs a tool in the repository's root and returns its standard output. Panics if the tool fails.
pub fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .current_dir(root())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; `just test` installs it"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}\n{stdout}{stderr}");
    stdout
}
