//! Reads objects of Kubernetes from YAML and holds them against the published schemas.

use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// The files of deploy/schemas, by name.
static SCHEMAS: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| {
    let files = names("deploy/schemas", ".json").into_iter();
    files
        .map(|name| {
            let schemas = serde_json::from_str(&text(&format!("deploy/schemas/{name}"))).unwrap();
            (name, schemas)
        })
        .collect()
});

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

pub fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of a folder's files with this ending, sorted; at least one.
pub fn names(folder: &str, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(ending)).collect();
    names.sort();
    assert!(!names.is_empty(), "{folder} has no *{ending}");
    names
}

/// The documents of a YAML text, without empty ones.
pub fn parse(text: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(text);
    let values = documents.map(|document| Value::deserialize(document).unwrap());
    values.filter(|value| !value.is_null()).collect()
}

/// What a test calls an object.
pub fn title(object: &Value) -> String {
    format!(
        "{} {}",
        object["kind"].as_str().unwrap_or("?"),
        object["metadata"]["name"].as_str().unwrap_or("?")
    )
}

/// Returns what each of the published schemas finds wrong with an object.
pub fn problems(object: &Value) -> Vec<String> {
    let kind = format!(
        "{} {}",
        object["apiVersion"].as_str().unwrap_or("?"),
        object["kind"].as_str().unwrap_or("?")
    );
    let mut judged = false;
    let mut found = Vec::new();
    for (file, schemas) in SCHEMAS.iter() {
        let Some(of_kind) = schemas["kinds"].get(&kind) else { continue };
        judged = true;
        let schema = json!({ "$defs": schemas["$defs"], "$ref": of_kind["$ref"] });
        let validator = jsonschema::validator_for(&schema).unwrap();
        found.extend(
            validator.iter_errors(object).map(|error| format!("{file}: {}: {error}", error.instance_path())),
        );
    }
    if !judged {
        found.push(format!("no schema for {kind}: add it to deploy/schemas/trim.py"));
    }
    found
}
