//! Writes the answer for one row of `/predict`. Most of its text is the same in every answer of a model and is prepared once.

use crate::receipt;
use model::{ModelCard, Output};

const PREDICTION: &str = "{\"prediction\":";
const PROBABILITIES: &str = ",\"probabilities\":";
const PREDICTION_ID: &str = ",\"prediction_id\":\"";

/// The greatest number of bytes of a number and the comma after it. A double-precision number has at most 17 significant digits, a
/// point, a sign, and an exponent of five characters.
const NUMBER: usize = 25;

/// The texts that are the same in every answer of a model.
#[derive(Debug, Clone)]
pub struct AnswerTexts {
    /// The beginning of an answer with each class.
    classes: Vec<String>,
    /// The text after the prediction id.
    end: String,
}

impl AnswerTexts {
    /// Prepares the texts of a model.
    pub fn new(card: &ModelCard) -> Self {
        let json = |text: &str| serde_json::Value::from(text).to_string();
        let class =
            |(position, name): (usize, &String)| format!("{PREDICTION}{position},\"class\":{}", json(name));
        Self {
            classes: card.classes.iter().enumerate().map(class).collect(),
            end: format!("\",\"model\":{},\"version\":{}}}", json(&card.name), json(&card.version)),
        }
    }

    /// Adds an answer to `bytes`. The id is base64, which needs no escapes.
    ///
    /// # Errors
    /// Returns an error if serde fails, which does not happen for numbers.
    pub fn write(&self, output: &Output, id: &str, bytes: &mut Vec<u8>) -> serde_json::Result<()> {
        match output {
            Output::Class { class, probabilities } => {
                bytes.extend_from_slice(self.classes[*class].as_bytes());
                if let Some(probabilities) = probabilities {
                    bytes.extend_from_slice(PROBABILITIES.as_bytes());
                    serde_json::to_writer(&mut *bytes, probabilities)?;
                }
            }
            Output::Number(number) => {
                bytes.extend_from_slice(PREDICTION.as_bytes());
                serde_json::to_writer(&mut *bytes, number)?;
            }
        }
        bytes.extend_from_slice(PREDICTION_ID.as_bytes());
        bytes.extend_from_slice(id.as_bytes());
        bytes.extend_from_slice(self.end.as_bytes());
        Ok(())
    }

    /// Returns the greatest number of bytes of an answer with its separator.
    pub fn largest_answer(&self) -> usize {
        let class = self.classes.iter().map(String::len).max();
        let prediction = class.unwrap_or(PREDICTION.len() + NUMBER);
        let probabilities = PROBABILITIES.len() + "[]".len() + self.classes.len() * NUMBER;
        let id = PREDICTION_ID.len() + receipt::TEXT_LENGTH;
        prediction + probabilities + id + self.end.len() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn answers_are_json_and_not_larger_than_the_limit() {
        let mut card = crate::load_model(None).unwrap().card;
        card.name = "\u{1}\"\\ü".into();
        card.classes[1] = "a \"b\"\n".into();
        let texts = AnswerTexts::new(&card);
        let id = "A".repeat(receipt::TEXT_LENGTH);
        let answer = |output: Output| -> Value {
            let mut bytes = Vec::new();
            texts.write(&output, &id, &mut bytes).unwrap();
            assert!(bytes.len() < texts.largest_answer(), "{output:?}");
            serde_json::from_slice(&bytes).unwrap()
        };
        let common = json!({"prediction_id": id, "model": card.name, "version": card.version});
        let with = |own: Value| {
            let mut all = common.clone();
            all.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
            all
        };
        let probabilities = vec![-2.2250738585072014e-308; 3];
        let own = json!({"prediction": 1, "class": card.classes[1], "probabilities": probabilities});
        assert_eq!(answer(Output::Class { class: 1, probabilities: Some(probabilities) }), with(own));
        let own = json!({"prediction": 2, "class": card.classes[2]});
        assert_eq!(answer(Output::Class { class: 2, probabilities: None }), with(own));
        assert_eq!(answer(Output::Number(-1.5e-300)), with(json!({"prediction": -1.5e-300})));
    }
}
