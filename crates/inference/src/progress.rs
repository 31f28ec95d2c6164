//! What a long command is doing, on standard error where that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use model::Step;
use std::time::Duration;

/// A line that says what is being done; it is removed at the end.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    pub(crate) fn says(&self, what: &'static str) {
        self.0.set_message(what);
    }

    pub(crate) fn begins(&self, step: Step) {
        self.says(match step {
            Step::Fit => "fitting the weights",
            Step::Validate => "validating on rows that were left out",
            Step::Reference => "measuring the reference",
            Step::Simulator => "making the simulator",
        });
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
