//! Prepares requests in the order of the plan: chooses their payloads and draws their bodies. Both depend on the seed only.

use super::{Model, body::BodyWriter};
use crate::{
    malformed::Malformed,
    scenario::{Payload, Phase, Problem, Protocol, Source, TableSource},
};
use bytes::Bytes;
use driftsim::{DriftSpec, Row, RowSource};
use rand::{Rng, RngExt};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use reqwest::header::HeaderValue;
use serde_json::Value;
use std::sync::Arc;

/// A request without the instant at which it is due.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedRequest {
    /// The position of its payload.
    pub payload: usize,
    /// Its body, if it has one.
    pub body: Option<Bytes>,
    /// The media type of the body, unless the payload's own headers have one.
    pub content_type: Option<HeaderValue>,
    /// The name of the true class, or the true number, if the prediction gets feedback.
    pub label: Option<Value>,
}

/// What a stream of random numbers is used for. Each purpose has a stream of its own, so that none changes the numbers of another.
#[derive(Debug, Clone, Copy)]
pub enum Purpose {
    /// The instants of a Poisson process.
    Arrivals,
    /// The choice of payloads.
    Choice,
    /// The rows of one payload.
    Rows(usize),
    /// The kinds of one malformed payload.
    Kinds(usize),
    /// Which predictions of one payload get feedback.
    Feedback(usize),
}

/// Returns the stream of random numbers for one purpose in one phase; `vu` is 0 in open-loop phases.
pub fn stream(seed: u64, phase: usize, vu: usize, purpose: Purpose) -> ChaCha8Rng {
    let (kind, payload) = match purpose {
        Purpose::Arrivals => (0, 0),
        Purpose::Choice => (1, 0),
        Purpose::Rows(payload) => (2, payload),
        Purpose::Kinds(payload) => (3, payload),
        Purpose::Feedback(payload) => (1 << 47, payload),
    };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // The bits of a stream's number, from the highest one: 16 of the phase, 1 of the kind, 29 of the user, 16 of the payload,
    // 2 of the kind. Scenarios need far fewer.
    rng.set_stream((phase as u64) << 48 | (vu as u64) << 18 | (payload as u64) << 2 | kind);
    rng
}

/// Prepares any number of requests for one phase, or for one user of it.
pub struct PreparedRequests {
    weights: Vec<u32>,
    total: u64,
    choice: ChaCha8Rng,
    bodies: Vec<BodySource>,
}

/// The source of the bodies of one payload.
enum BodySource {
    /// A payload with the weight 0, which is never sent.
    Idle,
    Rows {
        rows: Box<RowSource>,
        writer: Box<BodyWriter>,
        /// The model by whose classes feedback names the true class.
        model: Arc<Model>,
        /// The share of predictions that get feedback, and the random numbers that select them.
        feedback: Option<(f64, Box<ChaCha8Rng>)>,
    },
    Malformed {
        rows: Box<RowSource>,
        writer: Box<BodyWriter>,
        kinds: Vec<Malformed>,
        rng: Box<ChaCha8Rng>,
    },
    Fixed(Option<(Bytes, HeaderValue)>),
}

impl PreparedRequests {
    /// Creates the requests of `phase`, which is at `position` in the scenario, for user `vu`. Only fixed bodies need no model.
    ///
    /// # Errors
    /// If a payload does not fit the model, or if it needs one and there is none.
    pub fn new(
        phase: &Phase,
        position: usize,
        vu: usize,
        payloads: &[Payload],
        model: Option<&Arc<Model>>,
        seed: u64,
    ) -> Result<Self, Problem> {
        let bodies = payloads.iter().enumerate().map(|(at, payload)| {
            if phase.mix[at] == 0 {
                return Ok(BodySource::Idle);
            }
            let stream = |purpose| stream(seed, position, vu, purpose);
            BodySource::new(
                payload,
                model,
                stream(Purpose::Rows(at)).next_u64(),
                stream(Purpose::Kinds(at)),
                stream(Purpose::Feedback(at)),
            )
            .map_err(|problem| {
                let (field, problem) = problem.split_once(": ").unwrap_or(("source", &problem));
                Problem::new(format!("payloads.{}.{field}", payload.name), problem)
            })
        });
        Ok(Self {
            bodies: bodies.collect::<Result<_, _>>()?,
            weights: phase.mix.clone(),
            total: phase.mix.iter().map(|&weight| u64::from(weight)).sum(),
            choice: stream(seed, position, vu, Purpose::Choice),
        })
    }

    /// Returns the next request.
    pub fn draw(&mut self) -> PreparedRequest {
        let payload = self.choose();
        self.bodies[payload].request(payload)
    }

    /// Skips the next request; those that follow are the same as if it had been drawn.
    pub fn pass(&mut self) {
        let payload = self.choose();
        self.bodies[payload].pass();
    }

    fn choose(&mut self) -> usize {
        let mut left = self.choice.random_range(0..self.total);
        for (at, &weight) in self.weights.iter().enumerate() {
            if left < u64::from(weight) {
                return at;
            }
            left -= u64::from(weight);
        }
        unreachable!("the weights add up to their total");
    }
}

impl BodySource {
    /// # Errors
    /// The error begins with the field of the payload.
    fn new(
        payload: &Payload,
        model: Option<&Arc<Model>>,
        seed: u64,
        rng: ChaCha8Rng,
        feedback: ChaCha8Rng,
    ) -> Result<Self, String> {
        if let Source::Fixed(body) = &payload.source {
            let body = body.as_ref().map(|body| {
                let content_type = HeaderValue::try_from(&body.content_type);
                content_type.map(|content_type| (body.text.clone(), content_type))
            });
            return body.transpose().map(Self::Fixed).map_err(|error| format!("source: {error}"));
        }
        let model = model.ok_or("source: needs a model; give a profile with --profile")?;
        let card = &model.card;
        let writer = BodyWriter::new(payload.protocol.as_ref().unwrap_or(&Protocol::Native), model)?;
        let mut writer = Box::new(writer);
        let rows = match &payload.source {
            Source::Drift(spec) => RowSource::new(card, spec, seed),
            Source::Table(TableSource { rows: Some(table), drift, .. }) => {
                *writer = writer.with_table(Arc::clone(table));
                RowSource::of_table(Arc::clone(table), card, drift, seed)
            }
            Source::Table(TableSource { rows: None, file, .. }) => {
                return Err(format!(
                    "source: table {} has not been read, which is a fault of this program",
                    file.display()
                ));
            }
            Source::Model | Source::Malformed(_) | Source::Fixed(_) => {
                RowSource::new(card, &DriftSpec::steady(), seed)
            }
        };
        let rows = rows.map(Box::new).map_err(|error| format!("source: {error}"))?;
        if let Source::Malformed(kinds) = &payload.source {
            let kinds = usable(kinds, &writer).map_err(|problem| format!("source: {problem}"))?;
            return Ok(Self::Malformed { rows, writer, kinds, rng: Box::new(rng) });
        }
        let feedback = payload.feedback.map(|own| (own.share, Box::new(feedback)));
        Ok(Self::Rows { rows, writer, model: Arc::clone(model), feedback })
    }

    fn request(&mut self, payload: usize) -> PreparedRequest {
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        let with_body = |body, content_type, label| PreparedRequest {
            payload,
            body: Some(body),
            content_type: Some(content_type),
            label,
        };
        match self {
            Self::Idle => unreachable!("a payload of weight 0 is never chosen"),
            Self::Rows { rows, writer, model, feedback } => {
                let row = row(rows);
                let chosen = is_chosen(feedback);
                let class = || row.class.map(|class| model.card.classes[class].as_str().into());
                let truth = || class().or(row.number.map(Value::from));
                let label = if chosen { truth() } else { None };
                with_body(writer.row(&row.values), JSON, label)
            }
            Self::Malformed { rows, writer, kinds, rng } => {
                let kind = kinds[rng.random_range(0..kinds.len())];
                let body = kind.spoil(&row(rows).values, writer).unwrap_or_default();
                with_body(body, HeaderValue::from_static(kind.content_type()), None)
            }
            Self::Fixed(fixed) => {
                let (body, content_type) = fixed.clone().unzip();
                PreparedRequest { payload, body, content_type, label: None }
            }
        }
    }

    /// Draws the same random numbers as [`BodySource::request`], without writing a body.
    fn pass(&mut self) {
        match self {
            Self::Idle => unreachable!("a payload of weight 0 is never chosen"),
            Self::Rows { rows, feedback, .. } => {
                drop(row(rows));
                is_chosen(feedback);
            }
            Self::Fixed(_) => {}
            Self::Malformed { rows, kinds, rng, .. } => {
                let _: usize = rng.random_range(0..kinds.len());
                drop(row(rows));
            }
        }
    }
}

/// Draws whether the next prediction gets feedback, according to the share.
fn is_chosen(feedback: &mut Option<(f64, Box<ChaCha8Rng>)>) -> bool {
    feedback.as_mut().is_some_and(|(share, rng)| rng.random::<f64>() < *share)
}

fn row(rows: &mut RowSource) -> Row {
    match rows.next() {
        Some(row) => row,
        None => unreachable!("a source of rows never ends"),
    }
}

/// Returns the kinds that are invalid input for this model; without `kinds`, all of them.
fn usable(kinds: &[Malformed], writer: &BodyWriter) -> Result<Vec<Malformed>, String> {
    let row = vec![Some(0.0); writer.features().count()];
    let spoilt = |kind: &Malformed| kind.spoil(&row, writer);
    if kinds.is_empty() {
        return Ok(Malformed::ALL.into_iter().filter(|kind| spoilt(kind).is_ok()).collect());
    }
    for kind in kinds {
        spoilt(kind).map_err(|why| format!("{} {why}; remove it from `kinds`", kind.name()))?;
    }
    Ok(kinds.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use std::io::Write;

    fn requests(vu: usize, seed: u64) -> Vec<PreparedRequest> {
        let yaml = "
name: x
payloads:
  good: { weight: 90, source: { model: {} } }
  bad: { weight: 10, source: { malformed: {} } }
  never: { weight: 0, source: { model: {} } }
phases: [ { name: a, executor: constant-vus, vus: 2, duration: 1s } ]
";
        let scenario = Scenario::parse(yaml, "x").unwrap();
        let card = model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap().card;
        let mut requests = PreparedRequests::new(
            &scenario.phases[0],
            0,
            vu,
            &scenario.payloads,
            Some(&Arc::new(card.into())),
            seed,
        )
        .unwrap();
        (0..2000).map(|_| requests.draw()).collect()
    }

    #[test]
    fn a_malformed_kind_that_is_valid_for_the_model_is_an_error() {
        let mut card = model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap().card;
        card.features.iter_mut().for_each(|feature| feature.missing_ratio = 0.1);
        let writer = BodyWriter::new(&Protocol::Native, &Arc::new(card.into())).unwrap();
        let problem = usable(&[Malformed::Nan, Malformed::NullFeature], &writer).unwrap_err();
        assert_eq!(
            problem,
            "null_feature is valid input: each feature of this model may be missing; remove it from `kinds`"
        );
    }

    #[test]
    fn feedback_labels_are_class_names_or_numbers_of_a_table() {
        let mut card = model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap().card;
        let labels = |card: &model::ModelCard| {
            let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
            let header = "sepal_length,sepal_width,petal_length,petal_width";
            write!(file, "{header},species,weight\n1,2,3,4,setosa,5.25\n").unwrap();
            let yaml = format!(
                "name: x\npayloads: {{ a: {{ source: {{ table: {:?} }}, feedback: {{ share: 0.5 }} }} }}\n\
                 phases: [ {{ name: a, executor: constant-vus, vus: 2, duration: 1s }} ]",
                file.path()
            );
            let mut scenario = Scenario::parse(&yaml, "x").unwrap();
            scenario.read_tables(None, card).unwrap();
            let model = Arc::new(card.clone().into());
            let requests =
                PreparedRequests::new(&scenario.phases[0], 0, 0, &scenario.payloads, Some(&model), 1);
            let mut requests = requests.unwrap();
            let labels: Vec<Option<Value>> = (0..40).map(|_| requests.draw().label).collect();
            assert!(labels.contains(&None));
            let sent: Vec<Value> = labels.into_iter().flatten().collect();
            assert!(sent.iter().all(|label| *label == sent[0]));
            sent[0].clone()
        };
        assert_eq!(labels(&card), "setosa");
        card.classes.clear();
        card.notation.target = Some("weight".into());
        assert_eq!(labels(&card), 5.25);
    }

    #[test]
    fn texts_of_a_table_are_sent_as_they_are() {
        let rows: String =
            (0..80).map(|row| format!("{},{row}.5,{}\n", ["a ", "b"][row % 2], row / 3 % 2)).collect();
        let text = format!("letter,number,class\n{rows}");
        let table = model::read_csv(text.as_bytes(), "t", &model::CsvOptions::new("class")).unwrap().table;
        let mut card = model::train(&table, &model::TrainOptions::new("t")).unwrap().card;
        let sent = |card: &model::ModelCard| {
            let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
            write!(file, "letter,number\na ,1\n b,1\nrare,1\nb,1\n").unwrap();
            let yaml = format!(
                "name: x\npayloads: {{ a: {{ source: {{ table: {:?} }} }} }}\n\
                 phases: [ {{ name: a, executor: constant-vus, vus: 2, duration: 1s }} ]",
                file.path()
            );
            let mut scenario = Scenario::parse(&yaml, "x").unwrap();
            scenario.read_tables(None, card).unwrap();
            let model = Arc::new(card.clone().into());
            let requests =
                PreparedRequests::new(&scenario.phases[0], 0, 0, &scenario.payloads, Some(&model), 1);
            let mut requests = requests.unwrap();
            let body = |_| String::from_utf8(requests.draw().body.unwrap().to_vec()).unwrap();
            (0..60).map(body).collect::<std::collections::BTreeSet<_>>()
        };
        let bodies =
            |texts: &[&str]| texts.iter().map(|text| format!("{{\"features\":[\"{text}\",1.0]}}")).collect();
        // The model that was trained here gets texts without the spaces around them.
        assert_eq!(sent(&card), bodies(&["a", "b", "rare"]));
        // A model that was trained elsewhere gets them unchanged, in the reference as well.
        card.training.alpha = None;
        assert_eq!(sent(&card), bodies(&["a ", " b", "rare", "b"]));
    }

    #[test]
    fn the_same_seed_draws_the_same_requests() {
        assert_eq!(requests(0, 42), requests(0, 42));
        assert_ne!(requests(0, 42), requests(0, 43));
        assert_ne!(requests(0, 42), requests(1, 42));
    }

    #[test]
    fn payloads_are_chosen_by_their_weights() {
        let requests = requests(0, 1);
        let bad = requests.iter().filter(|request| request.payload == 1).count() as f64;
        // 10 % of 2000 are expected; the margin is four standard deviations, 4·√(2000 · 0.1 · 0.9).
        assert!((bad - 200.0).abs() < 4.0 * 13.5, "{bad}");
        assert!(requests.iter().all(|request| request.payload != 2));
    }
}
