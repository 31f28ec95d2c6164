//! Shows the progress of a run: a bar on a terminal, otherwise a line every few seconds. It goes to standard error,
//! so that the summary on stdout can be piped.

use crate::{
    engine::{PhaseRecord, Record, Totals},
    text::{rate, time},
};
use cli_io::printable::printable_message;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::{self, IsTerminal},
    time::Duration,
};

/// The time between two plain lines. It keeps a log short but shows that the run goes on.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows the progress of a run.
pub struct Progress {
    bar: Option<ProgressBar>,
    total: Duration,
    /// The records since the progress was last shown.
    recent: PhaseRecord,
    since: Duration,
    /// The records since the start.
    totals: Totals,
}

impl Progress {
    /// Creates the progress of a run of this length.
    pub fn new(total: Duration) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let millis = u64::try_from(total.as_millis()).unwrap_or(u64::MAX);
            let bar = ProgressBar::with_draw_target(Some(millis), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{prefix:>12.bold} {wide_bar} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { bar, total, recent: PhaseRecord::default(), since: Duration::ZERO, totals: Totals::default() }
    }

    /// Adds a record.
    pub fn add(&mut self, record: &Record) {
        self.recent.merge(&record.whole());
    }

    /// Shows the progress at the time `elapsed` of the run.
    pub fn show(&mut self, phase: &str, elapsed: Duration) {
        let seconds = elapsed.saturating_sub(self.since).as_secs_f64();
        let due = if self.bar.is_some() { Duration::from_secs(1) } else { LINE_EVERY };
        if let Some(bar) = &self.bar {
            bar.set_position(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
            bar.set_prefix(phase.to_owned());
        }
        if elapsed.saturating_sub(self.since) < due {
            return;
        }
        let completed = self.recent.totals.completed;
        self.totals.add(&self.recent.totals);
        let state = format!(
            "{:.0}/{:.0} s  {}/s  p99 {}  errors {}  dropped {}  in flight {}",
            elapsed.as_secs_f64(),
            self.total.as_secs_f64(),
            rate(Some(completed as f64 / seconds)),
            time(self.recent.response.quantile(0.99)),
            self.totals.not_as_expected(),
            self.totals.dropped,
            self.totals.in_flight()
        );
        match &self.bar {
            Some(bar) => bar.set_message(state),
            None => eprintln!("{phase:>12}  {state}"),
        }
        self.recent = PhaseRecord::default();
        self.since = elapsed;
    }

    /// Prints a message beside the progress.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(printable_message(text)),
            None => eprintln!("{}", printable_message(text)),
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
