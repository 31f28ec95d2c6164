//! Reads thresholds on the client's measurements, such as `p(99)<50ms`, `rate<0.01`, `count==0`.

use super::values::parse_span;
use std::fmt;

/// The metric that a threshold is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// From the intended instant to the end of the answer.
    ResponseTime,
    /// From the actual send to the end of the answer.
    ServiceTime,
    /// From the intended instant to the actual send.
    SendLag,
    /// Requests that did not end as their payload expects: with another status, without an answer, or without one in time.
    UnexpectedRate,
    /// Requests without a complete answer.
    Failed,
    /// Requests given up after the timeout.
    TimedOut,
    /// Requests never sent.
    Dropped,
}

impl Metric {
    const ALL: [(&'static str, Self); 7] = [
        ("response_time", Self::ResponseTime),
        ("service_time", Self::ServiceTime),
        ("send_lag", Self::SendLag),
        ("unexpected_rate", Self::UnexpectedRate),
        ("failed", Self::Failed),
        ("timed_out", Self::TimedOut),
        ("dropped", Self::Dropped),
    ];

    /// Returns the name that scenarios use.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, metric)| *metric == self).map_or("", |(name, _)| name)
    }

    /// Creates the metric of a name.
    ///
    /// # Errors
    /// If there is no such name; the error lists the valid ones.
    pub fn of_name(name: &str) -> Result<Self, String> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|&(_, metric)| metric).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(name, _)| *name).collect();
            format!("there is no such metric; the metrics are {}", names.join(", "))
        })
    }

    /// Returns the names of all metrics.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().map(|(_, metric)| metric)
    }

    /// Returns the description of the metric.
    pub fn about(self) -> &'static str {
        match self {
            Self::ResponseTime => "From the planned instant to the end of the answer",
            Self::ServiceTime => "From the send to the end of the answer",
            Self::SendLag => "From the planned instant to the send",
            Self::UnexpectedRate => {
                "Requests with an unexpected status, failed or timed out, as a count or a share of those sent"
            }
            Self::Failed => "Requests without a complete answer, as a count or a share of those sent",
            Self::TimedOut => "Requests given up after the timeout, as a count or a share of those sent",
            Self::Dropped => "Requests never sent, as a count or a share of those offered",
        }
    }

    /// Returns whether the metric is a time; otherwise it is a count.
    pub fn is_time(self) -> bool {
        matches!(self, Self::ResponseTime | Self::ServiceTime | Self::SendLag)
    }
}

/// One figure of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aggregate {
    /// A quantile in (0, 1].
    Quantile(f64),
    /// The mean.
    Mean,
    /// The maximum.
    Max,
    /// A count.
    Count,
    /// A share: of the requests offered for `dropped`, of those sent for the others.
    Rate,
}

/// A sign of comparison between a value and a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
}

impl Comparison {
    // Longer signs come first, because `<=` begins with `<`.
    const SIGNS: [(&'static str, Self); 5] = [
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("==", Self::Equal),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    /// Returns the sign.
    pub fn sign(self) -> &'static str {
        Self::SIGNS.iter().find(|(_, comparison)| *comparison == self).map_or("", |(sign, _)| sign)
    }

    /// Splits `text` at its first sign of comparison.
    fn split(text: &str) -> Option<(&str, Self, &str)> {
        let (at, sign, comparison) = Self::SIGNS
            .iter()
            .filter_map(|&(sign, comparison)| text.find(sign).map(|at| (at, sign, comparison)))
            .min_by_key(|&(at, sign, _)| (at, std::cmp::Reverse(sign.len())))?;
        Some((text[..at].trim(), comparison, text[at + sign.len()..].trim()))
    }

    /// Returns whether the comparison of `value` with `limit` is true.
    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Less => value < limit,
            Self::AtMost => value <= limit,
            Self::Greater => value > limit,
            Self::AtLeast => value >= limit,
            Self::Equal => value == limit,
        }
    }
}

/// A condition on a value, such as `> 0.2`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Condition {
    /// The comparison.
    pub comparison: Comparison,
    /// The limit.
    pub limit: f64,
}

impl Condition {
    /// Reads `text`.
    ///
    /// # Errors
    /// If the text is not a comparison with a number.
    pub fn parse(text: &str) -> Result<Self, String> {
        let problem =
            || format!("must be a sign of comparison and a number, such as \"> 0.2\", got {text:?}");
        match Comparison::split(text) {
            Some(("", comparison, limit)) => match limit.parse::<f64>() {
                Ok(limit) if limit.is_finite() => Ok(Self { comparison, limit }),
                _ => Err(problem()),
            },
            _ => Err(problem()),
        }
    }

    /// Returns whether `value` meets the condition; NaN never does.
    pub fn holds(self, value: f64) -> bool {
        self.comparison.holds(value, self.limit)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {}", self.comparison.sign(), self.limit)
    }
}

/// A limit on one figure of the run, or of one phase of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// The phase's position; `None` for the whole run.
    pub phase: Option<usize>,
    /// The metric.
    pub metric: Metric,
    /// The text in the scenario.
    pub expression: String,
    /// The figure of the metric.
    pub aggregate: Aggregate,
    /// The comparison with the limit.
    pub comparison: Comparison,
    /// The limit; times are in seconds.
    pub limit: f64,
}

impl Threshold {
    /// Reads `expression`, a condition on `metric`.
    ///
    /// # Errors
    /// If the expression is not a condition that the metric allows.
    pub fn parse(phase: Option<usize>, metric: Metric, expression: &str) -> Result<Self, String> {
        let example = if metric.is_time() { "p(99)<50ms" } else { "rate<0.01" };
        let no_condition = || format!("must be a condition such as {example}, got {expression:?}");
        let (figure, comparison, limit) = Comparison::split(expression).ok_or_else(no_condition)?;
        let aggregate = aggregate(metric, figure)?;
        let limit = self::limit(metric, limit)?;
        Ok(Self { phase, metric, expression: expression.trim().to_owned(), aggregate, comparison, limit })
    }
}

fn aggregate(metric: Metric, text: &str) -> Result<Aggregate, String> {
    let quantile = text.strip_prefix("p(").and_then(|rest| rest.strip_suffix(')'));
    match (metric.is_time(), text, quantile) {
        (true, "avg", _) => Ok(Aggregate::Mean),
        (true, "max", _) => Ok(Aggregate::Max),
        (true, _, Some(percent)) => match percent.trim().parse::<f64>() {
            Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(Aggregate::Quantile(percent / 100.0)),
            _ => Err(format!("a percentile must be above 0 and at most 100, got {percent:?}")),
        },
        (false, "count", _) => Ok(Aggregate::Count),
        (false, "rate", _) => Ok(Aggregate::Rate),
        (true, ..) => Err(format!("the figures of {} are p(…), avg and max, got {text:?}", metric.name())),
        (false, ..) => Err(format!("the figures of {} are count and rate, got {text:?}", metric.name())),
    }
}

fn limit(metric: Metric, text: &str) -> Result<f64, String> {
    if metric.is_time() {
        return parse_span(text).map(|span| span.as_secs_f64()).map_err(|error| format!("the limit {error}"));
    }
    match text.parse::<f64>() {
        Ok(limit) if limit.is_finite() && limit.is_sign_positive() => Ok(limit),
        _ => Err(format!("the limit must be a number of 0 or above, got {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(metric: Metric, expression: &str) -> Result<(Aggregate, Comparison, f64), String> {
        Threshold::parse(None, metric, expression).map(|t| (t.aggregate, t.comparison, t.limit))
    }

    #[test]
    fn conditions_are_read() {
        let p99 = parse(Metric::ResponseTime, "p(99)<50ms");
        assert_eq!(p99, Ok((Aggregate::Quantile(0.99), Comparison::Less, 0.05)));
        let spaced = parse(Metric::SendLag, " p(99.9) <= 1s500ms ").unwrap();
        assert_eq!(spaced, (Aggregate::Quantile(99.9 / 100.0), Comparison::AtMost, 1.5));
        assert_eq!(parse(Metric::UnexpectedRate, "rate<0.01"), Ok((Aggregate::Rate, Comparison::Less, 0.01)));
        assert_eq!(parse(Metric::Dropped, "count==0"), Ok((Aggregate::Count, Comparison::Equal, 0.0)));
        assert_eq!(
            parse(Metric::UnexpectedRate, "rate >= 0.9"),
            Ok((Aggregate::Rate, Comparison::AtLeast, 0.9))
        );
    }

    #[test]
    fn a_condition_consists_of_a_sign_and_a_number() {
        let condition = Condition::parse(" >= -2.5e-1").unwrap();
        assert_eq!(condition, Condition { comparison: Comparison::AtLeast, limit: -0.25 });
        assert_eq!(condition.to_string(), ">= -0.25");
        assert!(condition.holds(-0.25) && !condition.holds(-0.3) && !condition.holds(f64::NAN));
        for text in ["5", "> ", "x > 5", "> 5s", "> NaN", "> inf", "!= 5", ""] {
            let problem = Condition::parse(text).unwrap_err();
            assert!(problem.contains("such as \"> 0.2\""), "{text}: {problem}");
        }
    }

    #[test]
    fn invalid_conditions_are_rejected_with_a_reason() {
        let reason = |metric, text| parse(metric, text).unwrap_err();
        assert!(reason(Metric::ResponseTime, "p(99)").contains("such as p(99)<50ms"));
        assert!(reason(Metric::ResponseTime, "p(0)<50ms").contains("percentile"));
        assert!(reason(Metric::ResponseTime, "p(99)<50").contains("the limit must be a duration"));
        assert!(reason(Metric::ResponseTime, "count<5ms").contains("are p(…), avg and max"));
        assert!(reason(Metric::Dropped, "p(99)<5").contains("are count and rate"));
        for limit in ["count==-1", "count==-0", "count==inf", "count==NaN", "count==1e400"] {
            assert!(reason(Metric::Dropped, limit).contains("0 or above"), "{limit}");
        }
        assert!(Metric::of_name("latency").unwrap_err().contains("response_time"));
    }
}
