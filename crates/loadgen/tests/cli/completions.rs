//! `loadgen completions`.

use crate::support::Loadgen;

#[test]
fn bash_completes_commands_and_flags_with_the_script() {
    let loadgen = Loadgen::new();
    let script = loadgen.call(&["completions", "bash"]);
    loadgen.write("loadgen.bash", &script.expect_code(0).stdout);
    let run = loadgen.call_in_shell("bash -n loadgen.bash", &[]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let offered = |words: &str| {
        let count = words.split_whitespace().count() - usize::from(!words.ends_with(' '));
        let last = if words.ends_with(' ') { "" } else { words.rsplit(' ').next().unwrap() };
        let last_quoted = if words.ends_with(' ') { " ''" } else { "" };
        let line = format!(
            "source loadgen.bash; COMP_WORDS=({words}{last_quoted}); COMP_CWORD={count}; \
             _loadgen loadgen '{last}' ''; echo \"${{COMPREPLY[@]}}\""
        );
        loadgen.call_in_shell(&line, &[]).stdout
    };
    let commands = offered("loadgen ");
    for command in ["run", "check", "list", "schema", "completions"] {
        assert!(commands.split_whitespace().any(|word| word == command), "{commands}");
    }
    assert_eq!(offered("loadgen comp").trim(), "completions");
    assert!(offered("loadgen run --ca").contains("--ca-cert"));
}

#[test]
fn supported_shells_have_a_script_and_others_are_rejected() {
    let loadgen = Loadgen::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = loadgen.call(&["completions", shell]);
        assert!(run.expect_code(0).stdout.contains("ca-cert"), "{shell}");
    }
    let run = loadgen.call(&["completions", "tcsh"]);
    assert!(run.expect_code(104).stderr.contains("bash"), "{}", run.stderr);
}

#[test]
fn the_version_and_the_manual_pages_are_those_of_the_program() {
    let loadgen = Loadgen::new();
    let version = loadgen.call(&["--version"]).expect_code(0).stdout.clone();
    let lines: Vec<&str> = version.lines().collect();
    assert_eq!(lines[0], format!("loadgen {}", env!("CARGO_PKG_VERSION")));
    assert!(lines[1].starts_with("commit: ") && lines[2].starts_with("target: "), "{version}");
    loadgen.call(&["man-pages", "pages"]).expect_code(0);
    let run = loadgen.call_in_shell("cat pages/loadgen-run.1", &[]);
    assert!(run.expect_code(0).stdout.contains("ca\\-cert"), "{}", run.stdout);
}

#[test]
fn a_closed_standard_output_is_not_an_error() {
    let commands: [&[&str]; 4] =
        [&["schema"], &["completions", "zsh"], &["list"], &["check", "demo", "drift"]];
    for command in commands {
        let line = r#"set -o pipefail; "$0" "$@" | head -n 1 >/dev/null"#;
        let run = Loadgen::new().call_in_shell(line, command);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{command:?}");
    }
}
