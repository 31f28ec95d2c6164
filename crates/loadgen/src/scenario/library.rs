//! Finds scenarios by name: in `./scenarios`, then among those built into the binary.

use cli_io::file_kind::{FileKind, Wanted};
use driftsim::yaml_bounds;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Looked up first, relative to the working directory.
pub const FOLDER: &str = "scenarios";

/// The shipped scenarios, in the order in which to learn them.
pub(crate) const BUILT_IN: [(&str, &str); 6] = [
    ("normal", include_str!("../../../../scenarios/normal.yaml")),
    ("high_load", include_str!("../../../../scenarios/high_load.yaml")),
    ("error_storm", include_str!("../../../../scenarios/error_storm.yaml")),
    ("drift", include_str!("../../../../scenarios/drift.yaml")),
    ("concept_drift", include_str!("../../../../scenarios/concept_drift.yaml")),
    ("demo", include_str!("../../../../scenarios/demo.yaml")),
];

/// A scenario's text and where it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// For messages: a path, or `built-in demo`.
    pub place: String,
    /// The YAML.
    pub text: String,
    /// The file, unless it is built in.
    pub file: Option<PathBuf>,
}

impl Found {
    /// Returns the folder that paths in the scenario are relative to; `None` for a built-in one.
    pub fn folder(&self) -> Option<&Path> {
        self.file.as_deref().and_then(Path::parent)
    }
}

/// Why there is no text.
#[derive(Debug, Error)]
pub enum LibraryError {
    /// A file that can't be read.
    #[error("{}: {error}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is not text.
    #[error("{}:{line}: is not UTF-8; save the file in that encoding", .file.display())]
    NotUtf8 {
        /// The file.
        file: PathBuf,
        /// The first line that is not.
        line: usize,
    },
    /// A file of another kind.
    #[error("{}: seems to be {kind}; {}", .file.display(), .kind.remedy(Wanted::Scenario))]
    Foreign {
        /// The file.
        file: PathBuf,
        /// What it seems to be.
        kind: FileKind,
    },
    /// A name that nothing has.
    #[error(
        "no scenario {name:?}: there is no {FOLDER}/{name}.yaml here, and built in are {}",
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

/// Finds a scenario by name in `./scenarios`, by file when `wanted` has a directory or an extension, or by name among those built in.
///
/// # Errors
/// When there is none, or its file can't be read.
pub fn find(wanted: &str) -> Result<Found, LibraryError> {
    let path = Path::new(wanted);
    let has_folder = path.components().count() > 1;
    // A name may contain a dot, as in `my.v2`; a file here comes first.
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

/// Returns every scenario that [`find`] would find by name: the shipped ones first, local ones over them.
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
    // Some editors begin a file with a mark that YAML readers may take for part of the first key.
    let text = text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned);
    Ok(Found { place: file.display().to_string(), text, file: Some(file.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn every_shipped_scenario_is_good_and_named_after_its_file() {
        for (name, text) in BUILT_IN {
            let scenario = Scenario::parse(text, name).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(scenario.name, name);
            assert!(!scenario.description.is_empty(), "{name}");
        }
    }

    #[test]
    fn the_built_in_scenarios_are_the_files() {
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
        assert!(built_in == files, "a file of scenarios/ is missing in BUILT_IN, or differs");
    }

    #[test]
    fn an_unknown_name_lists_the_valid_ones() {
        let message = find("nope").unwrap_err().to_string();
        assert!(message.contains("normal, high_load, error_storm, drift, concept_drift, demo"), "{message}");
    }

    #[test]
    fn a_path_is_a_file() {
        assert!(matches!(find("nowhere/demo.yaml"), Err(LibraryError::Unreadable { .. })));
    }
}
