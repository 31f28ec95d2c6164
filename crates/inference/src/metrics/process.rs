//! Renders the standard process metrics, which are read when a page is requested.
//!
//! They are written as text here, because the counters of the crate `metrics` are whole numbers. With CPU time in whole seconds, every
//! `rate()` would change in steps.

use super::families::PROCESS;
use metrics_process::collector::collect;
use std::fmt::Write;

/// Returns the process metrics in the Prometheus text format, without those that the system does not provide.
pub(super) fn render() -> String {
    let process = collect();
    let mut text = String::new();
    for family in &PROCESS {
        let (name, kind, help) = (family.name, family.kind, family.help);
        if let Some(value) = (family.read)(&process) {
            // Writing to a string cannot fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_has_a_fraction() {
        let used = || collect().cpu_seconds_total.unwrap();
        let start = used();
        let mut spun = 0_u64;
        while used() - start < 0.05 {
            spun = std::hint::black_box(spun + 1);
        }
        let text = render();
        let line = text.lines().find(|line| line.starts_with("process_cpu_seconds_total ")).unwrap();
        let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(value >= start + 0.05);
    }

    #[test]
    fn every_process_metric_is_provided_on_linux() {
        let text = render();
        for family in &PROCESS {
            assert!(text.contains(&format!("\n{} ", family.name)), "{}", family.name);
        }
    }
}
