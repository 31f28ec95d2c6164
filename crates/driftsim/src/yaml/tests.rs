use super::*;

fn error(text: &str) -> String {
    DriftSpec::from_yaml(text, "d.yaml").unwrap_err().to_string()
}

#[test]
fn every_invalid_spec_has_an_error_with_file_line_field_and_remedy() {
    let operation =
        |line: &str| format!("share: 1\noperations:\n  - noise: {{ features: a, by_sd: 1 }}\n  - {line}\n");
    let cases = [
        ("".into(), "d.yaml:1: expected `preset` or `operations`, got neither"),
        (
            "share: 1\n".into(),
            "d.yaml:1: expected `preset` or `operations`, got neither; add `preset` (a built-in name)",
        ),
        ("[]".into(), "d.yaml:1: invalid type: sequence, expected a mapping"),
        ("preset: gaint\n".into(), "d.yaml:1: preset: there is no preset \"gaint\"; use one of giant, "),
        (
            "preset: giant\noperations: []\n".into(),
            "d.yaml:1: `preset` and `operations` cannot be used together",
        ),
        ("operations: []\n".into(), "d.yaml:1: operations: the list is empty"),
        ("preset: giant\nshare: 1.5\n".into(), "d.yaml:2: share: must be in [0, 1], got 1.5"),
        (
            "preset: giant\nshare: lots\n".into(),
            "d.yaml:2: share: invalid type: string \"lots\", expected a number that is in [0, 1]",
        ),
        ("preset: giant\nshares: 1\n".into(), "d.yaml:2: unknown field `shares`"),
        (
            operation("shift: { features: a, by_sd: 0 }"),
            "d.yaml:4: operations[1].shift.by_sd: must be finite and not 0, got 0",
        ),
        (
            operation("shift: { features: a, by_sd: .nan }"),
            "d.yaml:4: operations[1].shift.by_sd: must be finite and not 0, got NaN",
        ),
        (
            operation("shift: { features: [], by_sd: 1 }"),
            "d.yaml:4: operations[1].shift.features: the list is empty",
        ),
        (
            operation("shift: { features: { a: 1 }, by_sd: 1 }"),
            "d.yaml:4: operations[1].shift.features: invalid type: map, expected a feature's name",
        ),
        (operation("shift: { features: a }"), "d.yaml:4: operations[1].shift: missing field `by_sd`"),
        (operation("shift: { features: a, sd: 1 }"), "d.yaml:4: operations[1].shift: unknown field `sd`"),
        (
            operation("scale: { features: a, factor: 1 }"),
            "d.yaml:4: operations[1].scale.factor: must be finite and neither 0 nor 1, got 1",
        ),
        (
            operation("noise: { features: a, by_sd: -1 }"),
            "d.yaml:4: operations[1].noise.by_sd: must be finite and above 0, got -1",
        ),
        (operation("twist: {}"), "d.yaml:4: operations[1]: unknown field `twist`, expected one of `shift`"),
        (
            operation("{ extreme: { features: a }, shuffle: { features: a } }"),
            "d.yaml:4: operations[1]: expected exactly one of `shift`",
        ),
        (
            operation("class_shares: {}"),
            "d.yaml:4: operations[1].class_shares: expected exactly one of `named`",
        ),
        (
            operation("class_shares: { named: {} }"),
            "d.yaml:4: operations[1].class_shares: named: expected at least one class",
        ),
        (
            operation("class_shares: { named: { a: 0.6, b: 0.6 } }"),
            "d.yaml:4: operations[1].class_shares: named: the shares must add up to at most 1, got 1.2",
        ),
        (
            operation("class_shares: { named: { a: 0.1, a: 0.2 } }"),
            "d.yaml:4: operations[1].class_shares.named: class \"a\" occurs twice",
        ),
        (
            operation("class_shares: { last: -0.1 }"),
            "d.yaml:4: operations[1].class_shares.last: must be in [0, 1], got -0.1",
        ),
        (
            operation("class_shares: { last: 1 }\n  - class_shares: { last: 1 }"),
            "d.yaml:1: operations: `class_shares` may occur only once",
        ),
    ];
    let wrong: Vec<String> = cases
        .iter()
        .map(|(text, expected)| (text, expected, error(text)))
        .filter(|(_, expected, got)| !got.starts_with(*expected))
        .map(|(text, expected, got)| format!("{text}\n  gave {got}\n  not  {expected}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_share_and_description_of_a_preset_can_be_replaced() {
    let giant = DriftSpec::preset("giant").unwrap();
    let spec = DriftSpec::from_yaml("{ preset: giant, share: 0.25, description: few }", "d").unwrap();
    assert_eq!(spec, DriftSpec { share: 0.25, description: "few".into(), ..giant });
}

#[test]
fn class_names_may_be_numbers() {
    let spec = DriftSpec::from_yaml("operations: [class_shares: { named: { 9: 0.9 } }]", "d").unwrap();
    assert_eq!(spec.operations, [Operation::ClassShares(ClassShares::Named(vec![("9".into(), 0.9)]))]);
}
