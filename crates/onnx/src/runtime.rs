//! Finds and loads the library of ONNX Runtime.

use ort::{environment::Environment, logging::LogLevel};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};
use thiserror::Error;

/// The environment variable with the path of the library. Other programs that use the same bindings also read it.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// ONNX Runtime, loaded into the process.
#[derive(Debug, Clone)]
pub struct Runtime(pub(crate) Environment);

/// Why ONNX Runtime could not be loaded.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// The library was not found in any of the places.
    #[error(
        "ONNX Runtime was not found: give its library with --onnxruntime FILE or the variable {LIBRARY_VARIABLE}, or \
         activate a Python environment that has the package onnxruntime (pip install onnxruntime)"
    )]
    NotFound,
    /// The file cannot be loaded, is another library, or is too old a version.
    #[error("{}: cannot be used as ONNX Runtime: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Runtime {
    /// Loads the library from `library`, from the path in the environment variable, or from the active Python environment. A process
    /// loads it only once; later calls return the same library and ignore the path.
    ///
    /// # Errors
    /// Returns an error if no library is found, or if the one that is found cannot be used.
    pub fn load(library: Option<&Path>) -> Result<Self, RuntimeError> {
        if let Some(current) = loaded() {
            return Ok(current);
        }
        let named = library.map(Path::to_owned);
        let path = named.or_else(of_variable).or_else(of_python).ok_or(RuntimeError::NotFound)?;
        let unusable = |reason: String| RuntimeError::Unusable { path: path.clone(), reason };
        // The path is made absolute, because the dynamic linker searches only its own folders for a name without a slash.
        let absolute = fs::canonicalize(&path).map_err(|error| unusable(error.to_string()))?;
        let builder = ort::init_from(&absolute).map_err(|error| unusable(explained(error)))?;
        let environment = builder.with_name("inference").with_telemetry(false).build();
        let environment = environment.map_err(|error| unusable(error.to_string()))?;
        // The runtime's log is turned off, because its errors are returned to the caller.
        environment.set_log_level(LogLevel::Fatal);
        let runtime = Self(environment);
        // This reference keeps the environment alive, because the bindings hold only a weak one.
        Ok(LOADED.get_or_init(|| runtime).clone())
    }
}

/// Returns the reason why a file could not be loaded.
fn explained(error: ort::LoadDynamicError) -> String {
    match &error {
        // The outer error says only that it failed.
        ort::LoadDynamicError::Dlopen { error: cause, .. } => {
            std::error::Error::source(cause).map_or_else(|| cause.to_string(), ToString::to_string)
        }
        ort::LoadDynamicError::BadVersion { version_str, .. } => {
            format!("version {version_str} is too old; at least 1.17 is needed")
        }
        _ => error.to_string(),
    }
}

static LOADED: std::sync::OnceLock<Runtime> = std::sync::OnceLock::new();

fn loaded() -> Option<Runtime> {
    LOADED.get().cloned()
}

fn of_variable() -> Option<PathBuf> {
    env::var_os(LIBRARY_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Returns the library of the active Python environment's package.
fn of_python() -> Option<PathBuf> {
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(env::var_os).map(PathBuf::from);
    let paths = env::var_os("PATH").unwrap_or_default();
    let interpreter = env::split_paths(&paths).find(|folder| folder.join("python3").is_file());
    let prefix = interpreter.as_deref().and_then(Path::parent).map(Path::to_owned);
    let found = active.chain(prefix).find_map(|prefix| of_prefix(&prefix));
    // The interpreters of version managers are scripts, which are not in the folder of their environment.
    found.or_else(|| interpreter.and_then(|folder| of_interpreter(&folder.join("python3"))))
}

/// Returns the library below the folder of a Python environment.
fn of_prefix(prefix: &Path) -> Option<PathBuf> {
    let folders = ["lib", "lib64"].into_iter().filter_map(|lib| fs::read_dir(prefix.join(lib)).ok());
    let versions = folders.flatten().flatten().map(|entry| entry.path());
    let mut versions: Vec<PathBuf> = versions
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python3")))
        .collect();
    // Versions are compared as numbers, because 3.9 is older than 3.11.
    versions.sort_by_key(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.trim_start_matches("python3.").parse::<u32>().unwrap_or_default()
    });
    let packages = versions.iter().rev().flat_map(|version| {
        ["site-packages", "dist-packages"].map(|packages| version.join(packages).join("onnxruntime"))
    });
    packages.into_iter().find_map(|package| of_package(&package))
}

fn of_interpreter(python: &Path) -> Option<PathBuf> {
    const FIND: &str = "import importlib.util as u; s = u.find_spec('onnxruntime'); \
                        print(s.submodule_search_locations[0] if s else '')";
    let output = Command::new(python).args(["-c", FIND]).output().ok()?;
    let package = String::from_utf8(output.stdout).ok()?;
    Some(package.trim())
        .filter(|package| !package.is_empty())
        .and_then(|package| of_package(Path::new(package)))
}

/// Returns the library in the folder of the Python package.
fn of_package(package: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(package.join("capi")).ok()?.flatten().map(|entry| entry.path());
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("libonnxruntime.") && (name.contains(".so") || name.ends_with(".dylib"))
    };
    entries.filter(is_library).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_for_the_latest_python_of_an_environment_is_found() {
        let root = env::temp_dir().join(format!("onnx-runtime-{}", std::process::id()));
        for (version, file) in [
            ("python3.9", "libonnxruntime.so.1.19.0"),
            ("python3.11", "libonnxruntime.so.1.32.0"),
            ("python3.11", "libonnxruntime_providers_shared.so"),
        ] {
            let capi = root.join("lib").join(version).join("site-packages/onnxruntime/capi");
            fs::create_dir_all(&capi).unwrap();
            fs::write(capi.join(file), "").unwrap();
        }
        let found = of_prefix(&root).unwrap();
        fs::remove_dir_all(&root).unwrap();
        assert!(
            found.ends_with("python3.11/site-packages/onnxruntime/capi/libonnxruntime.so.1.32.0"),
            "{found:?}"
        );
        assert_eq!(of_prefix(&root), None);
    }
}
