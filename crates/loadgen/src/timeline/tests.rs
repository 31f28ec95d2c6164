use super::*;
use crate::{
    engine::{Ending, Timing},
    watch::{Routes, text_format},
};
use proptest::prelude::*;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn record(status: u16, micros: u64) -> Record {
    let mut record = Record::default();
    let phase = record.phase(0);
    phase.totals.offered += 1;
    let time = Duration::from_micros(micros);
    let timing = Timing { response: time, service: time, lag: Some(time / 10) };
    phase.ended(0, Ending::Completed { status, expected: status == 200 }, timing);
    record
}

fn page(ok: u64, bad: u64, memory: u64) -> Snapshot {
    let page = format!(
        "inference_requests_total{{endpoint=\"/predict\",status=\"200\"}} {ok}\n\
         inference_requests_total{{endpoint=\"/predict\",status=\"422\"}} {bad}\n\
         inference_duration_seconds_bucket{{endpoint=\"/predict\",le=\"+Inf\"}} {}\n\
         inference_duration_seconds_sum{{endpoint=\"/predict\"}} {}\n\
         process_cpu_seconds_total {}\nprocess_resident_memory_bytes {memory}\n\
         signal_bin_total{{version=\"v\",signal=\"a\",bin=\"b\"}} {ok}\n",
        ok + bad,
        (ok + bad) as f64 * 0.25,
        ok as f64 * 0.001,
    );
    Snapshot::new(&text_format::parse(&page).unwrap(), &Routes::predict(), None)
}

fn signals(state: State, psi: f64) -> BTreeMap<String, SignalState> {
    let state = SignalState { state, psi: Some(psi), threshold: Some(0.2), rows: 100, reason: None };
    [("a".to_owned(), state)].into()
}

#[test]
fn a_failed_reading_leaves_a_gap_and_the_next_one_covers_its_time() {
    let mut timeline = Timeline::default();
    let steady = signals(State::Steady, 0.1);
    timeline.read(seconds(0.0), Some(page(0, 0, 5)), &steady);
    timeline.read(seconds(1.002), Some(page(100, 0, 7)), &steady);
    timeline.read(seconds(2.001), None, &steady);
    timeline.read(seconds(3.002), Some(page(300, 100, 6)), &steady);
    let slots: Vec<_> = timeline.slots().map(|(_, slot)| slot.server.as_ref()).collect();
    let [Some(first), None, Some(third)] = slots[..] else { panic!("{slots:?}") };
    assert!((first.increases.vitals().throughput.unwrap() - 100.0).abs() < 0.3);
    // The 300 requests are those of two seconds, because the reading between failed.
    assert!((third.increases.vitals().throughput.unwrap() - 150.0).abs() < 0.3);
    assert_eq!((first.memory, first.drift["a"]), (Some(7.0), 0.5));
    assert_eq!(third.latency_mean(), Some(0.25));
    assert!((third.cpu().unwrap() - 0.1).abs() < 1e-3);
    assert!(!third.increases.increases.keys().any(|counter| matches!(counter, Counter::SignalBin { .. })));
}

#[test]
fn a_signal_without_a_verdict_has_no_value() {
    let mut timeline = Timeline::default();
    let unclear = signals(State::CannotTell, 0.1);
    timeline.read(seconds(0.0), Some(page(0, 0, 5)), &unclear);
    timeline.read(seconds(1.0), Some(page(9, 0, 5)), &unclear);
    let (_, slot) = timeline.slots().next().unwrap();
    assert!(slot.server.as_ref().unwrap().drift.is_empty());
}

proptest! {
    // Each case fills histograms of 100 kB.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn merging_slots_keeps_the_sums_and_bounds_their_number(
        events in prop::collection::vec((0u64..200_000, prop::sample::select(vec![200u16, 422, 503]), 1u64..1_000_000), 1..80),
    ) {
        let mut timeline = Timeline::default();
        let mut whole = Record::default();
        for &(at, status, micros) in &events {
            let record = record(status, micros);
            timeline.record(Duration::from_secs(at), &record);
            whole.merge(&record);
            prop_assert!(timeline.slots().count() <= SLOTS);
        }
        let mut sum = ClientSlot::default();
        timeline.slots().for_each(|(_, slot)| sum.merge(&slot.client));
        let whole = whole.whole();
        prop_assert_eq!(sum.totals, whole.totals);
        prop_assert_eq!(&sum.statuses, &whole.statuses);
        let mut response = LogHistogram::default();
        response.add(whole.response.counts());
        prop_assert_eq!(sum.response.count(), whole.response.count());
        for q in [0.5, 0.99] {
            // The histogram of the whole run is rounded to three digits.
            prop_assert!((sum.response.quantile(q).unwrap() / response.quantile(q).unwrap() - 1.0).abs() < 0.021);
        }
    }

    #[test]
    fn the_increases_of_a_long_run_keep_their_sums(steps in prop::collection::vec((0u64..50, 0u64..9, 1u64..99), 500..900)) {
        let steady = signals(State::Steady, 0.1);
        let (mut ok, mut bad, mut most) = (0, 0, 0);
        let mut timeline = Timeline::default();
        for (second, &(more, worse, memory)) in steps.iter().enumerate() {
            let first = second == 0;
            ok += if first { 0 } else { more };
            bad += if first { 0 } else { worse };
            most = if first { 0 } else { most.max(memory) };
            timeline.read(Duration::from_secs(second as u64), Some(page(ok, bad, memory)), &steady);
        }
        prop_assert!(timeline.slots().count() <= SLOTS && timeline.width() > EVERY);
        let mut sum = ServerSlot::default();
        timeline.slots().filter_map(|(_, slot)| slot.server.as_ref()).for_each(|slot| sum.merge(slot));
        prop_assert_eq!(sum.increases.covered, Duration::from_secs(steps.len() as u64 - 1));
        prop_assert_eq!(sum.increases.increases[&Counter::Requests { status: 200 }], ok as f64);
        prop_assert_eq!(sum.increases.increases[&Counter::Requests { status: 422 }], bad as f64);
        prop_assert_eq!(sum.memory, Some(most as f64));
    }
}
