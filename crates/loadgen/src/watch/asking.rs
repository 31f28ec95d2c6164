//! Asks Prometheus and its Alertmanagers every second, for as long as somebody listens.

use super::{EVERY, prometheus::Told, queries::QueryWatch, reader::Reader};
use crate::scenario::{Demand, Expectation};
use std::time::{Duration, Instant};
use tokio::{
    sync::mpsc::UnboundedSender,
    time::{Interval, MissedTickBehavior},
};

/// Asks about alerts, Alertmanagers and queries, each on its own, so that one that hangs does not hold up the others.
/// `boundaries` are the phases' starts and the end, counted from `started`.
pub fn ask_on(
    reader: &Reader,
    expectations: &[Expectation],
    boundaries: &[Duration],
    started: Instant,
    sender: &UnboundedSender<Told>,
) {
    let (asking, telling) = (reader.clone(), sender.clone());
    tokio::spawn(async move {
        let mut ticks = every_second(started);
        loop {
            ticks.tick().await;
            let asked = started.elapsed();
            let Some(alerts) = asking.alerts().await else { return };
            if telling.send(Told::Alerts(asked, alerts)).is_err() {
                return;
            }
        }
    });
    if expectations.iter().any(|expectation| matches!(expectation.demand, Demand::AlertFires { .. })) {
        let (asking, telling) = (reader.clone(), sender.clone());
        tokio::spawn(async move {
            let mut ticks = every_second(started);
            loop {
                ticks.tick().await;
                let asked = started.elapsed();
                let Some(held) = asking.held().await else { return };
                if telling.send(Told::Held(asked, held)).is_err() {
                    return;
                }
            }
        });
    }
    for (position, expectation) in expectations.iter().enumerate() {
        let Demand::Query { expr, demand } = &expectation.demand else { continue };
        let phase = expectation.phase.unwrap_or_default();
        let watch = QueryWatch::new(expr, demand, boundaries[phase], boundaries[phase + 1]);
        let (asking, telling, expr) = (reader.clone(), sender.clone(), expr.clone());
        tokio::spawn(async move {
            let mut ticks = every_second(started + watch.from);
            loop {
                if ticks.tick().await > (started + watch.until).into() {
                    return;
                }
                let asked = started.elapsed();
                let Some(values) = asking.query(&expr).await else { return };
                if telling.send(Told::Values(position, asked, values)).is_err() {
                    return;
                }
            }
        });
    }
}

fn every_second(from: Instant) -> Interval {
    let mut ticks = tokio::time::interval_at(from.into(), EVERY);
    // An answer that took long must not be made up for by a burst of questions.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
