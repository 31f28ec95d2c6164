//! `loadgen check`: prints what a scenario would send, or everything that is wrong with it.

use super::preflight::{fit, read_profile};
use crate::{
    exit::Exit,
    plan::{Model, Plan, Shard, arrivals::planned},
    scenario::{
        Executor, PREDICTION_ENDPOINT, Phase, Protocol, ProtocolName, Ramp, Scenario, Spacing, library, roles,
    },
    text::table,
};
use clap::ValueHint;
use cli_io::{
    printable::{MOST_QUOTED, printable, printable_message},
    stdout::print,
};
use driftsim::counted::counted;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The arguments of `loadgen check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files or names of scenarios
    #[arg(required = true, value_hint = ValueHint::FilePath)]
    files: Vec<String>,
    /// Check that the scenarios fit the model in this file (a profile, a model file, or a card), and print which features the roles
    /// stand for
    #[arg(long, alias = "model", value_name = "CARD.json", value_hint = ValueHint::FilePath)]
    profile: Option<PathBuf>,
    /// Send the rows that the scenario posts to /predict by this protocol instead
    #[arg(long, value_name = "PROTOCOL")]
    protocol: Option<ProtocolName>,
    /// The server's name of the model, in the paths of the protocols oip-v2 and v1
    #[arg(long, value_name = "NAME", requires = "protocol")]
    served_model: Option<String>,
}

/// Checks every scenario and prints its phases; problems go to stderr.
///
/// # Errors
/// If standard output cannot be written to.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let mut exit = Exit::Passed;
    let model = args.profile.as_deref().map(read_profile).transpose()?.map(Arc::new);
    if let Some(Model { card, .. }) = model.as_deref() {
        let lines = roles::described(card).into_iter().map(|(role, name)| vec![role.to_owned(), name]);
        print(format!(
            "model {}\n{}\n",
            printable(&card.name, MOST_QUOTED),
            table(&lines.collect::<Vec<_>>(), 1)
        ))?;
    }
    for file in &args.files {
        let parsed = library::find(file).map_err(|error| error.to_string()).and_then(|found| {
            let mut scenario =
                Scenario::parse(&found.text, &found.place).map_err(|error| error.to_string())?;
            if let Some(protocol) = args.protocol {
                scenario.send_by(protocol, args.served_model.as_deref())?;
            }
            let located = |error| format!("{:#}", found.locate(error));
            let endpoint = scenario.name_endpoint().map_err(|problem| located(problem.into()))?;
            checked(&mut scenario, found.folder(), model.as_ref()).map_err(located)?;
            Ok((scenario, endpoint))
        });
        match parsed {
            Ok((scenario, endpoint)) => {
                print(format!(
                    "{}: good\n{}\n{}\n",
                    printable(file, MOST_QUOTED),
                    phases(&scenario),
                    requests_of(&scenario)
                ))?;
                if let Some(route) = endpoint {
                    print(format!("  {PREDICTION_ENDPOINT} stands for {route}\n"))?;
                }
                if let (Some(what), None) = (scenario.needs_model(), &model) {
                    print(format!("  {what} needs the model of the target, or --profile CARD.json\n"))?;
                }
            }
            Err(problems) => {
                eprintln!("{}", printable_message(&problems));
                exit = Exit::BadInput;
            }
        }
    }
    Ok(exit)
}

/// Checks that a scenario can be run with a model, or as far as that is possible without one.
fn checked(scenario: &mut Scenario, folder: Option<&Path>, model: Option<&Arc<Model>>) -> anyhow::Result<()> {
    match model {
        Some(model) => {
            for note in fit(scenario, folder, model)? {
                eprintln!("warning: {}", printable_message(&note));
            }
        }
        None => scenario.check_tables(folder)?,
    }
    if model.is_none() && scenario.needs_model().is_some() {
        return Ok(());
    }
    let plan = Plan::new(Arc::new(scenario.clone()), model.cloned(), scenario.seed, Shard::WHOLE);
    plan.map(drop)
}

/// Returns a table of the requests of each payload.
fn requests_of(scenario: &Scenario) -> String {
    let mut rows = vec![["payload", "request", "protocol"].map(String::from).to_vec()];
    rows.extend(scenario.payloads.iter().map(|payload| {
        vec![
            payload.name.clone(),
            format!("{} {}", payload.method, payload.path),
            payload.protocol.as_ref().map_or("none", Protocol::name).to_owned(),
        ]
    }));
    table(&rows, 1)
}

fn phases(scenario: &Scenario) -> String {
    let head = ["phase", "executor", "rate", "duration", "requests", "payloads"];
    let mut rows = vec![head.map(String::from).to_vec()];
    let span = |span| humantime::format_duration(span).to_string();
    for phase in &scenario.phases {
        rows.push(vec![
            phase.name.clone(),
            executor(phase).into(),
            rate(phase),
            span(phase.duration()),
            requests(phase),
            payloads(phase, scenario),
        ]);
    }
    let whole: Vec<String> =
        [arrivals_of(scenario, Spacing::Constant), arrivals_of(scenario, Spacing::Poisson)]
            .into_iter()
            .zip(["", "about "])
            .filter(|(arrivals, _)| *arrivals > 0)
            .map(|(arrivals, about)| format!("{about}{arrivals}"))
            .collect();
    rows.push(vec![
        "all".into(),
        String::new(),
        String::new(),
        span(scenario.duration()),
        whole.join(" + "),
        String::new(),
    ]);
    table(&rows, 1)
}

fn executor(phase: &Phase) -> &'static str {
    match &phase.executor {
        Executor::Closed { .. } => "constant-vus",
        Executor::Open { ramps, .. } if is_constant(ramps) => "constant-arrival-rate",
        Executor::Open { .. } => "ramping-arrival-rate",
    }
}

fn is_constant(ramps: &[Ramp]) -> bool {
    ramps.len() == 1 && ramps[0].from == ramps[0].to
}

/// Returns the rates of a phase as text.
fn rate(phase: &Phase) -> String {
    match &phase.executor {
        Executor::Closed { vus, .. } => counted(*vus as u64, "user", "users"),
        Executor::Open { ramps, .. } if is_constant(ramps) => format!("{}/s", ramps[0].from),
        Executor::Open { ramps, .. } => {
            let start = ramps.first().map(|ramp| ramp.from);
            let course: Vec<String> = start
                .into_iter()
                .chain(ramps.iter().map(|ramp| ramp.to))
                .map(|rate| rate.to_string())
                .collect();
            format!("{}/s", course.join(" to "))
        }
    }
}

/// Returns the planned number of arrivals of all open-loop phases with this spacing.
fn arrivals_of(scenario: &Scenario, wanted: Spacing) -> u64 {
    let of_phase = |phase: &Phase| match &phase.executor {
        Executor::Open { ramps, spacing } if *spacing == wanted => planned(ramps),
        _ => 0,
    };
    scenario.phases.iter().map(of_phase).sum()
}

/// Returns the number of requests of a phase as text, if it is known before the run.
fn requests(phase: &Phase) -> String {
    match &phase.executor {
        Executor::Open { ramps, spacing: Spacing::Constant } => planned(ramps).to_string(),
        Executor::Open { ramps, spacing: Spacing::Poisson } => format!("about {}", planned(ramps)),
        Executor::Closed { .. } => "depends on the answers".into(),
    }
}

/// Returns the expected number of requests with each payload. Payloads are drawn at random, so a run's counts vary around it.
fn payloads(phase: &Phase, scenario: &Scenario) -> String {
    let total: f64 = phase.mix.iter().map(|&weight| f64::from(weight)).sum();
    let expected = |weight: u32| {
        let share = f64::from(weight) / total;
        match &phase.executor {
            Executor::Open { ramps, .. } => format!("{:.0}", planned(ramps) as f64 * share),
            Executor::Closed { .. } => format!("{:.0} %", share * 100.0),
        }
    };
    let used = scenario.payloads.iter().zip(&phase.mix).filter(|(_, weight)| **weight > 0);
    used.map(|(payload, &weight)| format!("{} {}", payload.name, expected(weight)))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::ModelCard;

    /// Returns the card of a model that is trained on CSV columns and three classes.
    fn card(header: &str, cells: impl Fn(usize) -> String) -> ModelCard {
        let rows: String = (0..300).map(|row| format!("{},c{}\n", cells(row), row % 5 / 2)).collect();
        let csv = format!("{header},class\n{rows}");
        let table = model::read_csv(csv.as_bytes(), "t", &model::CsvOptions::new("class")).unwrap().table;
        model::train(&table, &model::TrainOptions::new("t")).unwrap().card
    }

    #[test]
    fn every_built_in_scenario_fits_any_model() {
        let city = |row: usize| ["Bonn", "Rome", "Oslo"][row % 3];
        let iris = model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap().card;
        let mixed = card("n,city", |row| format!("{}.5,{}", row % 17, city(row)));
        let texts = card("city,flag", |row| format!("{},{}", city(row), row % 7 < 3));
        // One column has the name of an output, and all columns have missing values.
        let gaps = card("distance,city", |row| match row % 9 {
            0 => ",Rome".to_owned(),
            1 => "3.5,".to_owned(),
            _ => format!("{}.5,{}", row % 17, city(row)),
        });
        for (which, card) in [("iris", iris), ("mixed", mixed), ("texts", texts), ("gaps", gaps)] {
            let model = Arc::new(card.into());
            for (name, text) in library::BUILT_IN {
                let mut scenario = Scenario::parse(text, name).unwrap();
                checked(&mut scenario, None, Some(&model))
                    .unwrap_or_else(|problem| panic!("{name}, {which}: {problem}"));
            }
        }
    }
}
