//! Computes the ticks of axes, and formats their values.

use crate::text::time;

/// The unit of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Events per second.
    Rate,
    /// Seconds.
    Time,
    /// A share from 0 to 1, shown in percent.
    Share,
    /// Cores in use.
    Cores,
    /// Bytes, shown in MiB.
    Bytes,
    /// A ratio to a limit.
    Ratio,
}

impl Unit {
    /// Returns whether the axis is logarithmic. Times and ratios to a limit span orders of magnitude; on a linear axis, only the
    /// greatest values would be visible.
    pub fn is_logarithmic(self) -> bool {
        matches!(self, Self::Time | Self::Ratio)
    }

    /// Formats a value for a legend.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Rate => format!("{}/s", digits(value)),
            Self::Time => time(Some(value)),
            Self::Share => format!("{} %", digits(value * 100.0)),
            Self::Cores => digits(value),
            Self::Bytes => format!("{} MiB", digits(value / MIB)),
            Self::Ratio => format!("×{}", digits(value)),
        }
    }

    /// Formats a value for a tick, as short as possible.
    fn tick(self, value: f64) -> String {
        match self {
            Self::Rate | Self::Cores => plain(value),
            Self::Share => format!("{} %", plain(value * 100.0)),
            Self::Bytes => plain(value / MIB),
            Self::Ratio => format!("×{}", plain(value)),
            Self::Time => match value {
                v if v < 0.999e-3 => format!("{} µs", plain(v * 1e6)),
                v if v < 0.999 => format!("{} ms", plain(v * 1e3)),
                v => format!("{} s", plain(v)),
            },
        }
    }

    /// Returns the description of the unit.
    pub fn words(self) -> &'static str {
        match self {
            Self::Rate => "per second",
            Self::Cores => "cores",
            Self::Bytes => "MiB",
            Self::Time | Self::Share | Self::Ratio => "",
        }
    }
}

const MIB: f64 = 1_048_576.0;

/// Formats a value with three digits and without trailing zeros.
fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    trimmed(&format!("{value:.decimals$}"))
}

fn plain(value: f64) -> String {
    trimmed(&format!("{value:.6}"))
}

fn trimmed(text: &str) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text.to_owned()
    }
}

/// The y axis of a plot. Positions on it are values, or their logarithms to base 10.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    unit: Unit,
    /// The lowest position.
    pub low: f64,
    /// The highest position.
    pub high: f64,
    /// The positions of the ticks.
    pub ticks: Vec<f64>,
}

/// The most decades of a logarithmic axis below its greatest value.
const DECADES: f64 = 5.0;

impl Scale {
    /// Creates an axis that fits all values.
    pub fn new(unit: Unit, values: impl Iterator<Item = f64>) -> Self {
        if unit.is_logarithmic() { Self::logarithmic(unit, values) } else { Self::even(unit, values) }
    }

    fn even(unit: Unit, values: impl Iterator<Item = f64>) -> Self {
        let greatest = values.fold(0.0, f64::max);
        // If all values are 0, the axis ends at one, one percent or one MiB.
        let nothing = match unit {
            Unit::Share => 0.01,
            Unit::Bytes => MIB,
            _ => 1.0,
        };
        let high = if greatest > 0.0 { greatest } else { nothing };
        let grid = if unit == Unit::Bytes { MIB } else { 1.0 };
        let step = nice(high / grid / 5.0) * grid;
        let count = (high / step - 1e-9).ceil() as u32;
        let ticks: Vec<f64> = (0..=count).map(|at| f64::from(at) * step).collect();
        Self { unit, low: 0.0, high: step * f64::from(count), ticks }
    }

    fn logarithmic(unit: Unit, values: impl Iterator<Item = f64>) -> Self {
        let (mut least, mut greatest) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| *value > 0.0) {
            (least, greatest) = (least.min(value), greatest.max(value));
        }
        if greatest == 0.0 {
            (least, greatest) = if unit == Unit::Time { (0.001, 0.1) } else { (0.1, 10.0) };
        }
        let high = greatest.log10().ceil();
        let low = least.log10().floor().clamp(high - DECADES, high - 1.0);
        let ticks = (low as i32..=high as i32).map(f64::from).collect();
        Self { unit, low, high, ticks }
    }

    /// Returns the position of a value. Values below a logarithmic axis, such as 0, are at its lower end.
    pub fn position(&self, value: f64) -> f64 {
        if self.unit.is_logarithmic() { value.log10().max(self.low) } else { value }
    }

    /// Returns the label of a tick.
    pub fn label(&self, position: f64) -> String {
        self.unit.tick(if self.unit.is_logarithmic() { 10f64.powf(position) } else { position })
    }
}

/// Returns the smallest of 1, 2 and 5 times a power of ten that is at least `value`.
fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= value * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

/// The distances between ticks of a time axis, in seconds; longer ones are whole days.
const SPANS: [f64; 14] =
    [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 10_800.0, 21_600.0];

const DAY: f64 = 86_400.0;

/// Returns the ticks of a time axis from 0 to `end` seconds, at most seven.
pub fn time_ticks(end: f64) -> Vec<f64> {
    let wanted = end / 6.0;
    let step = SPANS.into_iter().find(|span| *span >= wanted).unwrap_or_else(|| DAY * nice(wanted / DAY));
    (0..=(end / step) as u32).map(|at| f64::from(at) * step).collect()
}

/// Returns the label of a tick on the time axis, such as `1:30`, or `2:00 h` from an hour on.
pub fn time_label(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours}:{minutes:02} h") } else { format!("{minutes}:{rest:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_axes_begin_at_zero_and_end_at_a_tick() {
        let scale = Scale::new(Unit::Rate, [3.0, 370.0].into_iter());
        assert_eq!((scale.low, scale.high, scale.ticks.len()), (0.0, 400.0, 5));
        assert_eq!(scale.label(200.0), "200");
        let nothing = Scale::new(Unit::Share, [0.0].into_iter());
        assert_eq!((nothing.high, nothing.label(nothing.high)), (0.01, "1 %".to_owned()));
        let memory = Scale::new(Unit::Bytes, [37.0 * MIB].into_iter());
        assert_eq!((memory.high, memory.label(memory.high)), (40.0 * MIB, "40".to_owned()));
    }

    #[test]
    fn logarithmic_axes_have_a_tick_at_each_decade() {
        let scale = Scale::new(Unit::Time, [0.0004, 0.412].into_iter());
        let labels: Vec<_> = scale.ticks.iter().map(|tick| scale.label(*tick)).collect();
        assert_eq!(labels, ["100 µs", "1 ms", "10 ms", "100 ms", "1 s"]);
        assert_eq!(scale.position(0.0), scale.low);
        assert_eq!(Scale::new(Unit::Ratio, [1.0].into_iter()).ticks, [-1.0, 0.0]);
        assert!(Scale::new(Unit::Ratio, [1e-9, 30.0].into_iter()).ticks.len() <= 6);
    }

    #[test]
    fn time_ticks_are_at_round_minutes_and_hours() {
        assert_eq!(time_ticks(185.0), [0.0, 60.0, 120.0, 180.0]);
        assert_eq!(time_ticks(4.0), [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert!(time_ticks(30.0 * DAY).len() <= 7);
        assert_eq!([90.0, 7200.0].map(time_label), ["1:30", "2:00 h"]);
    }

    #[test]
    fn legend_values_have_three_digits() {
        let shown = [
            Unit::Rate.show(49.98),
            Unit::Share.show(0.30125),
            Unit::Bytes.show(20.0 * MIB),
            Unit::Ratio.show(31.0),
        ];
        assert_eq!(shown, ["50/s", "30.1 %", "20 MiB", "×31"]);
    }
}
