//! The standard process metrics, read when a page is asked for.
//!
//! They are written as text here: the facade's counters are whole numbers, and CPU seconds that are cut to whole
//! seconds make a staircase of every `rate()`.

use metrics_process::collector::collect;
use std::fmt::Write;

/// The process metrics in the Prometheus text format; what the system does not tell is left out.
pub fn render() -> String {
    let process = collect();
    let whole = |value: Option<u64>| value.map(|value| value as f64);
    let families = [
        (
            "process_cpu_seconds_total",
            "counter",
            "User and system CPU time in seconds.",
            process.cpu_seconds_total,
        ),
        ("process_resident_memory_bytes", "gauge", "Resident memory.", whole(process.resident_memory_bytes)),
        ("process_virtual_memory_bytes", "gauge", "Virtual memory.", whole(process.virtual_memory_bytes)),
        (
            "process_virtual_memory_max_bytes",
            "gauge",
            "Limit of virtual memory.",
            whole(process.virtual_memory_max_bytes),
        ),
        ("process_open_fds", "gauge", "Open file descriptors.", whole(process.open_fds)),
        ("process_max_fds", "gauge", "Limit of open file descriptors.", whole(process.max_fds)),
        ("process_threads", "gauge", "Threads.", whole(process.threads)),
        (
            "process_start_time_seconds",
            "gauge",
            "Start of the process, Unix time.",
            whole(process.start_time_seconds),
        ),
    ];
    let mut text = String::new();
    for (name, kind, help, value) in families {
        if let Some(value) = value {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn cpu_time_keeps_its_fraction() {
        let used = || super::collect().cpu_seconds_total.unwrap();
        let start = used();
        let mut spun = 0_u64;
        while used() - start < 0.05 {
            spun = std::hint::black_box(spun + 1);
        }
        let text = super::render();
        let line = text.lines().find(|line| line.starts_with("process_cpu_seconds_total ")).unwrap();
        let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(value >= start + 0.05);
        assert!(text.contains("process_resident_memory_bytes "));
    }
}
