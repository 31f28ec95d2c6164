//! Defines the panels of the page, and computes their lines from the timeline.
//!
//! If the client and the service both measure a quantity, it has two plots with the same axes beside each other. In a single
//! plot, the lines of both sides would cover each other, and small differences would be hard to see.

use super::{Page, chart::Line, scale::Unit};
use crate::{
    engine::FLUSH,
    timeline::{ClientSlot, ServerSlot, Slot},
    watch::snapshot::Counter,
};
use std::{collections::BTreeMap, fmt::Display, time::Duration};

/// One or two plots on the same axes.
pub struct Panel {
    /// The title.
    pub title: &'static str,
    /// The explanation below the title.
    pub about: &'static str,
    /// The unit of the y axes.
    pub unit: Unit,
    /// The limit that is drawn as a horizontal line, if there is one.
    pub limit: Option<f64>,
    /// The plots, each with the name of the side that measured it.
    pub plots: Vec<(&'static str, Vec<Line>)>,
}

/// The most lines of a plot. Further lines are added up, or left out if they cannot be added.
const MOST: usize = 6;

/// The colour of the line that sums up the further ones.
const LEFT_OVER: usize = 6;

const CLIENT: &str = "client";
const SERVER: &str = "service";

/// Returns all panels, in their order.
pub fn panels(page: &Page) -> Vec<Panel> {
    let course = Course { page };
    let class = |counter: &Counter| match counter {
        Counter::Output { class } => Some(class.clone()),
        _ => None,
    };
    vec![
        Panel {
            title: "Request throughput",
            about: "Answers per second by status. A request without an answer counts when it times out.",
            unit: Unit::Rate,
            limit: None,
            plots: course.throughput(),
        },
        Panel {
            title: "Latency",
            about: "The client measures from the planned instant to the end of the answer, the service from the head of the \
            request to its answer.",
            unit: Unit::Time,
            limit: None,
            plots: vec![
                (
                    CLIENT,
                    course.client(&[
                        ("p50", |slot| slot.response.quantile(0.5)),
                        ("p95", |slot| slot.response.quantile(0.95)),
                        ("p99", |slot| slot.response.quantile(0.99)),
                    ]),
                ),
                (
                    SERVER,
                    course.server(&[
                        ("average", ServerSlot::latency_mean),
                        ("p95", |slot| slot.increases.vitals().latency_p95),
                    ]),
                ),
            ],
        },
        Panel {
            title: "Error rate",
            about: "Client: answers with a status that the scenario does not expect. Service: all 4xx and 5xx answers.",
            unit: Unit::Share,
            limit: None,
            plots: vec![
                (CLIENT, course.client(&[("unexpected", unexpected)])),
                (
                    SERVER,
                    course.server(&[
                        ("4xx", |slot| slot.increases.vitals().client_error_ratio),
                        ("5xx", |slot| slot.increases.vitals().server_error_ratio),
                    ]),
                ),
            ],
        },
        Panel {
            title: "Prediction distribution",
            about: "Predictions per second by class.",
            unit: Unit::Rate,
            limit: None,
            plots: vec![(SERVER, course.counters(&ranked(&course.server_sums(class)), class))],
        },
        Panel {
            title: "CPU usage",
            about: "Processor cores in use by the service.",
            unit: Unit::Cores,
            limit: None,
            plots: vec![(SERVER, course.server(&[("cores", ServerSlot::cpu)]))],
        },
        Panel {
            title: "Memory usage",
            about: "Resident memory of the service.",
            unit: Unit::Bytes,
            limit: None,
            plots: vec![(SERVER, course.server(&[("resident", |slot| slot.memory)]))],
        },
        Panel {
            title: "Drift",
            about: "Population stability index (PSI) of each signal as a ratio to its limit, from all rows of the phase so far. A \
            signal above ×1 drifts. A gap means too few rows for a verdict. Only the signals with the greatest ratios \
            are shown.",
            unit: Unit::Ratio,
            limit: Some(1.0),
            plots: vec![(SERVER, course.drift())],
        },
        Panel {
            title: "Send lag",
            about: "Time from the planned instant of a request to its send, which is part of its response time.",
            unit: Unit::Time,
            limit: None,
            plots: vec![(
                CLIENT,
                course.client(&[
                    ("p50", |slot| slot.lag.quantile(0.5)),
                    ("p99", |slot| slot.lag.quantile(0.99)),
                ]),
            )],
        },
        Panel {
            title: "Dropped requests",
            about: "Requests that were due but not sent, because too many were in flight. Percentiles do not include them.",
            unit: Unit::Rate,
            limit: None,
            plots: vec![(CLIENT, vec![course.rate("dropped", 0, |slot| slot.totals.dropped)])],
        },
    ]
}

/// Returns the share of unexpected answers among the requests that were sent and not interrupted.
fn unexpected(slot: &ClientSlot) -> Option<f64> {
    let settled = slot.totals.settled();
    (settled > 0).then(|| slot.totals.not_as_expected() as f64 / settled as f64)
}

/// The names with the greatest counts, in alphabetical order, and the other names.
struct Ranked<K> {
    named: Vec<K>,
    rest: Vec<K>,
}

fn ranked<K: Ord + Clone>(sums: &BTreeMap<K, f64>) -> Ranked<K> {
    let mut by_count: Vec<_> = sums.iter().filter(|(_, sum)| **sum > 0.0).collect();
    by_count.sort_by(|a, b| b.1.total_cmp(a.1));
    let mut named: Vec<K> = by_count.iter().take(MOST).map(|(key, _)| (*key).clone()).collect();
    named.sort();
    Ranked { named, rest: by_count.iter().skip(MOST).map(|(key, _)| (*key).clone()).collect() }
}

/// The name of a line, and the function that returns its value in a slot.
type Figure<T> = (&'static str, fn(&T) -> Option<f64>);

/// The course of a run, which is converted to the lines of plots.
struct Course<'a> {
    page: &'a Page,
}

impl Course<'_> {
    /// Returns the slots that have ended, each with its middle and its length in seconds.
    fn slots(&self) -> impl Iterator<Item = (f64, Duration, &Slot)> {
        let (width, now, running) = (self.page.timeline.width(), self.page.now, self.page.is_running());
        let slots =
            self.page.timeline.slots().map(move |(start, slot)| (start, (start + width).min(now), slot));
        slots.filter_map(move |(start, end, slot)| {
            let lasted = end.saturating_sub(start);
            // Records arrive with a delay of up to half of the workers' interval, so the rate of the last moments would be wrong.
            let over = if running { start + width + FLUSH / 2 <= now } else { lasted >= width / 4 };
            over.then(|| ((start + lasted / 2).as_secs_f64(), lasted, slot))
        })
    }

    fn line(
        &self,
        name: impl Display,
        colour: usize,
        value: impl Fn(Duration, &Slot) -> Option<f64>,
    ) -> Line {
        let finite = |value: f64| value.is_finite().then_some(value);
        let points =
            self.slots().map(|(at, lasted, slot)| (at, value(lasted, slot).and_then(finite))).collect();
        Line { name: name.to_string(), colour, points }
    }

    fn client(&self, figures: &[Figure<ClientSlot>]) -> Vec<Line> {
        let figures = figures.iter().enumerate();
        figures.map(|(colour, (name, of))| self.line(name, colour, |_, slot| of(&slot.client))).collect()
    }

    fn server(&self, figures: &[Figure<ServerSlot>]) -> Vec<Line> {
        let figures = figures.iter().enumerate();
        figures
            .map(|(colour, (name, of))| self.line(name, colour, |_, slot| of(slot.server.as_ref()?)))
            .collect()
    }

    /// Returns a count of the client per second.
    fn rate(&self, name: &str, colour: usize, count: impl Fn(&ClientSlot) -> u64) -> Line {
        self.line(name, colour, |lasted, slot| Some(count(&slot.client) as f64 / lasted.as_secs_f64()))
    }

    /// Returns the total increase of the service's counters of a kind, by name.
    fn server_sums<K: Ord>(&self, key: impl Fn(&Counter) -> Option<K>) -> BTreeMap<K, f64> {
        let mut sums = BTreeMap::new();
        for server in self.page.timeline.slots().filter_map(|(_, slot)| slot.server.as_ref()) {
            for (counter, increase) in &server.increases.increases {
                if let Some(key) = key(counter) {
                    *sums.entry(key).or_default() += increase;
                }
            }
        }
        sums
    }

    /// Returns the increases per second of the service's counters of a kind.
    fn counters<K: Ord + Display>(&self, keys: &Ranked<K>, key: impl Fn(&Counter) -> Option<K>) -> Vec<Line> {
        let rate = |wanted: &[K], slot: &Slot| {
            let server = slot.server.as_ref()?;
            let of_key = |(counter, increase): (&Counter, &f64)| {
                key(counter).filter(|key| wanted.contains(key)).map(|_| *increase)
            };
            server.per_second(server.increases.increases.iter().filter_map(of_key).sum())
        };
        let named = keys.named.iter().enumerate();
        let mut lines: Vec<_> = named
            .map(|(at, key)| self.line(key, at, |_, slot| rate(std::slice::from_ref(key), slot)))
            .collect();
        if !keys.rest.is_empty() {
            let name = format!("{} more", keys.rest.len());
            lines.push(self.line(name, LEFT_OVER, |_, slot| rate(&keys.rest, slot)));
        }
        lines
    }

    /// Returns the lines of both sides by status. A status has the same colour on both sides.
    fn throughput(&self) -> Vec<(&'static str, Vec<Line>)> {
        let status = |counter: &Counter| match counter {
            Counter::Requests { status } => Some(*status),
            _ => None,
        };
        let mut sums = self.server_sums(status);
        for (_, slot) in self.page.timeline.slots() {
            for (status, count) in &slot.client.statuses {
                *sums.entry(*status).or_default() += *count as f64;
            }
        }
        let statuses = ranked(&sums);
        let count = |wanted: &[u16], slot: &ClientSlot| {
            let of_status = |(status, count): (&u16, &u64)| wanted.contains(status).then_some(*count);
            slot.statuses.iter().filter_map(of_status).sum()
        };
        let named = statuses.named.iter().enumerate();
        let mut client: Vec<_> = named
            .map(|(at, status)| self.rate(&status.to_string(), at, |slot| count(&[*status], slot)))
            .collect();
        if !statuses.rest.is_empty() {
            let name = format!("{} more", statuses.rest.len());
            client.push(self.rate(&name, LEFT_OVER, |slot| count(&statuses.rest, slot)));
        }
        let totals = &self.page.report.totals;
        if totals.failed + totals.timed_out > 0 {
            let unanswered = |slot: &ClientSlot| slot.totals.failed + slot.totals.timed_out;
            client.push(self.rate("no answer", LEFT_OVER, unanswered));
        }
        vec![(CLIENT, client), (SERVER, self.counters(&statuses, status))]
    }

    /// Returns the signals with the greatest ratios of PSI to the limit.
    fn drift(&self) -> Vec<Line> {
        let mut worst: BTreeMap<&String, f64> = BTreeMap::new();
        for server in self.page.timeline.slots().filter_map(|(_, slot)| slot.server.as_ref()) {
            for (signal, ratio) in &server.drift {
                let known = worst.entry(signal).or_insert(*ratio);
                *known = known.max(*ratio);
            }
        }
        let mut signals: Vec<_> = worst.into_iter().collect();
        signals.sort_by(|a, b| b.1.total_cmp(&a.1));
        let line = |(at, (signal, _)): (usize, &(&String, f64))| {
            self.line(signal, at, |_, slot| slot.server.as_ref()?.drift.get(*signal).copied())
        };
        signals.iter().take(MOST).enumerate().map(line).collect()
    }
}
