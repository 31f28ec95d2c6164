//! Shows the progress of long commands on standard error, if that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use model::Step;
use std::time::Duration;

/// Shows the current step on a line, which is removed when the progress is dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    pub(crate) fn set_message(&self, what: &'static str) {
        self.0.set_message(what);
    }

    /// Shows how many rows are done.
    pub(crate) fn set_rows(&self, what: &str, done: usize, rows: usize) {
        self.0.set_message(format!("{what}: {done} of {rows} rows ({} %)", 100 * done / rows.max(1)));
    }

    pub(crate) fn set_step(&self, step: Step) {
        self.set_message(match step {
            Step::Fit => "fitting the weights",
            Step::Validate => "validating on rows that were left out",
            Step::Reference => "measuring the reference",
            Step::Simulator => "generating the simulator",
        });
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
