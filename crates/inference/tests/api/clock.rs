use std::process::Command;

/// Runs the program with another system time, which is written as for faketime.
fn serve_at(time: &str) -> (Option<i32>, String) {
    let output = Command::new("faketime")
        .args(["--exclude-monotonic", "-f", time, env!("CARGO_BIN_EXE_inference")])
        .args(["serve", "--listen", "127.0.0.1:0"])
        .output()
        .unwrap_or_else(|error| panic!("faketime: {error}; `just test` installs it"));
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_system_time_before_1970_is_an_error_and_not_a_panic() {
    let (code, words) = serve_at("@1960-01-01 00:00:00");
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("error: the system clock shows a time before 1970"), "{words}");
    assert!(words.contains("set it, for example with `date --set"), "{words}");
    assert!(!words.contains("panicked"), "{words}");
}
