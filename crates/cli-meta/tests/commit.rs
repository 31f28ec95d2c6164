//! Which commit the build script records.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "cargo runs `main` of the build script")]
#[path = "../build.rs"]
mod build_script;

use build_script::checked_out;
use std::{fs, path::Path, process::Command};

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=test", "-c", "user.email=test@example.com"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn commit(folder: &Path) -> String {
    git(folder, &["commit", "--quiet", "--allow-empty", "--message", "test"]);
    git(folder, &["rev-parse", "HEAD"])
}

#[test]
fn the_commit_is_that_of_the_repository_at_the_root() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("my project");
    fs::create_dir(&root).unwrap();
    assert_eq!(checked_out(&root), None, "outside a repository");
    git(&root, &["init", "--quiet"]);
    assert_eq!(checked_out(&root), None, "before the first commit");
    let first = commit(&root);
    assert_eq!(checked_out(&root), Some(first.clone()));
    assert_ne!(commit(&root), first);
    assert_ne!(checked_out(&root), Some(first));

    let work_tree = folder.path().join("work tree");
    git(&root, &["worktree", "add", "--quiet", "--detach", work_tree.to_str().unwrap()]);
    let other = commit(&work_tree);
    assert_eq!(checked_out(&work_tree), Some(other.clone()));
    assert_ne!(checked_out(&root), Some(other));
}

#[test]
fn a_source_archive_inside_another_repository_has_no_commit() {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "--quiet"]);
    commit(folder.path());
    let unpacked = folder.path().join("model-vitals-0.1.0");
    fs::create_dir(&unpacked).unwrap();
    assert_eq!(checked_out(&unpacked), None);
}
