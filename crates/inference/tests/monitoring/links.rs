//! Checks the links in the documents.

use crate::files::root;
use regex::Regex;
use std::{collections::BTreeSet, path::PathBuf};

/// Returns the anchor of a Markdown heading on GitHub.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_')).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

#[test]
fn every_relative_link_has_an_existing_target() {
    let mut documents: Vec<PathBuf> = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "monitoring/runbook.md",
    ]
    .map(|name| root().join(name))
    .into();
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    documents.extend(docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut checked = 0;
    for document in documents {
        let text = std::fs::read_to_string(&document).unwrap();
        for target in link.captures_iter(&text).map(|found| found.get(1).unwrap().as_str()) {
            if target.contains("://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { document.clone() } else { document.parent().unwrap().join(file) };
            assert!(path.exists(), "{}: {target}: no such file", document.display());
            if !heading.is_empty() {
                let headings = anchors(&std::fs::read_to_string(&path).unwrap());
                assert!(
                    headings.contains(heading),
                    "{}: {target}: the headings are {headings:?}",
                    document.display()
                );
            }
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked}");
}
