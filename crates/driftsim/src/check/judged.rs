//! The verdicts on a table, or on the counts of a server.

use super::{Reference, ServerCounts, TableCounts, word};
use crate::counted::counted;
use anyhow::{Result, ensure};
use drift::{FalseAlarmBudget, SignalReference, Verdict, judge};
use serde::{Serialize, Serializer};
use std::fmt;

/// The verdict on all signals together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Overall {
    /// No signal drifts.
    Steady,
    /// A signal drifts.
    Drift,
    /// No signal drifts, but there are too few rows for a verdict, or rows could not be read.
    CannotTell,
}

/// The result of a check.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    /// What was judged.
    #[serde(flatten)]
    pub current: Current,
    /// What it was judged against.
    #[serde(flatten)]
    pub reference: Against,
    /// The verdict.
    pub overall: Overall,
    /// The number of judged rows. A server may have counted fewer in some signals.
    pub rows: u64,
    /// The number of rows whose true class is known.
    pub labelled_rows: u64,
    /// The share of rows with a known true class that the model classifies correctly; `None` if there are no such rows.
    pub accuracy: Option<f64>,
    /// The accuracy on the reference; `None` if it is not known.
    pub reference_accuracy: Option<f64>,
    /// Sentences about what may be a mistake, or what limits the verdict.
    pub notes: Vec<String>,
    /// One per signal that was checked.
    pub signals: Vec<JudgedSignal>,
}

/// What was judged.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Current {
    /// The rows of a table.
    Table {
        /// The table's name.
        table: String,
        /// The number of rows that could not be read.
        unreadable_rows: u64,
        /// The first problems of rows that could not be read, with line and column.
        problems: Vec<String>,
    },
    /// The rows that a server counted since its start.
    Server {
        /// The address of the page with the counts.
        metrics: String,
        /// From when on the rows were counted.
        rows_since: Since,
        /// The start of the server, as RFC 3339 writes it, if it is known.
        server_start: Option<String>,
    },
}

/// From when on a server counted rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Since {
    /// From its start.
    ServerStart,
}

/// What was judged against.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Against {
    /// A model.
    Model {
        /// The model's name.
        model: String,
        /// The model's version.
        version: String,
    },
    /// A table.
    Table {
        /// The table's name.
        reference_table: String,
        /// The number of its rows.
        reference_rows: u64,
    },
}

/// The verdict on one signal.
#[derive(Debug, Clone, Serialize)]
pub struct JudgedSignal {
    /// The signal's name.
    pub signal: String,
    /// The verdict.
    #[serde(serialize_with = "as_word")]
    pub verdict: Verdict,
    /// The number of rows that were counted in this signal.
    pub rows: u64,
    /// The distance from the reference; `None` without rows.
    pub psi: Option<f64>,
    /// The PSI above which the signal drifts; `None` without rows.
    pub limit: Option<f64>,
    /// The smallest true PSI that is detected with a probability of 90 %; `None` without a verdict.
    pub detectable: Option<f64>,
    /// The signal's bins, in their order.
    pub bins: Vec<JudgedBin>,
}

/// One bin of a signal.
#[derive(Debug, Clone, Serialize)]
pub struct JudgedBin {
    /// The bin's label.
    pub bin: String,
    /// The share of rows that is expected from the reference.
    pub expected: f64,
    /// The share of the judged rows; 0 without rows.
    pub seen: f64,
    /// The bin's term of the PSI.
    pub contribution: f64,
}

fn as_word<S: Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&word(*verdict).replace(' ', "_"))
}

impl Judged {
    /// Judges the counts of a table.
    ///
    /// # Errors
    /// Returns an error if no row could be read, or the reference is inconsistent.
    pub fn of_table(reference: &Reference, counts: &TableCounts, place: &str) -> Result<Self> {
        ensure!(counts.rows + counts.unreadable > 0, "{place}: the table has a header, but no rows");
        ensure!(
            counts.rows > 0,
            "{}; none of {} can be read",
            counts.problems.first().map_or(place, String::as_str),
            counted(counts.unreadable, "row", "rows")
        );
        let current = Current::Table {
            table: place.to_owned(),
            unreadable_rows: counts.unreadable,
            problems: counts.problems.clone(),
        };
        let notes = match reference {
            Reference::Model { .. } => counts.notes.clone(),
            Reference::Table(table) => table.notes.iter().chain(&counts.notes).cloned().collect(),
        };
        Self::new(reference, current, &counts.counts, counts.rows, counts.labelled, notes)
    }

    /// Judges the counts of a server; `place` is the address of its page. Rows without a prediction are not in all signals.
    ///
    /// # Errors
    /// Returns an error if the reference is inconsistent.
    pub fn of_server(reference: &Reference, counts: &ServerCounts, place: &str) -> Result<Self> {
        let current = Current::Server {
            metrics: place.to_owned(),
            rows_since: Since::ServerStart,
            server_start: counts.server_start.clone(),
        };
        let rows = counts.rows();
        let mut judged = Self::new(reference, current, &counts.counts, rows, counts.labelled, Vec::new())?;
        let fewer = judged.signals.iter().filter(|signal| signal.rows < rows);
        let fewer: Vec<String> = fewer.map(|signal| format!("{} {}", signal.signal, signal.rows)).collect();
        if !fewer.is_empty() {
            judged.notes.push(format!(
                "some signals have fewer rows: {}. Rows without a prediction are counted in the features only",
                fewer.join(", ")
            ));
        }
        Ok(judged)
    }

    fn new(
        reference: &Reference,
        current: Current,
        counts: &[Vec<u64>],
        rows: u64,
        labelled: [u64; 2],
        notes: Vec<String>,
    ) -> Result<Self> {
        let alpha = FalseAlarmBudget::default().alpha(reference.signals().len());
        let checked = reference.signals().iter().zip(counts).filter(|(_, counts)| !counts.is_empty());
        let signals: Vec<JudgedSignal> =
            checked.map(|(signal, counts)| judged(signal, counts, alpha)).collect::<Result<_>>()?;
        let any = |wanted: fn(&Verdict) -> bool| signals.iter().any(|signal| wanted(&signal.verdict));
        let unreadable = current.unreadable_rows();
        let overall = if any(|verdict| *verdict == Verdict::Drifting) {
            Overall::Drift
        } else if unreadable > 0 || any(|verdict| matches!(verdict, Verdict::CannotTell { .. })) {
            Overall::CannotTell
        } else {
            Overall::Steady
        };
        Ok(Self {
            current,
            reference: match reference {
                Reference::Model { card, .. } => {
                    Against::Model { model: card.name.clone(), version: card.version.clone() }
                }
                Reference::Table(table) => {
                    Against::Table { reference_table: table.place.clone(), reference_rows: table.rows }
                }
            },
            overall,
            rows,
            labelled_rows: labelled[0],
            accuracy: (labelled[0] > 0).then(|| labelled[1] as f64 / labelled[0] as f64),
            reference_accuracy: reference.card().and_then(|card| card.reference.accuracy),
            notes,
            signals,
        })
    }

    /// Returns the verdict in words.
    pub fn summary(&self) -> String {
        let count = |wanted: fn(&Verdict) -> bool| {
            self.signals.iter().filter(|signal| wanted(&signal.verdict)).count()
        };
        let all = self.signals.len();
        match self.overall {
            Overall::Steady => format!("steady: none of {all} signals drifts"),
            Overall::Drift => {
                let drifting = count(|verdict| *verdict == Verdict::Drifting);
                format!("drift: {drifting} of {all} signals")
            }
            Overall::CannotTell if self.current.unreadable_rows() > 0 => {
                let unreadable = self.current.unreadable_rows();
                format!("cannot tell: {} could not be read", counted(unreadable, "row", "rows"))
            }
            Overall::CannotTell => {
                let without = count(|verdict| matches!(verdict, Verdict::CannotTell { .. }));
                if without == all {
                    return format!(
                        "cannot tell: {}, needs {}",
                        counted(self.rows, "row", "rows"),
                        drift::MIN_ROWS
                    );
                }
                format!("cannot tell: {without} of {all} signals have fewer than {} rows", drift::MIN_ROWS)
            }
        }
    }

    /// Returns the number of judged rows in words, and from when on a server counted them.
    pub fn rows_in_words(&self) -> String {
        let rows = counted(self.rows, "row", "rows");
        match &self.current {
            Current::Table { .. } => rows,
            Current::Server { server_start: None, .. } => format!("{rows} since the start of the server"),
            Current::Server { server_start: Some(start), .. } => {
                format!("{rows} since the start of the server at {start}")
            }
        }
    }

    /// Returns the accuracy in words, if it is known.
    pub fn accuracy_in_words(&self) -> Option<String> {
        let rows = counted(self.labelled_rows, "row", "rows");
        let with = match self.current {
            Current::Table { .. } => "a class",
            Current::Server { .. } => "feedback",
        };
        let reference = self.reference_accuracy.map(|own| format!(", {own:.3} on the reference"));
        let words = |accuracy| {
            format!("accuracy {accuracy:.3} on {rows} with {with}{}", reference.unwrap_or_default())
        };
        self.accuracy.map(words)
    }
}

impl Current {
    /// Returns the name of the table, or the address of the page.
    pub fn place(&self) -> &str {
        match self {
            Self::Table { table, .. } => table,
            Self::Server { metrics, .. } => metrics,
        }
    }

    /// Returns the number of rows that could not be read. A server's counts have none.
    pub fn unreadable_rows(&self) -> u64 {
        match self {
            Self::Table { unreadable_rows, .. } => *unreadable_rows,
            Self::Server { .. } => 0,
        }
    }

    /// Returns the first problems of rows that could not be read.
    pub fn problems(&self) -> &[String] {
        match self {
            Self::Table { problems, .. } => problems,
            Self::Server { .. } => &[],
        }
    }
}

impl fmt::Display for Against {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model { model, version } => write!(f, "model {model} {version}"),
            Self::Table { reference_table, reference_rows } => {
                write!(f, "{reference_table} ({})", counted(*reference_rows, "row", "rows"))
            }
        }
    }
}

impl JudgedSignal {
    /// Returns the smallest detectable drift as it is displayed, which is at least the limit. It is a true PSI; chance adds to it in a
    /// measured PSI. With many bins it may therefore be below the limit, which would look like a contradiction beside the limit.
    pub fn detectable_above_limit(&self) -> Option<f64> {
        self.detectable.map(|psi| self.limit.map_or(psi, |limit| psi.max(limit)))
    }

    /// Returns the bins that contribute most to the distance, the greatest first.
    pub fn most_changed(&self, count: usize) -> Vec<&JudgedBin> {
        let mut bins: Vec<&JudgedBin> = self.bins.iter().collect();
        bins.sort_by(|a, b| b.contribution.total_cmp(&a.contribution));
        bins.truncate(count);
        bins
    }
}

fn judged(signal: &SignalReference, counts: &[u64], alpha: f64) -> Result<JudgedSignal> {
    let judgement = judge(&signal.expected, counts, signal.rows, signal.critical_chi2(alpha))?;
    let detectable = judgement.detectable_psi(signal.degrees_of_freedom());
    let rows: u64 = counts.iter().sum();
    let shares = drift::Shares::new(&signal.expected, signal.rows, counts)?;
    let bins = signal.bins.labels().into_iter().zip(shares.pairs()).zip(&signal.expected).zip(counts);
    let bins = bins.map(|(((bin, (p, q)), &expected), &count)| JudgedBin {
        bin,
        expected,
        seen: count as f64 / rows.max(1) as f64,
        contribution: (p - q) * (p / q).ln(),
    });
    Ok(JudgedSignal {
        signal: signal.name.clone(),
        verdict: judgement.verdict,
        rows,
        psi: (rows > 0).then_some(judgement.psi.value),
        limit: (rows > 0).then_some(judgement.threshold),
        detectable: detectable.is_finite().then_some(detectable),
        bins: bins.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detectable_drift_is_shown_as_at_least_the_limit() {
        let shown = |detectable| {
            let (signal, verdict) = ("x".to_owned(), Verdict::Steady);
            let signal = JudgedSignal {
                signal,
                verdict,
                rows: 100,
                psi: Some(0.01),
                limit: Some(0.1),
                detectable,
                bins: Vec::new(),
            };
            signal.detectable_above_limit()
        };
        assert_eq!([Some(0.072), Some(0.13), None].map(shown), [Some(0.1), Some(0.13), None]);
    }
}
