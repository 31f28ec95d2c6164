//! Follows the instances of an alert that an expectation is about. Only what the verdict needs is stored, so the memory does not
//! grow with the length of the run or with the number of times that an alert fires.
//!
//! Times are counted from the run's start.

use super::{
    alertmanager::Delivery,
    alerts::{Alerts, Labels},
};
use crate::scenario::{AlertPattern, TargetLabels};
use std::{collections::BTreeSet, time::Duration};

/// How long a run waits until a pending alert fires or clears: twice the minute that most rules wait before they fire.
pub const LONGEST_PENDING: Duration = Duration::from_secs(120);

/// The longest accepted time from the firing of an alert to its arrival in Alertmanager. Prometheus sends it when the rule is
/// evaluated, and again only after a minute. Three of its evaluation intervals of 5 s leave room for a busy machine.
pub const LONGEST_DELIVERY: Duration = Duration::from_secs(15);

/// An answer counts as describing an instant if its question was asked at most this long after the instant, because no change
/// is visible so soon.
pub const AT_ONCE: Duration = Duration::from_millis(250);

/// The greatest age of an answer that still describes the start of a phase. An answer may take two seconds, and the next
/// question is asked within a second after it.
pub const LONGEST_LAPSE: Duration = Duration::from_secs(3);

/// The state of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertState {
    /// Its condition did not hold.
    Inactive,
    /// Its condition held, but not yet for long enough.
    Pending,
    /// The alert fired.
    Firing,
}

/// Follows an alert that must fire, and possibly resolve.
#[derive(Debug, Clone)]
pub struct FiresWatch {
    pattern: AlertPattern,
    from: Duration,
    phase_end: Duration,
    within: Duration,
    resolves: Option<Duration>,
    /// Its state in the last answer before the phase or at its start.
    before: Option<(Duration, AlertState)>,
    /// When it first fired after that.
    pub fired: Option<Duration>,
    /// When it was last observed to fire.
    pub last_fired: Option<Duration>,
    /// The time since which no instance fires any more, after one had fired.
    pub gone: Option<Duration>,
    /// Its delivery to the Alertmanagers.
    pub delivery: Delivery,
}

impl FiresWatch {
    /// Creates the observation of an alert in a phase from `from` to `phase_end`.
    pub fn new(
        pattern: &AlertPattern,
        within: Duration,
        resolves: Option<Duration>,
        from: Duration,
        phase_end: Duration,
    ) -> Self {
        Self {
            pattern: pattern.clone(),
            from,
            phase_end,
            within,
            resolves,
            before: None,
            fired: None,
            last_fired: None,
            gone: None,
            delivery: Delivery::default(),
        }
    }

    /// Ignores alerts about other services than the target, unless the scenario names the job; returns whether it does.
    pub fn narrow(&mut self, target: &TargetLabels) -> bool {
        self.pattern.narrow(target)
    }

    /// Takes the alerts of Prometheus at `at`.
    pub fn observe(&mut self, at: Duration, alerts: &Alerts) {
        let fires = alerts.firing(&self.pattern).next().is_some();
        if at <= self.from + AT_ONCE {
            let state = match (fires, alerts.pending(&self.pattern).next()) {
                (true, _) => AlertState::Firing,
                (false, Some(_)) => AlertState::Pending,
                (false, None) => AlertState::Inactive,
            };
            self.before = Some((at, state));
            return;
        }
        // An alert that resolved in time has resolved, even if it fires again later.
        if self.gone.is_some() && self.resolves.is_some_and(|within| at > self.phase_end + within + AT_ONCE) {
            return;
        }
        match (fires, self.fired) {
            (true, _) => {
                self.fired.get_or_insert(at);
                self.last_fired = Some(at);
                self.gone = None;
            }
            (false, Some(_)) => drop(self.gone.get_or_insert(at)),
            (false, None) => {}
        }
    }

    /// Returns the state when the phase began; `None` if Prometheus did not answer around then.
    pub fn at_start(&self) -> Option<AlertState> {
        let (at, state) = self.before?;
        (at + LONGEST_LAPSE >= self.from).then_some(state)
    }

    /// Takes the alerts that the Alertmanagers have at `at`.
    pub fn observe_held(&mut self, at: Duration, held: &[super::alertmanager::Held]) {
        self.delivery.observe(at, held, &self.pattern, self.from, self.fired, self.gone.is_some());
    }

    /// Returns which event the run still waits for at `now`, and until when.
    pub fn awaited(&self, now: Duration, asks_alertmanagers: bool) -> Option<(String, Duration)> {
        let (what, until) = match self.fired {
            // Later events do not belong to the phase.
            _ if now > self.from + AT_ONCE && self.at_start() != Some(AlertState::Inactive) => return None,
            None => ("to fire", self.from + self.within),
            Some(fired)
                if asks_alertmanagers
                    && self.delivery.arrived.is_none()
                    && self.delivery.unclear.is_none()
                    && now < fired + LONGEST_DELIVERY =>
            {
                ("to reach Alertmanager", fired + LONGEST_DELIVERY)
            }
            Some(_) if self.gone.is_none() => ("to resolve", self.phase_end + self.resolves?),
            Some(_) => return None,
        };
        (now < until).then(|| (format!("{} {what}", self.pattern), until))
    }
}

/// Follows an alert that must stay quiet.
#[derive(Debug, Clone)]
pub struct QuietWatch {
    pattern: AlertPattern,
    from: Duration,
    /// The end of the time in which the alert must stay quiet.
    until: Duration,
    /// Whether the alert must also stay quiet after that time, until the end of the observation.
    to_the_last: bool,
    /// When an instance was first observed to fire, and its labels.
    pub fired: Option<(Duration, Labels)>,
    /// Instances that were pending at the end. If they fire later, the cause is in the time before.
    pending: BTreeSet<Labels>,
}

impl QuietWatch {
    /// Creates the observation of an alert between these instants, or until the end of the observation.
    pub fn new(pattern: &AlertPattern, from: Duration, until: Duration, to_the_last: bool) -> Self {
        Self { pattern: pattern.clone(), from, until, to_the_last, fired: None, pending: BTreeSet::new() }
    }

    /// Ignores alerts about other services than the target, unless the scenario names the job; returns whether it does.
    pub fn narrow(&mut self, target: &TargetLabels) -> bool {
        self.pattern.narrow(target)
    }

    /// Takes the alerts of Prometheus at `at`.
    pub fn observe(&mut self, at: Duration, alerts: &Alerts) {
        if at < self.from || self.fired.is_some() {
            return;
        }
        let in_time = at <= self.until + AT_ONCE;
        let mut firing = alerts.firing(&self.pattern);
        let fired = firing.find(|&labels| in_time || self.to_the_last || self.pending.contains(labels));
        self.fired = fired.map(|labels| (at, labels.clone()));
        if in_time {
            self.pending = alerts.pending(&self.pattern).cloned().collect();
        } else {
            self.pending.retain(|labels| alerts.pending.contains(labels));
        }
    }

    /// Returns whether an instance is pending and may still fire.
    pub fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Returns which event the run still waits for at `now`, and until when.
    pub fn awaited(&self, now: Duration) -> Option<(String, Duration)> {
        let until = self.until + LONGEST_PENDING;
        (self.fired.is_none() && self.is_pending() && now < until)
            .then(|| (format!("{} to fire or clear", self.pattern), until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Job;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn pattern() -> AlertPattern {
        AlertPattern::new("A".into(), Labels::new(), Job::Target)
    }

    /// Returns the alerts for a text with one letter per instance: `f` for firing, `p` for pending.
    fn alerts(states: &str) -> Alerts {
        let mut alerts = Alerts::default();
        for (instance, state) in states.chars().enumerate() {
            let labels: Labels = [("alertname", "A".to_owned()), ("i", instance.to_string())]
                .map(|(name, value)| (name.to_owned(), value))
                .into();
            match state {
                'f' => drop(alerts.firing.insert(labels)),
                'p' => drop(alerts.pending.insert(labels)),
                _ => {}
            }
        }
        alerts
    }

    #[test]
    fn an_answer_right_after_an_instant_describes_that_instant() {
        let slightly_after = |seconds| at(seconds) + Duration::from_millis(5);
        let mut fires = FiresWatch::new(&pattern(), at(15), None, at(10), at(20));
        fires.observe(slightly_after(9), &alerts("-"));
        fires.observe(slightly_after(10), &alerts("f"));
        assert_eq!((fires.at_start(), fires.fired), (Some(AlertState::Firing), None));
        let mut quiet = QuietWatch::new(&pattern(), at(10), at(20), false);
        quiet.observe(slightly_after(20), &alerts("f"));
        assert!(quiet.fired.is_some());
    }

    /// Returns the observation of a phase from 10 s to 20 s, with the states of each second from 9 s on.
    fn fires(states: &[&str]) -> FiresWatch {
        let mut watch = FiresWatch::new(&pattern(), at(15), Some(at(5)), at(10), at(20));
        for (second, states) in states.iter().enumerate() {
            watch.observe(at(9 + second as u64), &alerts(states));
        }
        watch
    }

    #[test]
    fn an_alert_has_resolved_when_no_instance_fires() {
        let watch = fires(&["", "", "f-", "ff", "-f", "--"]);
        assert_eq!(
            (watch.at_start(), watch.fired, watch.gone),
            (Some(AlertState::Inactive), Some(at(11)), Some(at(14)))
        );
        assert_eq!(fires(&["f"]).at_start(), Some(AlertState::Firing));
        assert_eq!(fires(&["-", "p-", "f"]).at_start(), Some(AlertState::Pending));
    }

    #[test]
    fn an_answer_long_before_the_phase_does_not_describe_its_start() {
        let watch_at = |seconds| {
            let mut watch = FiresWatch::new(&pattern(), at(15), None, at(10), at(20));
            watch.observe(at(seconds), &alerts("-"));
            watch.observe(at(12), &alerts("f"));
            watch
        };
        assert_eq!(watch_at(7).at_start(), Some(AlertState::Inactive));
        let unknown = watch_at(6);
        assert_eq!((unknown.at_start(), unknown.fired), (None, Some(at(12))));
        assert_eq!(unknown.awaited(at(13), true), None);
    }

    #[test]
    fn an_alert_that_fires_again_before_the_deadline_has_not_resolved() {
        // It fires again at 24 s, before the deadline of 25 s.
        let mut states = ["-", "-", "f"].to_vec();
        states.extend(["-"; 12]);
        states.push("f");
        assert_eq!(fires(&states).gone, None);
        let mut watch = fires(&states[..states.len() - 1]);
        watch.observe(at(26), &alerts("f"));
        assert_eq!(watch.gone, Some(at(12)));
    }

    #[test]
    fn the_run_waits_for_firing_then_delivery_then_resolution() {
        let awaited = |watch: &FiresWatch, now, asks| {
            watch.awaited(at(now), asks).map(|(what, until)| (what, until.as_secs()))
        };
        let silent = fires(&["-", "-"]);
        assert_eq!(awaited(&silent, 21, true), Some(("A to fire".into(), 25)));
        assert_eq!(awaited(&silent, 25, true), None);
        let fired = fires(&["-", "-", "-", "f"]);
        assert_eq!(awaited(&fired, 21, true), Some(("A to reach Alertmanager".into(), 27)));
        assert_eq!(awaited(&fired, 21, false), Some(("A to resolve".into(), 25)));
        assert_eq!(awaited(&fires(&["-", "-", "f", "-"]), 21, false), None);
        assert_eq!(awaited(&fires(&["p"]), 21, true), None);
    }

    #[test]
    fn instances_that_are_pending_at_the_end_are_observed_further() {
        let watch_on = |states: &[&str], to_the_last| {
            let mut watch = QuietWatch::new(&pattern(), at(10), at(12), to_the_last);
            for (second, states) in states.iter().enumerate() {
                watch.observe(at(9 + second as u64), &alerts(states));
            }
            watch
        };
        let watch = |states: &[&str]| watch_on(states, false);
        assert_eq!(watch_on(&["-", "-", "-", "-", "f"], true).fired.map(|(at, _)| at), Some(at(13)));
        // After the end of its time, only instances that were pending then count.
        assert_eq!(watch(&["f", "-", "-", "-", "f"]).fired, None);
        assert_eq!(watch(&["-", "-", "f"]).fired.map(|(at, _)| at), Some(at(11)));
        let pending = watch(&["-", "-", "-", "p-", "pf"]);
        assert!(pending.fired.is_none() && pending.awaited(at(13)).is_some());
        assert_eq!(watch(&["-", "-", "-", "p-", "pf", "f-"]).fired.map(|(at, _)| at), Some(at(14)));
        assert!(!watch(&["-", "-", "-", "p-", "-", "p-"]).is_pending());
    }
}
