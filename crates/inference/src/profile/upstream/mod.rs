//! Gets the outputs of a model from the server that it runs in.
//!
//! Layout:
//! - this module: sends the table's rows and collects the answers
//! - `bodies`: writes rows in the forms that servers take
//! - `client`: HTTP
//! - `meaning`: determines what the answers mean

mod bodies;
mod client;
mod meaning;

use super::{Args, ModelOutputs, onnx};
use crate::{
    foreign::{Answer, Protocol, Wanted, excerpt},
    progress::Progress,
    rows::tensors::HEADER_LENGTH,
};
use ::onnx::{RawOutputs, Scores};
use anyhow::{Context, Result, anyhow, bail, ensure};
use bodies::{Form, Layout};
use clap::{Args as ClapArgs, ValueEnum};
use client::{Address, Client, Closed};
use model::{Batch, Feature, ReferenceTable, ServerForm, ServerInput, reference_features};
use std::{ops::Range, time::Duration};

/// The number of rows that are sent twice, to find out whether the server answers the same again.
const REPEATED: usize = 20;

/// Flags of `inference profile` about a model server.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Model server")]
pub(super) struct UpstreamArgs {
    /// Model server that predicts the rows, such as http://127.0.0.1:8080; a token in the environment variable
    /// INFERENCE_UPSTREAM_TOKEN is sent with each request
    #[arg(long, value_name = "URL", requires = "protocol", conflicts_with_all = ["onnx", "predictions", "probabilities"])]
    pub(super) upstream: Option<String>,
    /// Protocol of the model server
    #[arg(long, value_enum, requires = "upstream")]
    pub(super) protocol: Option<Protocol>,
    /// Name of the model at the server, for oip-v2 and v1
    #[arg(long, value_name = "NAME", requires = "upstream")]
    pub(super) upstream_model: Option<String>,
    /// Path that predicts, if it is not the usual one of the protocol
    #[arg(long, value_name = "PATH", requires = "upstream")]
    pub(super) upstream_path: Option<String>,
    /// Greatest number of rows in a request
    #[arg(long, value_name = "ROWS", default_value_t = 50, requires = "upstream", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=100_000))]
    pub(super) upstream_batch: usize,
    /// Longest time from a request to its complete answer
    #[arg(long, value_name = "DURATION", default_value = "30s", requires = "upstream", value_parser = crate::settings::duration)]
    pub(super) upstream_timeout: Duration,
}

/// The answers to all rows.
pub(super) struct Collected {
    /// The name of the field or output with the prediction.
    pub(super) output: Option<String>,
    /// The name of the field or output with probabilities.
    pub(super) probabilities_output: Option<String>,
    /// Whether the predictions are numbers.
    pub(super) numeric: bool,
    /// Whether a single probability is called a confidence.
    pub(super) confident: bool,
    pub(super) raw: RawOutputs,
    /// The form of the requests, if the protocol does not define it.
    pub(super) form: Option<ServerForm>,
    notes: Vec<String>,
}

/// Asks the server for its outputs.
///
/// # Errors
/// Returns an error that names the rows if the server cannot be asked, or if its answers cannot be read.
pub(super) fn read(args: &Args, table: &ReferenceTable, progress: &Progress) -> Result<ModelOutputs> {
    let (Some(url), Some(protocol)) = (&args.server.upstream, args.server.protocol) else {
        bail!("give --upstream URL and --protocol");
    };
    let address = Address::new(url).context("--upstream")?;
    let place = format!("--upstream {address}");
    let features = reference_features(table);
    let inputs = args.mapping.inputs(&features)?;
    let values = onnx::values(table);
    let sender = Sender {
        args,
        table,
        protocol,
        path: address.below(&path(args, protocol)?),
        layout: layout(args, &inputs, &features)?,
        batch: onnx::batch(&values, table),
    };
    let mut client = Client::new(address, args.server.upstream_timeout)?;
    let collected = sender.collect(&mut client, progress).with_context(|| place.clone())?;
    meaning::of(args, table, &inputs, collected).with_context(|| place)
}

/// Returns the columns of requests, with their positions in the table, and the outputs to request.
fn layout<'a>(args: &'a Args, inputs: &'a [ServerInput], features: &'a [Feature]) -> Result<Layout<'a>> {
    let column = |input: &'a ServerInput| {
        let at = features
            .iter()
            .position(|feature| feature.name == input.feature)
            .context("a column without a feature")?;
        anyhow::Ok((input, at, &features[at]))
    };
    // Servers such as MLServer send probabilities only if they are requested, and then only the outputs that are.
    let outputs = match (&args.mapping.output, &args.mapping.probabilities_output) {
        (output, Some(probabilities)) => vec![output.as_deref().unwrap_or("predict"), probabilities],
        (Some(output), None) => vec![output.as_str()],
        (None, None) => Vec::new(),
    };
    Ok(Layout { columns: inputs.iter().map(column).collect::<Result<_>>()?, outputs })
}

/// Returns the path that predicts.
fn path(args: &Args, protocol: Protocol) -> Result<String> {
    if let Some(path) = &args.server.upstream_path {
        ensure!(path.starts_with('/'), "--upstream-path {path}: must begin with /");
        return Ok(path.clone());
    }
    let model = || {
        args.server.upstream_model.as_deref().with_context(|| {
            let name = protocol.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
            format!(
                "--protocol {name}: the path has the name of the model; give it with --upstream-model, or the whole path with \
                 --upstream-path"
            )
        })
    };
    Ok(match protocol {
        Protocol::Native => "/predict".to_owned(),
        Protocol::OipV2 => format!("/v2/models/{}/infer", model()?),
        Protocol::V1 => format!("/v1/models/{}:predict", model()?),
        Protocol::Mlflow => "/invocations".to_owned(),
    })
}

struct Sender<'a> {
    args: &'a Args,
    table: &'a ReferenceTable,
    protocol: Protocol,
    path: String,
    layout: Layout<'a>,
    batch: Batch<'a>,
}

/// The reason why rows were not answered.
struct Refused {
    /// Whether the server refused the rows, and not the way of asking.
    by_rows: bool,
    /// Whether the server answered, and the answer cannot be read.
    is_answered: bool,
    /// Whether the server closed the connection without an answer.
    is_closed: bool,
    error: anyhow::Error,
}

impl Refused {
    /// Returns the error for `rows` rows in a form that the server has answered before.
    fn into_error(self, rows: usize) -> anyhow::Error {
        if !self.is_closed {
            return self.error;
        }
        let fewer = if rows > 1 { "send fewer rows at once with --upstream-batch, or " } else { "" };
        anyhow!("{}; {fewer}look for the reason in the server's log", self.error)
    }
}

impl Sender<'_> {
    fn collect(&self, client: &mut Client, progress: &Progress) -> Result<Collected> {
        let rows = self.batch.rows.len();
        progress.set_message("finding a form of requests that the server answers");
        let form = self.form(client)?;
        let step = if form.is_single() { 1 } else { self.args.server.upstream_batch };
        let mut collected: Option<Collected> = None;
        let mut first = 0;
        while first < rows {
            progress.set_rows("asking the server", first, rows);
            let range = first..(first + step).min(rows);
            first = range.end;
            let answer = self
                .ask(client, &form, range.clone())
                .map_err(|refused| self.explained(refused, client, &form, range.clone()))?;
            self.add(&mut collected, &answer)
                .map_err(|problem| anyhow!("{}: {problem}", self.place(&range)))?;
        }
        let mut collected = collected.context("the table has no rows")?;
        if self.batch.rows.len() > 1 && is_constant(&collected.raw, rows) {
            collected.notes.push(format!(
                "the server answers the same to all {rows} rows; check that it reads the values that it is sent ({})",
                form.described()
            ));
        }
        progress.set_message("asking the server again for the first rows");
        if let Some(note) = self.differing(client, &form, &collected)? {
            collected.notes.push(note);
        }
        collected.notes.push(format!("requests were sent as {}", form.described()));
        collected.form = form.of_server();
        Ok(collected)
    }

    /// Finds a form of requests that the server answers.
    fn form(&self, client: &mut Client) -> Result<Form> {
        let tensor = self.args.mapping.tensor.as_deref();
        let declared = match self.protocol {
            Protocol::OipV2 if tensor.is_none() => self.declared(client)?,
            _ => None,
        };
        let forms = declared.map_or_else(|| Form::of(self.protocol, &self.layout, tensor), |form| vec![form]);
        // The first problem, unless another one is about an answer, because it shows that the form is right.
        let mut problem: Option<(Refused, &Form)> = None;
        for form in &forms {
            let end = if form.is_single() { 1 } else { 2.min(self.batch.rows.len()) };
            // A server may close the connection after it has refused a form; the next form then needs another connection.
            client.disconnect();
            match self.ask(client, form, 0..end) {
                Ok(_) => return Ok(form.clone()),
                Err(refused) if !refused.by_rows && !refused.is_closed => return Err(refused.error),
                Err(refused)
                    if problem.as_ref().is_none_or(|(own, _)| !own.is_answered && refused.is_answered) =>
                {
                    problem = Some((refused, form));
                }
                Err(_) => {}
            }
        }
        let problem = match problem {
            Some((Refused { is_answered: true, error, .. }, form)) => {
                let form = form.described();
                return Err(error.context(format!(
                    "the server answers {form}, but one prediction per row cannot be read from its answer"
                )));
            }
            problem => {
                problem.map_or_else(|| anyhow!("no form of requests is known"), |(refused, _)| refused.error)
            }
        };
        let tried: Vec<String> = forms.iter().map(Form::described).collect();
        let field = match self.protocol {
            Protocol::Native => ", the field that has the rows (--tensor)",
            _ => "",
        };
        Err(problem.context(format!(
            "the server answers no request with the first rows ({}); check the protocol, the columns (--inputs){field} and the path \
             (--upstream-path)",
            tried.join("; ")
        )))
    }

    /// Returns the form that the server's metadata declare, if it declares its inputs.
    fn declared(&self, client: &mut Client) -> Result<Option<Form>> {
        let Some(path) = self.path.strip_suffix("/infer") else { return Ok(None) };
        let Ok(answer) = client.get(path) else { return Ok(None) };
        let metadata: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let inputs =
            metadata["inputs"].as_array().filter(|inputs| answer.status == 200 && !inputs.is_empty());
        let Some(inputs) = inputs else { return Ok(None) };
        let text =
            |input: &serde_json::Value, field: &str| input[field].as_str().unwrap_or_default().to_owned();
        if let ([one], true) = (inputs.as_slice(), self.layout.columns.len() > 1) {
            return Ok(Some(Form::Matrix(text(one, "name"), text(one, "datatype"))));
        }
        let names: Vec<String> = inputs.iter().map(|input| text(input, "name")).collect();
        let datatype = |own: &ServerInput| {
            let at = names.iter().position(|name| *name == own.name).with_context(|| {
                format!(
                    "the server has no input {:?}, only {}; name the feature of each with --inputs NAME=FEATURE,…",
                    own.name,
                    names.join(", ")
                )
            })?;
            anyhow::Ok(text(&inputs[at], "datatype"))
        };
        let datatypes = self.layout.columns.iter().map(|(own, _, _)| datatype(own)).collect::<Result<_>>()?;
        Ok(Some(Form::Columns(datatypes)))
    }

    /// Sends rows and reads the answer.
    fn ask(&self, client: &mut Client, form: &Form, rows: Range<usize>) -> Result<Answer, Refused> {
        let body = form.body(&self.layout, self.batch, rows.start, rows.end);
        let failed = |error: anyhow::Error| {
            let is_closed = error.is::<Closed>();
            let error =
                if is_closed { anyhow!("{}: POST {}: {error}", self.place(&rows), self.path) } else { error };
            Refused { by_rows: false, is_answered: false, is_closed, error }
        };
        let answer = client.post(&self.path, body).map_err(failed)?;
        let shown = || excerpt(&answer.body);
        let refused = |by_rows, message: String| {
            let error = anyhow!("{}: POST {}: {message}", self.place(&rows), self.path);
            Err(Refused { by_rows, is_answered: answer.status == 200, is_closed: false, error })
        };
        let status = answer.status;
        match status {
            200 => {}
            401 | 403 => {
                return refused(
                    false,
                    format!("the server answered {status}; give its token in INFERENCE_UPSTREAM_TOKEN"),
                );
            }
            404 | 405 => {
                return refused(
                    false,
                    format!(
                        "the server answered {status}: {}; check --upstream-path, and --upstream-model",
                        shown()
                    ),
                );
            }
            413 => {
                return refused(
                    false,
                    "the server answered 413; send fewer rows at once with --upstream-batch".into(),
                );
            }
            300..=399 => {
                let to =
                    answer.headers.get("location").map_or("", |value| value.to_str().unwrap_or_default());
                return refused(false, format!("the server redirects to {to:?}; give that address"));
            }
            _ => return refused(true, format!("the server answered {status}: {}", shown())),
        }
        let header_length =
            answer.headers.get(HEADER_LENGTH).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let read = match Answer::read(self.protocol, header_length, &answer.body) {
            Ok(read) => read,
            Err(problem) => return refused(true, format!("the answer cannot be read: {problem}")),
        };
        if read.rows != rows.len() {
            return refused(
                true,
                format!("sent {} rows, but the answer has {}: {}", rows.len(), read.rows, shown()),
            );
        }
        Ok(read)
    }

    /// Returns the error for rows, and if the server refused one of several rows, names that row.
    fn explained(
        &self,
        refused: Refused,
        client: &mut Client,
        form: &Form,
        rows: Range<usize>,
    ) -> anyhow::Error {
        if !refused.by_rows || rows.len() == 1 {
            return refused.into_error(rows.len());
        }
        let single = rows.map(|row| self.ask(client, form, row..row + 1)).find_map(Result::err);
        match single {
            Some(single) if single.by_rows => {
                single.error.context("a row is refused; leave it out of the table")
            }
            _ => refused.error,
        }
    }

    fn place(&self, rows: &Range<usize>) -> String {
        match rows.len() {
            1 => self.table.place(rows.start),
            _ => format!("{} to {}", self.table.place(rows.start), self.table.lines[rows.end - 1]),
        }
    }

    /// Adds the predictions and probabilities of an answer. All answers must have the same fields.
    fn add(&self, collected: &mut Option<Collected>, answer: &Answer) -> Result<(), String> {
        let wanted = match &*collected {
            Some(known) => Wanted {
                output: known.output.as_deref(),
                probabilities: known.probabilities_output.as_deref(),
                number: self.args.regression,
            },
            None => self.args.mapping.wanted(self.args.regression),
        };
        let roles = answer.roles(wanted)?;
        let raw = roles.raw(false)?;
        let name = |field: Option<&crate::foreign::Field>| field.map(|field| field.name.clone());
        let (output, probabilities_output) = (name(roles.prediction), name(roles.probabilities));
        let numeric = roles.prediction.is_some_and(crate::foreign::Field::is_numeric);
        let Some(known) = collected else {
            let mapping = &self.args.mapping;
            for (flag, own) in
                [(&mapping.output, &output), (&mapping.probabilities_output, &probabilities_output)]
            {
                if let Some(wanted) = flag.as_ref().filter(|wanted| own.as_ref() != Some(*wanted)) {
                    return Err(format!("the answer has no field {wanted:?}, only {}", answer.listed()));
                }
            }
            let confident =
                roles.probabilities.is_some_and(|field| field.columns == 1 && field.is_confidence());
            *collected = Some(Collected {
                output,
                probabilities_output,
                numeric,
                confident,
                raw,
                form: None,
                notes: Vec::new(),
            });
            return Ok(());
        };
        let same = known.output == output
            && known.probabilities_output == probabilities_output
            && known.raw.scores.as_ref().map(columns) == raw.scores.as_ref().map(columns);
        if !same {
            return Err(format!("the answer has other fields than those before: {}", answer.listed()));
        }
        known.numeric &= numeric;
        if let (Some(all), Some(own)) = (&mut known.raw.labels, raw.labels) {
            all.extend(own);
        }
        if let (Some(all), Some(own)) = (&mut known.raw.scores, raw.scores) {
            all.values.extend(own.values);
        }
        Ok(())
    }

    /// Sends the first rows again, and returns a note if the answers differ.
    fn differing(&self, client: &mut Client, form: &Form, collected: &Collected) -> Result<Option<String>> {
        let count = REPEATED.min(self.batch.rows.len()).min(self.args.server.upstream_batch);
        let mut again = None;
        let step = if form.is_single() { 1 } else { count };
        for first in (0..count).step_by(step) {
            let range = first..(first + step).min(count);
            let rows = range.len();
            let answer = self.ask(client, form, range).map_err(|refused| refused.into_error(rows))?;
            self.add(&mut again, &answer).map_err(anyhow::Error::msg)?;
        }
        let Some(again) = again else { return Ok(None) };
        let differs = |row: &usize| {
            let label = |raw: &RawOutputs| raw.labels.as_ref().map(|labels| labels[*row].clone());
            let numbers = |raw: &RawOutputs| {
                raw.scores.as_ref().map(|own| own.values[row * own.columns..(row + 1) * own.columns].to_vec())
            };
            label(&collected.raw) != label(&again.raw) || !close(numbers(&collected.raw), numbers(&again.raw))
        };
        let differing = (0..count).filter(differs).count();
        let note = || {
            format!(
                "the server answered {differing} of {count} rows differently when they were sent a second time, so its predictions vary \
                 without a change in the data"
            )
        };
        Ok((differing > 0).then(note))
    }
}

/// Returns whether numbers are equal up to rounding. The same row in a batch of another size may be added up in another order.
fn close(one: Option<Vec<f64>>, other: Option<Vec<f64>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one
            .iter()
            .zip(&other)
            .all(|(a, b)| (a - b).abs() <= 1e-6 * a.abs().max(b.abs()).max(1.0) || a.is_nan() && b.is_nan()),
        (one, other) => one == other,
    }
}

fn columns(scores: &Scores) -> (usize, &Option<Vec<String>>) {
    (scores.columns, &scores.names)
}

/// Returns whether the outputs of all rows are equal.
fn is_constant(raw: &RawOutputs, rows: usize) -> bool {
    let same_labels = raw.labels.as_ref().is_none_or(|labels| labels.iter().all(|label| *label == labels[0]));
    let same_scores = raw.scores.as_ref().is_none_or(|scores| {
        scores
            .values
            .chunks_exact(scores.columns)
            .take(rows)
            .all(|row| row == &scores.values[..scores.columns])
    });
    same_labels && same_scores
}
