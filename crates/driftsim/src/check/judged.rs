//! The verdicts on a table.

use super::{Reference, TableCounts, word};
use crate::counted::counted;
use anyhow::{Result, ensure};
use drift::{FalseAlarmBudget, SignalReference, Verdict, judge};
use serde::{Serialize, Serializer};

/// The verdict on a table as a whole.
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
    /// The table's name.
    pub table: String,
    /// The model's name.
    pub model: String,
    /// The model's version.
    pub version: String,
    /// The verdict.
    pub overall: Overall,
    /// The number of judged rows.
    pub rows: u64,
    /// The number of rows whose true class is known.
    pub labelled_rows: u64,
    /// The share of rows with a known true class that the model classifies correctly; `None` if there are no such rows.
    pub accuracy: Option<f64>,
    /// The accuracy on the reference; `None` if the true classes of its rows are not known.
    pub reference_accuracy: Option<f64>,
    /// The number of rows that could not be read.
    pub unreadable_rows: u64,
    /// The first problems of rows that could not be read, with line and column.
    pub problems: Vec<String>,
    /// Sentences about what may be a mistake in the table.
    pub notes: Vec<String>,
    /// One per signal that was checked.
    pub signals: Vec<JudgedSignal>,
}

/// The verdict on one signal.
#[derive(Debug, Clone, Serialize)]
pub struct JudgedSignal {
    /// The signal's name.
    pub signal: String,
    /// The verdict.
    #[serde(serialize_with = "as_word")]
    pub verdict: Verdict,
    /// The distance from the reference.
    pub psi: f64,
    /// The PSI above which the signal drifts.
    pub limit: f64,
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
    /// The share of rows of the table.
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
    /// Returns an error if no row could be read, or the card is inconsistent.
    pub fn new(reference: &Reference, counts: &TableCounts, place: &str) -> Result<Self> {
        let card = &reference.card;
        ensure!(counts.rows + counts.unreadable > 0, "{place}: the table has a header, but no rows");
        ensure!(
            counts.rows > 0,
            "{}; none of {} can be read",
            counts.problems.first().map_or(place, String::as_str),
            counted(counts.unreadable, "row", "rows")
        );
        let alpha = FalseAlarmBudget::default().alpha(card.reference.signals.len());
        let checked =
            card.reference.signals.iter().zip(&counts.counts).filter(|(_, counts)| !counts.is_empty());
        let signals: Vec<JudgedSignal> =
            checked.map(|(signal, counts)| judged(signal, counts, alpha)).collect::<Result<_>>()?;
        let any = |wanted: fn(&Verdict) -> bool| signals.iter().any(|signal| wanted(&signal.verdict));
        let overall = if any(|verdict| *verdict == Verdict::Drifting) {
            Overall::Drift
        } else if counts.unreadable > 0 || any(|verdict| matches!(verdict, Verdict::CannotTell { .. })) {
            Overall::CannotTell
        } else {
            Overall::Steady
        };
        Ok(Self {
            table: place.to_owned(),
            model: card.name.clone(),
            version: card.version.clone(),
            overall,
            rows: counts.rows,
            labelled_rows: counts.labelled[0],
            accuracy: (counts.labelled[0] > 0).then(|| counts.labelled[1] as f64 / counts.labelled[0] as f64),
            reference_accuracy: card.reference.accuracy,
            unreadable_rows: counts.unreadable,
            problems: counts.problems.clone(),
            notes: counts.notes.clone(),
            signals,
        })
    }

    /// Returns the verdict in words.
    pub fn summary(&self) -> String {
        let drifting = self.signals.iter().filter(|signal| signal.verdict == Verdict::Drifting).count();
        match self.overall {
            Overall::Steady => format!("steady: none of {} signals drifts", self.signals.len()),
            Overall::Drift => format!("drift: {drifting} of {} signals", self.signals.len()),
            Overall::CannotTell if self.unreadable_rows > 0 => {
                format!("cannot tell: {} could not be read", counted(self.unreadable_rows, "row", "rows"))
            }
            Overall::CannotTell => {
                format!("cannot tell: {}, needs {}", counted(self.rows, "row", "rows"), drift::MIN_ROWS)
            }
        }
    }
}

impl JudgedSignal {
    /// Returns the smallest detectable drift as it is displayed, which is at least the limit. It is a true PSI; chance adds to it in a
    /// measured PSI. With many bins it may therefore be below the limit, which would look like a contradiction beside the limit.
    pub fn detectable_above_limit(&self) -> Option<f64> {
        self.detectable.map(|psi| psi.max(self.limit))
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
        seen: count as f64 / rows as f64,
        contribution: (p - q) * (p / q).ln(),
    });
    Ok(JudgedSignal {
        signal: signal.name.clone(),
        verdict: judgement.verdict,
        psi: judgement.psi.value,
        limit: judgement.threshold,
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
            let signal =
                JudgedSignal { signal, verdict, psi: 0.01, limit: 0.1, detectable, bins: Vec::new() };
            signal.detectable_above_limit()
        };
        assert_eq!([Some(0.072), Some(0.13), None].map(shown), [Some(0.1), Some(0.13), None]);
    }
}
