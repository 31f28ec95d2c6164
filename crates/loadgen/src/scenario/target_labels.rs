//! Holds the labels of alerts about the target.

use std::{collections::BTreeSet, fmt};

/// The label values of alerts about the target. If a set is empty, the values are not known, and alerts with any value count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetLabels {
    /// Values of `job`.
    pub jobs: BTreeSet<String>,
    /// Values of `instance`.
    pub instances: BTreeSet<String>,
    /// Values of `model`.
    pub models: BTreeSet<String>,
}

impl TargetLabels {
    /// Returns the values that each label may have. An alert without the label counts, too.
    pub fn allowed(&self) -> [(&'static str, &BTreeSet<String>); 3] {
        [("job", &self.jobs), ("instance", &self.instances), ("model", &self.models)]
    }
}

impl fmt::Display for TargetLabels {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let known = self.allowed().into_iter().filter(|(_, values)| !values.is_empty());
        let known = known.map(|(label, values)| {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            format!("{label} {}", values.join(" or "))
        });
        f.write_str(&known.collect::<Vec<_>>().join(", "))
    }
}
