//! Declares each metric of a program once: its name, type, labels, help text and buckets stand in one table.
//!
//! ```
//! use metrics::{Counter, Histogram};
//!
//! metric_families::families! { pub(crate)
//!     REQUESTS: Counter = "requests_total", ["status"], "Requests, by status.";
//!     DURATION: Histogram = "duration_seconds", [], "Time to answer, in seconds.", BUCKETS;
//! }
//! const BUCKETS: &[f64] = &[0.1, 1.0];
//!
//! let recorder = metric_families::recorder(HISTOGRAMS);
//! metrics::with_local_recorder(&recorder, || {
//!     describe();
//!     REQUESTS.with(["200"]).increment(1);
//!     DURATION.only().record(0.5);
//! });
//! let page = recorder.handle().render();
//! assert!(page.contains("# HELP requests_total Requests, by status.\n"));
//! assert!(page.contains("requests_total{status=\"200\"} 1\n"));
//! assert!(page.contains("duration_seconds_bucket{le=\"1\"} 1\n"));
//! ```

use metrics::{
    Counter, Gauge, Histogram, Label, SharedString, counter, describe_counter, describe_gauge,
    describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};
use std::marker::PhantomData;

/// Declares metrics, each as `NAME: Handle = "metric_name", ["label", …], "Help text.", BUCKETS;`, where only a histogram has
/// buckets. Also declares the function `describe`, which registers all help texts with the thread-local recorder, and the
/// constant `HISTOGRAMS`, the buckets of each histogram, for [`recorder`].
#[macro_export]
macro_rules! families {
    ($vis:vis $($name:ident: $handle:ident = $metric:literal, [$($label:literal),*], $help:literal $(, $buckets:ident)?;)+) => {
        $(
            $vis const $name: $crate::Family<$handle, { <[&str]>::len(&[$($label),*]) }> =
                $crate::Family::new($metric, [$($label),*]);
        )+

        /// Registers the help text of every metric with the thread-local recorder.
        $vis fn describe() {
            $(<$handle as $crate::Handle>::describe($metric, $help);)+
        }

        /// The bucket boundaries of each histogram.
        $vis const HISTOGRAMS: &[(&str, &[f64])] = &[$($(($metric, $buckets),)?)+];
    };
}

/// A metric with `N` labels, whose series have handles of type `H`.
#[derive(Debug)]
pub struct Family<H, const N: usize> {
    name: &'static str,
    labels: [&'static str; N],
    handle: PhantomData<H>,
}

/// A counter, gauge or histogram of crate `metrics`.
pub trait Handle: Sized {
    /// Returns the handle of a series in the thread-local recorder.
    fn register(name: &'static str, labels: Vec<Label>) -> Self;

    /// Registers the help text of a metric with the thread-local recorder.
    fn describe(name: &'static str, help: &'static str);
}

impl<H: Handle, const N: usize> Family<H, N> {
    /// Declares a metric without help text and buckets; use [`families!`], which declares those, too.
    pub const fn new(name: &'static str, labels: [&'static str; N]) -> Self {
        Self { name, labels, handle: PhantomData }
    }

    /// Returns the handle of the series with these label values, which are in the order of the declaration. If the thread-local
    /// recorder does not have the series yet, it is created with the value 0.
    pub fn with<V: Into<SharedString>>(&self, values: [V; N]) -> H {
        let labels = self.labels.iter().zip(values).map(|(&label, value)| Label::new(label, value));
        H::register(self.name, labels.collect())
    }
}

impl<H: Handle> Family<H, 0> {
    /// Returns the handle of the only series of a metric without labels.
    pub fn only(&self) -> H {
        H::register(self.name, Vec::new())
    }
}

impl Handle for Counter {
    fn register(name: &'static str, labels: Vec<Label>) -> Self {
        counter!(name, labels)
    }

    fn describe(name: &'static str, help: &'static str) {
        describe_counter!(name, help);
    }
}

impl Handle for Gauge {
    fn register(name: &'static str, labels: Vec<Label>) -> Self {
        gauge!(name, labels)
    }

    fn describe(name: &'static str, help: &'static str) {
        describe_gauge!(name, help);
    }
}

impl Handle for Histogram {
    fn register(name: &'static str, labels: Vec<Label>) -> Self {
        histogram!(name, labels)
    }

    fn describe(name: &'static str, help: &'static str) {
        describe_histogram!(name, help);
    }
}

/// Returns a new recorder with the given buckets of each histogram. It is not installed as the global recorder.
///
/// # Panics
/// If a list of buckets is empty.
pub fn recorder(histograms: &[(&str, &[f64])]) -> PrometheusRecorder {
    let builder = histograms.iter().fold(PrometheusBuilder::new(), |builder, (name, bounds)| {
        builder
            .set_buckets_for_metric(Matcher::Full((*name).to_owned()), bounds)
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    });
    builder.build_recorder()
}
