//! Tests the time limit, with a model that never finishes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use model::{Batch, CsvOptions, read_reference, reference_features};
use onnx::{OnnxModel, RunError, Runtime};
use std::{fs, path::Path, time::Duration};

#[test]
fn a_model_that_never_finishes_is_stopped() {
    let rows: String = (0..60).map(|row| format!("{row}.5,1,2,3,x\n")).collect();
    let text = format!("a,b,c,d,class\n{rows}");
    let table = read_reference(text.as_bytes(), "t", &CsvOptions::new("class")).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/bad/loop_forever.onnx");
    let model = OnnxModel::load(&Runtime::load(None).unwrap(), &fs::read(path).unwrap(), 1).unwrap();
    let inputs = model.inputs(&reference_features(&table)).unwrap();
    let rows = [[Some(1.0); 4].to_vec()];
    let batch = Batch { rows: &rows, others: &[] };
    let error = model.run_within(&inputs, batch, Duration::from_millis(200)).unwrap_err();
    assert!(matches!(error, RunError::TimedOut { rows: 1, .. }), "{error}");
}
