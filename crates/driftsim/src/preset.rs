//! The built-in drift specs: YAML files in the binary, which are read like users' own files.

use crate::DriftSpec;

const FILES: [(&str, &str); 6] = [
    ("giant", include_str!("../presets/giant.yaml")),
    ("petal_shift", include_str!("../presets/petal_shift.yaml")),
    ("unit_change", include_str!("../presets/unit_change.yaml")),
    ("prior_shift", include_str!("../presets/prior_shift.yaml")),
    ("noise", include_str!("../presets/noise.yaml")),
    ("concept_drift", include_str!("../presets/concept_drift.yaml")),
];

/// A built-in drift spec.
#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    /// The preset's name.
    pub name: &'static str,
    /// A description in one line.
    pub description: String,
    /// The drift spec.
    pub spec: DriftSpec,
}

/// Returns all built-in drift specs.
pub fn presets() -> Vec<Preset> {
    let parse = |(name, text): (&'static str, &str)| {
        let Ok(spec) = DriftSpec::from_yaml(text, name) else {
            unreachable!("a test checks that every preset can be read")
        };
        Preset { name, description: spec.description.clone(), spec }
    };
    FILES.into_iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_can_be_read_and_has_a_description() {
        for (name, text) in FILES {
            let spec = DriftSpec::from_yaml(text, name).unwrap();
            assert!(!spec.description.is_empty() && !spec.operations.is_empty(), "{name}");
            assert_eq!(spec.share, 1.0, "{name}");
        }
    }

    #[test]
    fn the_error_for_an_unknown_preset_lists_the_presets() {
        let error = DriftSpec::preset("gaint").unwrap_err().to_string();
        let expected = "preset: there is no preset \"gaint\"; \
        use one of giant, petal_shift, unit_change, prior_shift, noise, concept_drift";
        assert_eq!(error, expected);
    }
}
