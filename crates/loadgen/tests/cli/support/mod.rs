//! Shared by the tests of the binary: a stub of the service, and calls of the binary.

mod rogue;
mod stub;

pub use rogue::{Mischief, rogue};
pub use stub::{Received, Stub, StubOptions};

use serde_json::Value;
use std::{
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Waits until `condition` holds.
///
/// # Panics
/// After a minute.
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        // What is waited for may need this core.
        thread::sleep(Duration::from_millis(1));
    }
}

/// The binary, with a directory of its own. There is one at a time: runs measure time, and would measure one another.
pub struct Loadgen {
    directory: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// What a run left behind.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// The JSON report, or null.
    pub report: Value,
}

impl Loadgen {
    pub fn new() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        // A test that failed has no say in the next one.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Self { directory: TempDir::new().unwrap(), _turn: turn }
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(name)).unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A report that was kept under its own name.
    pub fn report(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
        command.args(arguments).current_dir(self.directory.path());
        command
    }

    /// Runs a command to its end.
    pub fn call(&self, arguments: &[&str]) -> Run {
        self.ended(self.command(arguments).output().unwrap())
    }

    /// Runs a command to its end with a system clock that shows another time, in the form of faketime.
    pub fn at_time(&self, time: &str, arguments: &[&str]) -> Run {
        let mut command = Command::new("faketime");
        command.args(["--exclude-monotonic", "-f", time, env!("CARGO_BIN_EXE_loadgen")]).args(arguments);
        let output = command.current_dir(self.directory.path()).output();
        self.ended(output.unwrap_or_else(|error| panic!("faketime: {error}; `just test` installs it")))
    }

    /// Runs a line of bash to its end. The line finds the binary in `"$0"` and `arguments` in `"$@"`: written into the
    /// line, a path with a space would be split.
    pub fn call_in_shell(&self, line: &str, arguments: &[&str]) -> Run {
        let mut bash = Command::new("bash");
        bash.args(["-c", line, env!("CARGO_BIN_EXE_loadgen")]).args(arguments);
        self.ended(bash.current_dir(self.directory.path()).output().unwrap())
    }

    /// Starts `run` with a scenario.
    pub fn start(&self, scenario: &str, target: &str, more: &[&str]) -> Child {
        self.write("scenario.yaml", scenario);
        self.command(&["run", "--scenario", "scenario.yaml", "--target", target, "--json", "report.json"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs a scenario to its end.
    pub fn run(&self, scenario: &str, target: &str, more: &[&str]) -> Run {
        let child = self.start(scenario, target, more);
        self.finish(child)
    }

    /// Runs a scenario to its end, with these environment variables.
    pub fn run_with(&self, scenario: &str, target: &str, more: &[&str], environment: &[(&str, &str)]) -> Run {
        self.write("scenario.yaml", scenario);
        let mut command = self.command(&["run", "--scenario", "scenario.yaml", "--json", "report.json"]);
        command.args(["--target", target]).args(more).envs(environment.iter().copied());
        self.ended(command.output().unwrap())
    }

    /// Waits for a run's end.
    pub fn finish(&self, child: Child) -> Run {
        self.ended(child.wait_with_output().unwrap())
    }

    fn ended(&self, output: Output) -> Run {
        let json = std::fs::read(self.directory.path().join("report.json")).unwrap_or_default();
        Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            report: serde_json::from_slice(&json).unwrap_or_default(),
        }
    }
}

impl Run {
    /// Panics with all that was printed, unless the run ended with `code`.
    #[track_caller]
    pub fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "\n{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Panics with all that was printed, unless the run ended with `code`, or with 106 on a machine so busy that requests
    /// left late: that is no fault of what was counted. Its summary must say the same, and its report if it is `report.json`.
    ///
    /// A run with fewer than 30 requests in each phase is never late: of such a run, expect the code itself.
    #[track_caller]
    pub fn expect_judged(&self, code: i32) -> &Self {
        let late = self.code == Some(106) && self.stdout.contains("the generator could not keep up");
        assert!(self.code == Some(code) || late, "\n{}\n{}", self.stdout, self.stderr);
        if late {
            // What the code would have been without the lateness is in the summary all the same.
            let missed = self.stdout.contains("; besides, ") || self.report["totals"]["completed"] == 0;
            assert_eq!(missed, code == 99, "\n{}\n{}", self.stdout, self.stderr);
        }
        let (word, shown) = match self.code {
            Some(0) => ("passed", "verdict: PASSED"),
            Some(99) => ("failed", "verdict: FAILED ("),
            _ => ("invalid", "verdict: INVALID ("),
        };
        assert!(self.stdout.contains(shown), "\n{}\n{}", self.stdout, self.stderr);
        let reported = self.report.is_null() || self.report["verdict"] == word;
        assert!(reported, "{}\n{}\n{}", self.report["verdict"], self.stdout, self.stderr);
        self
    }

    /// One of the totals.
    #[track_caller]
    pub fn total(&self, name: &str) -> u64 {
        self.report["totals"][name].as_u64().unwrap_or_else(|| panic!("no total {name}: {}", self.report))
    }

    /// Whether every offered request is accounted for, in all and in each phase.
    pub fn adds_up(&self) -> bool {
        let phases = self.report["phases"].as_array().into_iter().flatten().map(|phase| &phase["totals"]);
        phases.chain([&self.report["totals"]]).all(|totals| {
            let ends = ["completed", "failed", "timed_out", "dropped", "interrupted"];
            let sum: u64 = ends.iter().filter_map(|end| totals[end].as_u64()).sum();
            totals["offered"].as_u64() == Some(sum)
        })
    }

    /// The expectation or threshold whose text contains `words`.
    #[track_caller]
    pub fn verdict(&self, list: &str, words: &str) -> &str {
        let found =
            self.report[list].as_array().into_iter().flatten().find(|one| one.to_string().contains(words));
        found
            .and_then(|one| one["verdict"].as_str())
            .unwrap_or_else(|| panic!("no {words} in {list}: {}", self.report))
    }
}
