//! Checks the system clock before anything depends on it.
//!
//! HTTP dates, the dates of reports and prediction ids hold times from 1970 to 9999, and the libraries that write them
//! panic at any other time. A board without a working battery-backed clock can start with such a time.

use anyhow::{Result, ensure};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// From 1970 to the end of the year 9999.
const RANGE: Duration = Duration::from_secs(253_402_300_800);

/// Checks that the system clock shows a time from 1970 to 9999.
///
/// # Errors
/// If it shows another time; the error says how to set the clock.
pub fn check() -> Result<()> {
    check_time(SystemTime::now())
}

fn check_time(now: SystemTime) -> Result<()> {
    ensure!(
        now.duration_since(UNIX_EPOCH).is_ok_and(|since| since < RANGE),
        "the system clock shows a time before 1970 or after 9999; set it, for example with \
         `date --set=\"2030-01-31 12:00\"` or a time service such as chrony"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_or_after_9999_are_rejected() {
        for now in [UNIX_EPOCH, SystemTime::now(), UNIX_EPOCH + RANGE - Duration::from_secs(1)] {
            assert!(check_time(now).is_ok());
        }
        for now in [UNIX_EPOCH - Duration::from_nanos(1), UNIX_EPOCH + RANGE] {
            assert!(check_time(now).unwrap_err().to_string().contains("before 1970 or after 9999"));
        }
    }
}
