//! Reads the outputs of a model from columns of the table.

use super::{
    Args, ModelOutputs,
    classes::{MAX_CLASSES, distinct, labels, listed},
};
use anyhow::{Context, Result, bail, ensure};
use model::{Output, ReferenceTable};

/// The least share of rows whose predicted class is the most probable one. Below it, the columns of probabilities are probably in another
/// order than the classes.
const AGREEMENT: f64 = 0.5;

/// Reads the outputs.
///
/// # Errors
/// Returns an error if a cell cannot be read, or if the columns contradict each other.
pub(super) fn read(args: &Args, table: &ReferenceTable) -> Result<ModelOutputs> {
    let (Some(column), [predictions, probabilities @ ..]) = (&args.predictions, table.aside.as_slice())
    else {
        bail!("give --onnx FILE, --upstream URL or --predictions COLUMN");
    };
    let cell = |row: usize| format!("{}: column {column:?} of --predictions", table.place(row));
    let missing = predictions.iter().filter(|text| text.is_empty()).count();
    if let Some(row) = predictions.iter().position(String::is_empty) {
        bail!(
            "{}: there is no prediction, as in {missing} rows altogether; remove these rows from the table",
            cell(row)
        );
    }
    let different = distinct(predictions);
    let number = |text: &String| text.parse().ok().filter(|number: &f64| number.is_finite());
    let numbers: Option<Vec<f64>> = predictions.iter().map(number).collect();
    let is_number = args.regression
        || args.classes.is_empty()
            && probabilities.is_empty()
            && numbers.as_ref().is_some_and(|numbers| {
                different.len() > MAX_CLASSES || numbers.iter().any(|number| number.fract() != 0.0)
            });
    if is_number {
        let numbers = numbers.with_context(|| {
            let row = predictions.iter().position(|text| number(text).is_none()).unwrap_or_default();
            let text = &predictions[row];
            format!(
                "{}: expected a number, got {text:?}; correct the cell, or leave --regression out if these are classes",
                cell(row)
            )
        })?;
        ensure!(
            probabilities.is_empty(),
            "--probabilities: a predicted number has none; leave the flag out, or leave --regression out if these are classes"
        );
        let outputs = numbers.into_iter().map(Output::Number).collect();
        return Ok(ModelOutputs {
            classes: Vec::new(),
            outputs,
            engine: None,
            accepts_missing: Vec::new(),
            external: None,
            server: None,
            notes: Vec::new(),
        });
    }
    let classes = if args.classes.is_empty() {
        distinct(predictions.iter().chain(table.target.iter().flatten()))
    } else {
        args.classes.clone()
    };
    ensure!(
        (2..=MAX_CLASSES).contains(&classes.len()),
        "--predictions {column}: expected 2 to {MAX_CLASSES} classes, got {}; give the classes with --classes, or --regression if \
         the model predicts a number",
        classes.len()
    );
    let predicted = labels(predictions, &classes, cell)?;
    let probabilities = self::probabilities(args, table, probabilities, &classes)?;
    if let Some(probabilities) = &probabilities {
        let agrees = |(class, own): (&usize, &Vec<f64>)| own.iter().all(|p| *p <= own[*class]);
        let agreeing =
            predicted.iter().zip(probabilities).filter(|(class, own)| agrees((class, own))).count();
        ensure!(
            agreeing as f64 >= AGREEMENT * predicted.len() as f64,
            "--probabilities: for only {agreeing} of {} rows the predicted class is the most probable one, so the columns may be in \
             another order than {}; give the order with --classes",
            predicted.len(),
            listed(&classes)
        );
    }
    let output = |(row, class): (usize, usize)| Output::Class {
        class,
        probabilities: probabilities.as_ref().map(|own| own[row].as_slice().into()),
    };
    let outputs = predicted.into_iter().enumerate().map(output).collect();
    Ok(ModelOutputs {
        classes,
        outputs,
        engine: None,
        accepts_missing: Vec::new(),
        external: None,
        server: None,
        notes: Vec::new(),
    })
}

/// Returns the probabilities of each row, if there are any.
fn probabilities(
    args: &Args,
    table: &ReferenceTable,
    columns: &[Vec<String>],
    classes: &[String],
) -> Result<Option<Vec<Vec<f64>>>> {
    if columns.is_empty() {
        return Ok(None);
    }
    ensure!(
        columns.len() == classes.len() || (columns.len() == 1 && classes.len() == 2),
        "--probabilities: got {} columns for {} classes ({}); give one column per class, or for two classes that of the second one",
        columns.len(),
        classes.len(),
        listed(classes)
    );
    let rows = columns[0].len();
    let row = |row: usize| -> Result<Vec<f64>> {
        let mut own = Vec::with_capacity(classes.len());
        for (texts, name) in columns.iter().zip(&args.probabilities) {
            let text = &texts[row];
            own.push(text.parse().ok().filter(|p: &f64| p.is_finite()).with_context(|| {
                format!(
                    "{}: column {name:?} of --probabilities: expected a number, got {text:?}; correct the cell, or leave the row out",
                    table.place(row)
                )
            })?);
        }
        if let Some(problem) = ::onnx::engine::unlike_probabilities(&own) {
            bail!(
                "{}: --probabilities: the row {problem}, but probabilities are between 0 and 1 and add up to 1; check \
                 the columns of --probabilities",
                table.place(row)
            );
        }
        if own.len() == 1 {
            own.insert(0, 1.0 - own[0]);
        }
        // They may add up to more than 1 because they were rounded.
        let sum: f64 = own.iter().sum();
        if sum > 1.0 {
            own.iter_mut().for_each(|p| *p /= sum);
        }
        Ok(own)
    };
    (0..rows).map(row).collect::<Result<_>>().map(Some)
}
