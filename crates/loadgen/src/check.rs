//! `loadgen check`: what a scenario would send, or everything that is wrong with it.

use crate::{
    exit::Exit,
    plan::arrivals::planned,
    report::text::table,
    scenario::{Executor, Phase, Scenario, Spacing, library},
};

/// Checks every file and prints its phases; problems go to stderr.
pub fn check(files: &[String]) -> Exit {
    let mut exit = Exit::Passed;
    for file in files {
        let parsed = library::find(file)
            .map_err(|error| error.to_string())
            .and_then(|found| Scenario::parse(&found.text, &found.place).map_err(|error| error.to_string()));
        match parsed {
            Ok(scenario) => println!("{file}: good\n{}", phases(&scenario)),
            Err(problems) => {
                eprintln!("{problems}");
                exit = Exit::BadInput;
            }
        }
    }
    exit
}

fn phases(scenario: &Scenario) -> String {
    let mut rows = vec![["phase", "arrivals", "duration"].map(String::from).to_vec()];
    let span = |span| humantime::format_duration(span).to_string();
    for phase in &scenario.phases {
        rows.push(vec![phase.name.clone(), arrivals(phase), span(phase.duration())]);
    }
    let whole: Vec<String> =
        [arrivals_of(scenario, Spacing::Constant), arrivals_of(scenario, Spacing::Poisson)]
            .into_iter()
            .zip(["", "about "])
            .filter(|(arrivals, _)| *arrivals > 0)
            .map(|(arrivals, about)| format!("{about}{arrivals}"))
            .collect();
    rows.push(vec!["all".into(), whole.join(" + "), span(scenario.duration())]);
    table(&rows, 3)
}

/// How many arrivals all open phases of one spacing plan.
fn arrivals_of(scenario: &Scenario, wanted: Spacing) -> u64 {
    let of_phase = |phase: &Phase| match &phase.executor {
        Executor::Open { ramps, spacing } if *spacing == wanted => planned(ramps),
        _ => 0,
    };
    scenario.phases.iter().map(of_phase).sum()
}

/// How many requests a phase offers, as far as that can be known beforehand.
fn arrivals(phase: &Phase) -> String {
    match &phase.executor {
        Executor::Open { ramps, spacing: Spacing::Constant } => planned(ramps).to_string(),
        Executor::Open { ramps, spacing: Spacing::Poisson } => format!("about {}", planned(ramps)),
        Executor::Closed { vus, .. } => format!("{vus} users, as fast as answers come"),
    }
}
