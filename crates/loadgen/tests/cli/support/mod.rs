//! Helpers for the tests of the binary: a stub of the service, and calls of the binary.

mod model_server;
mod rogue;
mod stub;

pub use model_server::{Exchange, ModelServer};
pub use rogue::{ServerFault, rogue};
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
        assert!(Instant::now() < deadline, "not within the time limit: {what}");
        // The awaited program may need the core that this thread uses.
        thread::sleep(Duration::from_millis(1));
    }
}

/// The binary, with its own directory. Only one test has it at a time, because runs measure time and would disturb each other.
pub struct Loadgen {
    directory: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// The results of a run.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// The JSON report, or null if there is none.
    pub report: Value,
}

impl Loadgen {
    pub fn new() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        // A failed test poisons the lock, which does not matter to the next test.
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

    /// Reads a report that was saved under this name.
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

    /// Runs a line of bash to its end. The binary is in `"$0"` and the `arguments` are in `"$@"`, so that paths with a space are not
    /// split.
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

    /// Waits for the end of a run.
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
    /// Panics with all output unless the exit code is `code`.
    #[track_caller]
    pub fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "\n{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Panics with all output unless the exit code is `code`, or 106 if the machine was so busy that requests were sent late. In
    /// that case the summary, and the report if it is `report.json`, must state that the result would have been `code`.
    ///
    /// A run with fewer than 30 requests in each phase is never invalid because of late ones; use `expect_code` for it.
    #[track_caller]
    pub fn expect_judged(&self, code: i32) -> &Self {
        let late = self.code == Some(106) && self.stdout.contains("the generator could not keep up");
        assert!(self.code == Some(code) || late, "\n{}\n{}", self.stdout, self.stderr);
        if late {
            // The summary states what was missed even if the run is invalid.
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

    /// Returns one of the totals.
    #[track_caller]
    pub fn total(&self, name: &str) -> u64 {
        self.report["totals"][name].as_u64().unwrap_or_else(|| panic!("no total {name}: {}", self.report))
    }

    /// Returns whether the totals of the run and of each phase add up to the offered requests.
    pub fn adds_up(&self) -> bool {
        let phases = self.report["phases"].as_array().into_iter().flatten().map(|phase| &phase["totals"]);
        phases.chain([&self.report["totals"]]).all(|totals| {
            let ends = ["completed", "failed", "timed_out", "dropped", "interrupted"];
            let sum: u64 = ends.iter().filter_map(|end| totals[end].as_u64()).sum();
            totals["offered"].as_u64() == Some(sum)
        })
    }

    /// Returns the verdict of the expectation or threshold whose text contains `words`.
    #[track_caller]
    pub fn verdict(&self, list: &str, words: &str) -> &str {
        let found =
            self.report[list].as_array().into_iter().flatten().find(|one| one.to_string().contains(words));
        found
            .and_then(|one| one["verdict"].as_str())
            .unwrap_or_else(|| panic!("no {words} in {list}: {}", self.report))
    }
}
