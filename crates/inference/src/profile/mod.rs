//! `inference profile`: describes a model that was trained elsewhere, from a reference table and the model's outputs for its rows.
//!
//! Layout:
//! - `columns`: reads the outputs from columns of the table
//! - `onnx`: gets the outputs by running the model
//! - `upstream`: gets the outputs from a model server; `mapping`: matches its columns and outputs with those of the table
//! - `classes`: matches the labels of the model with the class names of the table

pub(crate) mod classes;
mod columns;
mod mapping;
mod onnx;
mod upstream;

use crate::{
    inspect,
    progress::Progress,
    table_args::{TableArgs, name_note},
};
use anyhow::{Context, Result, ensure};
use cli_io::{output_file::OutputFile, printable::printable_lines, stdout::print};
use mapping::MappingArgs;
use model::{
    CsvOptions, Engine, Output, ProfileInput, ReferenceTable, ServerModel, ServerProbabilities, Truth,
    file::ExternalModel, read_reference, reference_features,
};
use std::{path::PathBuf, sync::Arc};
use upstream::UpstreamArgs;

/// Flags of `inference profile`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    table: TableArgs,
    /// Column with the true class or number
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    target: Option<String>,
    /// Write the profile to this file, or to a pipe such as /dev/stdout
    #[arg(long, value_name = "CARD.json")]
    out: PathBuf,
    /// ONNX model that predicts the rows
    #[arg(long, value_name = "FILE.onnx", conflicts_with_all = ["predictions", "probabilities"])]
    onnx: Option<PathBuf>,
    /// Library of ONNX Runtime; by default that of ORT_DYLIB_PATH or of the active Python environment
    #[arg(long, env = "INFERENCE_ONNXRUNTIME", value_name = "FILE")]
    onnxruntime: Option<PathBuf>,
    /// Column with the model's predictions, if the table has them
    #[arg(long, value_name = "COLUMN", required_unless_present_any = ["onnx", "upstream"])]
    predictions: Option<String>,
    /// Columns with the model's probabilities, one per class in the order of the classes; for two classes, the column of the second
    /// class is enough
    #[arg(long, value_name = "COLUMN", value_delimiter = ',', requires = "predictions")]
    probabilities: Vec<String>,
    /// Names of the classes, in the order of the model's probabilities; if the model returns numbers for the classes, in the order
    /// of these numbers
    #[arg(long, value_name = "NAME", value_delimiter = ',', conflicts_with = "regression")]
    classes: Vec<String>,
    /// The model predicts a number, even if it takes few values
    #[arg(long)]
    regression: bool,
    /// The model returns logits; softmax or sigmoid is applied to get the probabilities
    #[arg(long)]
    logits: bool,
    /// Divide the logarithms of the probabilities by a number such that mean confidence equals accuracy
    #[arg(long, requires = "onnx")]
    calibrate: bool,
    /// Seed of the simulator
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Name of the model; by default that of the ONNX file, of the model at the server, or of the data file
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    server: UpstreamArgs,
    #[command(flatten)]
    mapping: MappingArgs,
}

/// A model and its outputs for the rows of a table.
struct ModelOutputs {
    /// The names of the classes; empty if the model predicts a number.
    classes: Vec<String>,
    outputs: Vec<Output>,
    engine: Option<Arc<dyn Engine>>,
    /// Whether the model takes missing values, for each feature; empty if that is not known.
    accepts_missing: Vec<bool>,
    external: Option<ExternalModel>,
    /// How the server of the model is asked, if it runs in one.
    server: Option<ServerModel>,
    /// Sentences about how the outputs of the model were interpreted.
    notes: Vec<String>,
}

/// Makes the profile, writes its file, and prints a summary.
///
/// # Errors
/// Returns an error if the table has a fault, with file, line and column; if the model cannot be read or does not fit the table; or if
/// a file cannot be written.
pub fn run(args: &Args) -> Result<()> {
    args.table.check_out(&args.out)?;
    let of_model = args.onnx.as_ref().and_then(|path| Some(path.file_stem()?.to_string_lossy().into_owned()));
    let of_model = of_model.or_else(|| args.server.upstream_model.clone());
    let wanted = args.name.as_deref().or(of_model.as_deref());
    let name = args.table.name(wanted)?;
    let name_note = name_note(&name, wanted);
    ensure!(
        !args.logits || args.onnx.is_some() || args.server.upstream.is_some(),
        "--logits: needs a model that is run or asked; give --onnx or --upstream"
    );
    let progress = Progress::new();
    progress.set_message("reading the table");
    let mut data = args.table.open()?;
    let aside = args.predictions.iter().chain(&args.probabilities).cloned().collect();
    // A model gets texts unchanged, with leading and trailing spaces.
    let options = CsvOptions { aside, keep_spaces: true, ..args.table.options(args.target.as_deref()) };
    let read = read_reference(data.text(), &data.place, &options);
    let table = read.map_err(|error| data.explain(error.into()))?;
    let out = OutputFile::new("--out", &args.out)?;
    let out_is_stdout = out.is_stdout();

    progress.set_message("running the model");
    let mut model = match &args.onnx {
        Some(path) => {
            let run = onnx::Run::new(path, args, &table)?;
            let outputs = run.outputs(1.0)?;
            if args.calibrate { run.outputs(temperature(&outputs, args, &table)?)? } else { outputs }
        }
        None if args.server.upstream.is_some() => upstream::read(args, &table, &progress)?,
        None => columns::read(args, &table)?,
    };
    if model.server.is_none() && args.mapping.is_given() {
        model.server = Some(server(args, &table, &model)?);
    }
    let truth = truth(args, &table, &model.classes)?;
    let input = ProfileInput {
        name,
        classes: model.classes,
        outputs: model.outputs,
        truth,
        engine: model.engine,
        accepts_missing: model.accepts_missing,
        external: model.external,
        server: model.server,
        seed: args.seed,
        table,
    };
    let notes: Vec<String> = input.table.notes.iter().cloned().chain(model.notes).chain(name_note).collect();
    let place = || data.place.clone();
    let file = model::profile(input, |step| progress.set_step(step)).with_context(place)?;
    out.write(file.to_json()?.as_bytes())?;
    drop(progress);

    let mut text = format!("{} {} written to {}\n", file.card.name, file.card.version, args.out.display());
    text += &inspect::summary(&file);
    text += &file.server.as_ref().map_or(String::new(), |own| inspect::server(own, &file.card.classes));
    for note in &notes {
        text += &format!("note: {note}\n");
    }
    for warning in &file.card.training.warnings {
        text += &format!("warning: {warning}\n");
    }
    let text = printable_lines(&text);
    if out_is_stdout {
        eprint!("{text}");
        return Ok(());
    }
    print(&text)
}

/// Returns how a server of a model is asked whose outputs are from another source.
fn server(args: &Args, table: &ReferenceTable, model: &ModelOutputs) -> Result<ServerModel> {
    let probabilities = match &model.external {
        Some(external) if external.probabilities == 1 => ServerProbabilities::SecondClass,
        _ if model.outputs.iter().any(|output| output.probabilities().is_some()) => {
            ServerProbabilities::PerClass
        }
        _ => ServerProbabilities::None,
    };
    Ok(ServerModel {
        protocol: None,
        inputs: args.mapping.inputs(&reference_features(table))?,
        tensor: args.mapping.tensor.clone(),
        form: None,
        output: args.mapping.output.clone(),
        probabilities_output: args.mapping.probabilities_output.clone(),
        labels: model.external.as_ref().map_or(&model.classes, |external| &external.labels).clone(),
        probabilities,
        logits: args.logits,
    })
}

/// Returns the temperature that makes mean confidence equal accuracy.
fn temperature(outputs: &ModelOutputs, args: &Args, table: &ReferenceTable) -> Result<f64> {
    let calibration = match truth(args, table, &outputs.classes)? {
        Truth::Classes(labels) => model::profile::calibration(&outputs.outputs, &labels),
        Truth::Unknown | Truth::Numbers(_) => None,
    };
    let calibration = calibration.context(
        "--calibrate: needs a model that returns probabilities, and a column with the true classes; name the column with \
         --target, or leave --calibrate out",
    )?;
    Ok(calibration.temperature)
}

/// Returns the true class or number of each row, if there is a target column.
fn truth(args: &Args, table: &ReferenceTable, classes: &[String]) -> Result<Truth> {
    let (Some(texts), Some(column)) = (&table.target, &args.target) else { return Ok(Truth::Unknown) };
    let cell = |row: usize| format!("{}: column {column:?} of --target", table.place(row));
    if !classes.is_empty() {
        return classes::labels(texts, classes, cell).map(Truth::Classes);
    }
    let number = |(row, text): (usize, &String)| {
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        number.with_context(|| {
            format!(
                "{}: the model predicts a number, but the column has {text:?}; correct the cell, name the column of the true \
                 numbers, or give --classes if the model predicts classes",
                cell(row)
            )
        })
    };
    texts.iter().enumerate().map(number).collect::<Result<_>>().map(Truth::Numbers)
}
