//! Simulates Prometheus: windows over scraped counters, updated and judged at every evaluation.
//!
//! Counters are scraped every [`BEAT`] seconds and judged once after each scrape; both together are called a beat. A short
//! window is the sum of its latest scrapes. A long window is the sum of its latest whole minutes: it changes when a minute is
//! full, and is judged at every beat. A window that is not full yet is judged on the rows that it has, as after a deployment.

use crate::monitor::Monitor;
use drift::{DriftError, Verdict};
use std::time::Duration;

/// Seconds from scrape to scrape, and from judgement to judgement.
pub(crate) const BEAT: u64 = 5;

/// Scrapes in a minute.
pub(crate) const MINUTE: usize = 12;

/// The length of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Span {
    /// This many scrapes.
    Scrapes(usize),
    /// This many whole minutes.
    Minutes(usize),
}

impl Span {
    pub(crate) fn seconds(self) -> u64 {
        match self {
            Self::Scrapes(scrapes) => scrapes as u64 * BEAT,
            Self::Minutes(minutes) => minutes as u64 * 60,
        }
    }

    /// Returns the length as Prometheus writes it, such as `30s`, `1h` or `1d`.
    pub(crate) fn label(self) -> String {
        label(self.seconds())
    }
}

/// Formats seconds as Prometheus writes them.
pub(crate) fn label(seconds: u64) -> String {
    let written = humantime::format_duration(Duration::from_secs(seconds)).to_string();
    written.replace("days", "d").replace("day", "d")
}

/// The latest judgement of one signal in one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct State {
    pub(crate) verdict: Verdict,
    pub(crate) rows: u64,
    pub(crate) psi: f64,
    /// The limit that a drifting signal's PSI exceeds.
    pub(crate) limit: f64,
    /// The number of judgements in a row at which the signal has drifted.
    pub(crate) in_a_row: u32,
}

/// One window over all signals.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    pub(crate) span: Span,
    /// One element per signal.
    pub(crate) states: Vec<State>,
    /// The number of scrapes or minutes that the window has so far, at most that of its span.
    filled: usize,
    sums: Vec<u64>,
}

impl Window {
    fn new(span: Span, monitor: &Monitor) -> Self {
        let blank = State {
            verdict: Verdict::CannotTell { rows: 0, needs: drift::MIN_ROWS },
            rows: 0,
            psi: 0.0,
            limit: f64::INFINITY,
            in_a_row: 0,
        };
        Self { span, states: vec![blank; monitor.signals.len()], filled: 0, sums: vec![0; monitor.bins()] }
    }

    /// Returns whether the window has reached its full length.
    pub(crate) fn is_full(&self) -> bool {
        let (Span::Scrapes(length) | Span::Minutes(length)) = self.span;
        self.filled == length
    }

    /// Adds the latest piece of the ring to the sums, and subtracts the one that has become too old.
    fn slide(&mut self, ring: &Ring) {
        let (Span::Scrapes(length) | Span::Minutes(length)) = self.span;
        self.sums.iter_mut().zip(ring.back(0)).for_each(|(sum, &count)| *sum += u64::from(count));
        if self.filled == length {
            self.sums.iter_mut().zip(ring.back(length)).for_each(|(sum, &count)| *sum -= u64::from(count));
        } else {
            self.filled += 1;
        }
    }

    fn judge(&mut self, monitor: &Monitor) -> Result<(), DriftError> {
        for (signal, state) in self.states.iter_mut().enumerate() {
            let judgement = monitor.judge(signal, &self.sums)?;
            *state = State {
                verdict: judgement.verdict,
                rows: judgement.psi.rows,
                psi: judgement.psi.value,
                limit: judgement.threshold,
                in_a_row: state.in_a_row,
            };
        }
        Ok(())
    }
}

/// A ring buffer of the latest scrapes or minutes ("pieces"), each with the counts of all bins.
#[derive(Debug, Clone)]
struct Ring {
    bins: usize,
    pieces: usize,
    latest: usize,
    counts: Vec<u32>,
}

impl Ring {
    fn new(bins: usize, pieces: usize) -> Self {
        Self { bins, pieces, latest: 0, counts: vec![0; bins * pieces] }
    }

    fn push(&mut self, piece: &[u64]) {
        self.latest = (self.latest + 1) % self.pieces;
        let place = &mut self.counts[self.latest * self.bins..][..self.bins];
        // A piece is at most a minute long, so 71 million rows per second fit into 32 bits.
        place.iter_mut().zip(piece).for_each(|(old, &count)| *old = u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Returns the piece that was pushed `age` pushes before the latest one.
    fn back(&self, age: usize) -> &[u32] {
        let at = (self.latest + self.pieces - age % self.pieces) % self.pieces;
        &self.counts[at * self.bins..][..self.bins]
    }
}

/// All windows over the traffic of one model.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    pub(crate) windows: Vec<Window>,
    scrapes: Ring,
    minutes: Ring,
    minute: Vec<u64>,
    scrapes_in_minute: usize,
}

impl Timeline {
    pub(crate) fn new(monitor: &Monitor, spans: &[Span]) -> Self {
        let bins = monitor.bins();
        let (mut scrapes, mut minutes) = (0, 0);
        for span in spans {
            match *span {
                Span::Scrapes(length) => scrapes = scrapes.max(length),
                Span::Minutes(length) => minutes = minutes.max(length),
            }
        }
        Self {
            windows: spans.iter().map(|&span| Window::new(span, monitor)).collect(),
            scrapes: Ring::new(bins, scrapes + 1),
            minutes: Ring::new(bins, minutes + 1),
            minute: vec![0; bins],
            scrapes_in_minute: 0,
        }
    }

    /// Simulates a scrape and the judgement that follows it; `increase` has the rows of each bin since the scrape before.
    ///
    /// # Errors
    /// If the model's reference is inconsistent.
    pub(crate) fn beat(&mut self, monitor: &Monitor, increase: &[u64]) -> Result<(), DriftError> {
        self.scrapes.push(increase);
        self.minute.iter_mut().zip(increase).for_each(|(sum, count)| *sum += count);
        self.scrapes_in_minute += 1;
        let minute_is_full = self.scrapes_in_minute == MINUTE;
        if minute_is_full {
            self.minutes.push(&self.minute);
            self.minute.fill(0);
            self.scrapes_in_minute = 0;
        }
        for window in &mut self.windows {
            match window.span {
                Span::Scrapes(_) => {
                    window.slide(&self.scrapes);
                    window.judge(monitor)?;
                }
                Span::Minutes(_) if minute_is_full => {
                    window.slide(&self.minutes);
                    window.judge(monitor)?;
                }
                // The window has not changed, so its verdict stays the same.
                Span::Minutes(_) => {}
            }
            for state in &mut window.states {
                state.in_a_row =
                    if state.verdict == Verdict::Drifting { state.in_a_row.saturating_add(1) } else { 0 };
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftsim::{DriftSpec, RowSource};
    use model::ModelFile;

    fn iris() -> ModelFile {
        model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap()
    }

    /// Returns the rows in each window after every beat, where n rows arrive before the n-th beat.
    fn rows(spans: &[Span], beats: u64) -> Vec<Vec<u64>> {
        let monitor = Monitor::new(&iris());
        let mut timeline = Timeline::new(&monitor, spans);
        (1..=beats)
            .map(|beat| {
                let mut increase = vec![0; monitor.bins()];
                increase[0] = beat;
                timeline.beat(&monitor, &increase).unwrap();
                timeline.windows.iter().map(|window| window.states[0].rows).collect()
            })
            .collect()
    }

    #[test]
    fn a_short_window_is_the_sum_of_its_latest_scrapes() {
        let rows = rows(&[Span::Scrapes(3), Span::Scrapes(2)], 50);
        assert_eq!(rows[..4], [[1, 1], [3, 3], [6, 5], [9, 7]]);
        assert_eq!(rows[49], [48 + 49 + 50, 49 + 50]);
    }

    #[test]
    fn a_long_window_is_the_sum_of_whole_minutes_and_changes_once_a_minute() {
        let sum = |from: u64, to: u64| (from..=to).sum::<u64>();
        let rows = rows(&[Span::Minutes(2)], 40);
        let at = |beat: usize| rows[beat - 1][0];
        assert_eq!([at(11), at(12), at(23)], [0, sum(1, 12), sum(1, 12)]);
        assert_eq!([at(24), at(35), at(36)], [sum(1, 24), sum(1, 24), sum(13, 36)]);
    }

    #[test]
    fn judgements_in_a_row_are_counted_from_the_latest_steady_one() {
        let file = iris();
        let monitor = Monitor::new(&file);
        let mut timeline = Timeline::new(&monitor, &[Span::Scrapes(1), Span::Minutes(1)]);
        let beat = |timeline: &mut Timeline, preset: Option<&str>| {
            let spec = preset.map_or_else(DriftSpec::steady, |name| DriftSpec::preset(name).unwrap());
            let mut increase = vec![0; monitor.bins()];
            for row in RowSource::new(&file.card, &spec, 4).unwrap().take(300) {
                monitor.count(&row, None, &mut increase);
            }
            timeline.beat(&monitor, &increase).unwrap();
            [0, 1].map(|window| timeline.windows[window].states[0].in_a_row)
        };
        let presets = [None, Some("giant"), Some("giant"), None, Some("giant")];
        let counts = presets.map(|preset| beat(&mut timeline, preset)[0]);
        assert_eq!(counts, [0, 1, 2, 0, 1]);
        let minute: Vec<u32> = (0..10).map(|_| beat(&mut timeline, None)[1]).collect();
        // The minute is full at the twelfth beat, and the verdict then stays the same until the next minute is full.
        assert_eq!(minute, [0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
    }

    #[test]
    fn spans_are_written_as_prometheus_writes_them() {
        let spans = [Span::Scrapes(4), Span::Minutes(1), Span::Minutes(60), Span::Minutes(1440)];
        assert_eq!(spans.map(Span::label), ["20s", "1m", "1h", "1d"]);
    }
}
