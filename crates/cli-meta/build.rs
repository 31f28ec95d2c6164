//! Records the commit and the target of the build, as the environment variables `BUILD_COMMIT` and `BUILD_TARGET` of the compiler.
//!
//! The commit is the value of `MODEL_VITALS_COMMIT`. If this variable is unset, a release build records the commit that is checked
//! out, or `unknown` outside a repository. Every program is then compiled again after each commit. Other builds record `unknown`,
//! so that tests are not.

use std::{env, fs, path::Path, process::Command};

const VARIABLE: &str = "MODEL_VITALS_COMMIT";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let given = variable(VARIABLE);
    if let Some(commit) = given.as_deref().filter(|commit| !is_plain(commit)) {
        panic!("{VARIABLE}={commit}: expected letters, digits, `.`, `-` and `_`, such as a commit's hash");
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let commit = given.or_else(|| {
        let is_release = variable("PROFILE").is_some_and(|profile| profile == "release");
        is_release.then(|| checked_out(&workspace)).flatten()
    });
    println!("cargo::rustc-env=BUILD_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo::rustc-env=BUILD_TARGET={}", variable("TARGET").as_deref().unwrap_or("unknown"));
}

/// Returns whether the text can be printed in a line and used as the value of a label.
fn is_plain(commit: &str) -> bool {
    commit.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
}

/// Returns the commit that is checked out at `root`; `None` if `root` is not the root of a repository, or git is not installed.
/// Registers the file that changes with every commit and checkout.
pub(crate) fn checked_out(root: &Path) -> Option<String> {
    // A source archive may be unpacked inside another repository, whose commit would be wrong.
    let top = git(root, &["rev-parse", "--show-toplevel"])?;
    if fs::canonicalize(top).ok()? != fs::canonicalize(root).ok()? {
        return None;
    }
    // The log of HEAD changes with every commit, HEAD itself only with checkouts. Cargo runs the script always if a file is missing.
    let log = ["logs/HEAD", "HEAD"].iter().find_map(|name| {
        let path = root.join(git(root, &["rev-parse", "--git-path", name])?);
        path.exists().then_some(path)
    })?;
    println!("cargo::rerun-if-changed={}", log.display());
    git(root, &["rev-parse", "--verify", "HEAD"])
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end_matches('\n').to_owned())
}
