//! Writes the body of a request of the Open Inference Protocol for one prediction.

use bytes::Bytes;
use model::ModelCard;
use serde_json::{Value, json};

/// Returns a request with one input per feature of `card`; a missing value is `null`.
pub(super) fn tensors(row: &[Option<f64>], card: &ModelCard) -> Bytes {
    let input = |(feature, &value): (&model::Feature, &Option<f64>)| {
        let (datatype, value) = match (feature.categorical(), value) {
            (None, value) => ("FP64", value.map_or(Value::Null, Value::from)),
            (Some(own), value) => ("BYTES", value.map_or(Value::Null, |value| own.text(value).into())),
        };
        json!({ "name": feature.name, "shape": [1, 1], "datatype": datatype, "data": [value] })
    };
    let inputs: Vec<Value> = card.features.iter().zip(row).map(input).collect();
    Bytes::from(json!({ "inputs": inputs }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{CsvOptions, TrainOptions};

    #[test]
    fn each_feature_is_an_input_of_its_type() {
        let rows: String =
            (0..60).map(|row| format!("{},{},{}\n", row % 7, ["a", "b"][row % 2], row % 2)).collect();
        let table = format!("size,letter,class\n{rows}");
        let table = model::read_csv(table.as_bytes(), "t", &CsvOptions::new("class")).unwrap().table;
        let card = model::train(&table, &TrainOptions::new("t")).unwrap().card;
        let inputs = |row: &[Option<f64>]| {
            let body: Value = serde_json::from_slice(&tensors(row, &card)).unwrap();
            body["inputs"].clone()
        };
        let size =
            |data: Value| json!({ "name": "size", "shape": [1, 1], "datatype": "FP64", "data": [data] });
        let letter =
            |data: Value| json!({ "name": "letter", "shape": [1, 1], "datatype": "BYTES", "data": [data] });
        assert_eq!(inputs(&[Some(2.5), Some(1.0)]), json!([size(json!(2.5)), letter(json!("b"))]));
        assert_eq!(inputs(&[None, None]), json!([size(Value::Null), letter(Value::Null)]));
    }
}
