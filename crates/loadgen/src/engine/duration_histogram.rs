//! A histogram of durations in microseconds with three significant digits.

use base64::{Engine, prelude::BASE64_STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{Serializer as _, V2DeflateSerializer},
};
use serde::{Deserialize, Serialize, de, ser};
use std::time::Duration;

/// Durations, rounded to three significant digits of a microsecond. The range grows as needed, so no outlier is cut off.
///
/// It is serialised as HdrHistogram's own tools do it: format V2, compressed with deflate, in base64, in microseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct DurationHistogram(Histogram<u64>);

/// The usual quantiles and the maximum of a distribution, in seconds; all are `None` without samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// The median.
    pub p50: Option<f64>,
    /// The 90th percentile.
    pub p90: Option<f64>,
    /// The 95th percentile.
    pub p95: Option<f64>,
    /// The 99th percentile.
    pub p99: Option<f64>,
    /// The 99.9th percentile.
    pub p999: Option<f64>,
    /// The maximum.
    pub max: Option<f64>,
}

impl Default for DurationHistogram {
    fn default() -> Self {
        // With a range of 1 µs to 2 s, the histogram does not have to grow in most runs.
        let mut histogram = match Histogram::new_with_bounds(1, 2_000_000, 3) {
            Ok(histogram) => histogram,
            Err(error) => unreachable!("constant bounds: {error}"),
        };
        histogram.auto(true);
        Self(histogram)
    }
}

impl DurationHistogram {
    /// Adds one duration.
    pub fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX >> 1);
        if let Err(error) = self.0.record(micros) {
            unreachable!("a histogram that resizes accepts every value: {error}");
        }
    }

    /// Adds all durations of another histogram.
    pub fn merge(&mut self, other: &Self) {
        if let Err(error) = self.0.add(&other.0) {
            unreachable!("a histogram that resizes accepts every value: {error}");
        }
    }

    /// Returns each duration in seconds, rounded to three digits, with its count.
    pub fn counts(&self) -> impl Iterator<Item = (f64, u64)> {
        self.0.iter_recorded().map(|step| (seconds(step.value_iterated_to()), step.count_at_value()))
    }

    /// Returns the number of durations.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Returns the number of durations above `seconds`, where both are rounded to three digits.
    pub fn count_above(&self, seconds: f64) -> u64 {
        let limit = (seconds * 1e6) as u64;
        if self.0.max() <= limit { 0 } else { self.0.count_between(limit + 1, self.0.max()) }
    }

    /// Returns the quantile `q` in (0, 1], in seconds; `None` without samples.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| seconds(self.0.value_at_quantile(q).min(self.0.max())))
    }

    /// Returns the mean in seconds; `None` without samples.
    pub fn mean(&self) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.mean() / 1e6)
    }

    /// Returns the greatest duration in seconds; `None` without samples.
    pub fn max(&self) -> Option<f64> {
        (!self.0.is_empty()).then(|| seconds(self.0.max()))
    }

    /// Returns the usual quantiles and the maximum.
    pub fn figures(&self) -> Figures {
        Figures {
            p50: self.quantile(0.5),
            p90: self.quantile(0.9),
            p95: self.quantile(0.95),
            p99: self.quantile(0.99),
            p999: self.quantile(0.999),
            max: self.max(),
        }
    }
}

impl Serialize for DurationHistogram {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&self.0, &mut bytes).map_err(ser::Error::custom)?;
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for DurationHistogram {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64_STANDARD
            .decode(text)
            .map_err(|error| de::Error::custom(format!("is not base64: {error}")))?;
        let histogram: Histogram<u64> = hdrhistogram::serialization::Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| de::Error::custom(format!("is not an HdrHistogram: {error}")))?;
        let mut times = Self::default();
        times.0.add(&histogram).map_err(|error| {
            de::Error::custom(format!("does not fit into a histogram of microseconds: {error}"))
        })?;
        Ok(times)
    }
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_is_not_cut_off() {
        let mut times = DurationHistogram::default();
        times.record(Duration::from_micros(250));
        times.record(Duration::from_secs(7200));
        assert!((times.max().unwrap() / 7200.0 - 1.0).abs() < 1e-3);
        assert!((times.quantile(0.5).unwrap() / 250e-6 - 1.0).abs() < 1e-3);
    }

    #[test]
    fn a_merged_histogram_equals_one_of_all_durations() {
        let (mut a, mut b, mut both) =
            (DurationHistogram::default(), DurationHistogram::default(), DurationHistogram::default());
        for i in 1..1000u64 {
            let time = Duration::from_micros(i * i * 17);
            if i % 3 == 0 {
                a.record(time)
            } else {
                b.record(time)
            }
            both.record(time);
        }
        a.merge(&b);
        assert_eq!(a.figures(), both.figures());
        assert_eq!(a.count(), 999);
    }

    #[test]
    fn a_serialised_histogram_is_read_back_unchanged() {
        let mut times = DurationHistogram::default();
        for micros in [1, 250, 999_999, 7_200_000_000] {
            times.record(Duration::from_micros(micros));
        }
        let text = serde_json::to_string(&times).unwrap();
        // HdrHistogram's own texts have the same prefix.
        assert!(text.starts_with("\"HISTFAAAA"), "{text}");
        let read = |text: &str| serde_json::from_str::<DurationHistogram>(text);
        let again = read(&text).unwrap();
        assert_eq!((again.figures(), again.count()), (times.figures(), times.count()));
        assert_eq!(read(&serde_json::to_string(&DurationHistogram::default()).unwrap()).unwrap().count(), 0);
        assert!(read("\"?\"").unwrap_err().to_string().contains("base64"));
        assert!(read("\"aGVsbG8gd29ybGQ=\"").unwrap_err().to_string().contains("not an HdrHistogram"));
    }

    #[test]
    fn durations_above_a_limit_are_counted() {
        let mut times = DurationHistogram::default();
        assert_eq!(times.count_above(0.01), 0);
        (1..=20).for_each(|ms| times.record(Duration::from_millis(ms)));
        assert_eq!((times.count_above(0.0105), times.count_above(1.0)), (10, 0));
    }

    #[test]
    fn an_empty_histogram_has_no_figures() {
        assert_eq!(DurationHistogram::default().figures(), Figures::default());
    }
}
