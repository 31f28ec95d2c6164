//! Finds scenarios by name: in `./scenarios`, then among those built into the binary.

use cli_io::file_kind::{FileKind, Wanted};
use driftsim::yaml_bounds;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// The folder that is searched first, relative to the working directory.
pub const FOLDER: &str = "scenarios";

/// The built-in scenarios, from the simplest to the longest.
pub(crate) const BUILT_IN: [(&str, &str); 6] = [
    ("normal", include_str!("../../../../scenarios/normal.yaml")),
    ("high_load", include_str!("../../../../scenarios/high_load.yaml")),
    ("error_storm", include_str!("../../../../scenarios/error_storm.yaml")),
    ("drift", include_str!("../../../../scenarios/drift.yaml")),
    ("concept_drift", include_str!("../../../../scenarios/concept_drift.yaml")),
    ("demo", include_str!("../../../../scenarios/demo.yaml")),
];

/// The text of a scenario, and where it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The place for messages: a path, or for example `built-in demo`.
    pub place: String,
    /// The YAML.
    pub text: String,
    /// The file; `None` for a built-in scenario.
    pub file: Option<PathBuf>,
}

impl Found {
    /// Returns the folder that paths in the scenario are relative to; `None` for a built-in one.
    pub fn folder(&self) -> Option<&Path> {
        self.file.as_deref().and_then(Path::parent)
    }
}

/// Why a scenario was not found.
#[derive(Debug, Error)]
pub enum LibraryError {
    /// The file cannot be read.
    #[error("{}: {error}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The file is not text.
    #[error("{}:{line}: the line is not UTF-8; save the file as UTF-8", .file.display())]
    NotUtf8 {
        /// The file.
        file: PathBuf,
        /// The number of the first invalid line.
        line: usize,
    },
    /// The file is of another kind.
    #[error("{}: seems to be {kind}; {}", .file.display(), .kind.remedy(Wanted::Scenario))]
    Foreign {
        /// The file.
        file: PathBuf,
        /// The kind that it seems to be.
        kind: FileKind,
    },
    /// No scenario has the name.
    #[error(
        "no scenario {name:?}: there is no file {FOLDER}/{name}.yaml, and the built-in scenarios are {}",
        built_in_names()
    )]
    Unknown {
        /// The name.
        name: String,
    },
}

fn built_in_names() -> String {
    BUILT_IN.map(|(name, _)| name).join(", ")
}

/// Finds a scenario. If `wanted` has a directory or an extension, it is a file. Otherwise it is a name, which is looked up in
/// `./scenarios` and then among the built-in scenarios.
///
/// # Errors
/// If there is no such scenario, or if its file cannot be read.
pub fn find(wanted: &str) -> Result<Found, LibraryError> {
    let path = Path::new(wanted);
    let has_folder = path.components().count() > 1;
    // A name may contain a dot, as in `my.v2`, so it may look like a file. If there is such a file, it is used.
    if has_folder || path.extension().is_some() && path.exists() {
        return read(path);
    }
    let local = Path::new(FOLDER).join(format!("{wanted}.yaml"));
    if local.exists() {
        return read(&local);
    }
    if path.extension().is_some() {
        return read(path);
    }
    BUILT_IN
        .iter()
        .find(|(name, _)| *name == wanted)
        .map(|(name, text)| Found { place: format!("built-in {name}"), text: (*text).to_owned(), file: None })
        .ok_or_else(|| LibraryError::Unknown { name: wanted.to_owned() })
}

/// Returns every scenario that [`find`] finds by name, the built-in ones first. A local scenario replaces a built-in one of the
/// same name.
pub fn all() -> Vec<(String, Result<Found, LibraryError>)> {
    let mut others: BTreeMap<String, PathBuf> = fs::read_dir(FOLDER)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .filter_map(|path| Some((path.file_stem()?.to_str()?.to_owned(), path)))
        .collect();
    others.retain(|name, _| !BUILT_IN.iter().any(|(known, _)| known == name));
    let names = BUILT_IN.iter().map(|(name, _)| (*name).to_owned()).chain(others.into_keys());
    names.map(|name| (name.clone(), find(&name))).collect()
}

fn read(file: &Path) -> Result<Found, LibraryError> {
    let bytes =
        yaml_bounds::read(file).map_err(|error| LibraryError::Unreadable { file: file.to_owned(), error })?;
    if let Some(kind) = FileKind::guess(&bytes).filter(|kind| kind.is_certain()) {
        return Err(LibraryError::Foreign { file: file.to_owned(), kind });
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count();
        LibraryError::NotUtf8 { file: file.to_owned(), line }
    })?;
    // Some editors begin a file with a byte order mark, which a YAML reader would take for a part of the first key.
    let text = text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned);
    Ok(Found { place: file.display().to_string(), text, file: Some(file.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn every_built_in_scenario_is_valid_and_named_like_its_file() {
        for (name, text) in BUILT_IN {
            let scenario = Scenario::parse(text, name).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(scenario.name, name);
            assert!(!scenario.description.is_empty(), "{name}");
        }
    }

    #[test]
    fn the_built_in_scenarios_equal_the_files() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
        let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
            .map(|path| {
                let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
                (name, std::fs::read_to_string(path).unwrap())
            })
            .collect();
        files.sort();
        let mut built_in = BUILT_IN.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec();
        built_in.sort();
        assert!(built_in == files, "BUILT_IN lacks a file of scenarios/, or differs from it");
    }

    #[test]
    fn an_error_about_an_unknown_name_lists_the_valid_ones() {
        let message = find("nope").unwrap_err().to_string();
        assert!(message.contains("normal, high_load, error_storm, drift, concept_drift, demo"), "{message}");
    }

    #[test]
    fn a_path_is_read_as_a_file() {
        assert!(matches!(find("nowhere/demo.yaml"), Err(LibraryError::Unreadable { .. })));
    }
}
