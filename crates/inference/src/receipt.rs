//! Signed prediction ids. An id carries the time, the output, the confidence and the model version of a prediction, and a MAC
//! over them, so that any replica with the key can verify feedback about it without a store.
//!
//! Layout, big-endian, written in URL-safe base64 without padding:
//!
//! | bytes | content |
//! |---|---|
//! | 1 | format: 1 class and confidence, 2 number, 3 class alone |
//! | 6 | milliseconds since 1970 |
//! | 4, 8 or 2 | the class in 2 bytes and the confidence in 65,535ths in 2, the number as a double, or the class in 2 bytes |
//! | 6 | model version |
//! | 8 | serial number, so that no two ids are equal |
//! | 16 | HMAC-SHA-256 (RFC 2104) over the bytes before, cut to 128 bits |

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use model::{Output, Prediction};
use sha2::Sha256;
use std::{
    collections::HashSet,
    ops::Deref,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use thiserror::Error;

/// At least this many of the latest predictions with feedback are remembered, and at most twice as many, about 40 MB.
const REMEMBERED: usize = 1 << 20;

const CLASS_AND_CONFIDENCE: u8 = 1;
const NUMBER: u8 = 2;
const CLASS: u8 = 3;

const TIME: usize = 6;
const VERSION: usize = 6;
const SERIAL: usize = 8;
const MAC: usize = 16;

/// The greatest number of bytes that are signed.
const MOST_SIGNED: usize = 1 + TIME + 8 + VERSION + SERIAL;

/// The length of the longest id as text.
pub const TEXT_LENGTH: usize = ((MOST_SIGNED + MAC) * 4).div_ceil(3);

/// Issues and verifies prediction ids.
#[derive(Debug)]
pub struct Receipts {
    mac: Hmac<Sha256>,
    serial: AtomicU64,
}

/// The version of a model as it is stored in ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelVersion([u8; VERSION]);

impl ModelVersion {
    /// Reads a version of 12 hex digits.
    pub fn new(version: &str) -> Self {
        let mut digits = [0; VERSION];
        for (byte, pair) in digits.iter_mut().zip(version.as_bytes().chunks(2)) {
            *byte = std::str::from_utf8(pair)
                .ok()
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                .unwrap_or(0);
        }
        Self(digits)
    }
}

/// The output of a prediction as it is stored in ids.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Predicted {
    /// A class.
    Class {
        /// The position of the class.
        class: usize,
        /// The probability of the class, rounded to 1/65,535; `None` if the model returns no probabilities.
        confidence: Option<f64>,
    },
    /// A number.
    Number(f64),
}

impl From<&Output> for Predicted {
    fn from(output: &Output) -> Self {
        match *output {
            Output::Class { class, .. } => Self::Class { class, confidence: output.confidence() },
            Output::Number(number) => Self::Number(number),
        }
    }
}

impl From<&Prediction> for Predicted {
    fn from(prediction: &Prediction) -> Self {
        match prediction.output {
            Output::Class { class, .. } => Self::Class { class, confidence: prediction.confidence },
            Output::Number(number) => Self::Number(number),
        }
    }
}

/// An id as text.
#[derive(Debug, Clone, Copy)]
pub struct Id {
    text: [u8; TEXT_LENGTH],
    length: usize,
}

impl Id {
    /// Returns the text as bytes, which are ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

impl Deref for Id {
    type Target = str;

    fn deref(&self) -> &str {
        // Base64 is ASCII.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

/// The content of an id.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// The time of the prediction, in milliseconds.
    pub at: SystemTime,
    /// The predicted value.
    pub predicted: Predicted,
    /// The first 12 hex digits of the model's hash.
    pub version: String,
    /// The serial number, which distinguishes predictions that are equal otherwise.
    pub serial: u64,
}

/// Remembers the predictions with feedback, so that repeated feedback is not counted twice.
///
/// It belongs to one process: it is empty after a restart, and replicas do not share it. Counting exactly once over all replicas
/// would need a shared store.
#[derive(Debug, Default)]
pub struct FeedbackGiven(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    current: HashSet<u64>,
    former: HashSet<u64>,
}

impl FeedbackGiven {
    /// Adds a serial number, and returns whether it is new.
    pub fn insert(&self, serial: u64) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.former.contains(&serial) || !seen.current.insert(serial) {
            return false;
        }
        if seen.current.len() >= REMEMBERED {
            seen.former = std::mem::take(&mut seen.current);
        }
        true
    }
}

/// The reason why a text is not a valid prediction id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReceiptError {
    /// The text does not have the form of an id.
    #[error("not a prediction id; send the prediction_id of an answer without changes")]
    Malformed,
    /// The MAC does not match: the id was altered, invented, or signed with another key.
    #[error(
        "the id was altered or signed with another key; give all replicas the same --receipt-key-file, and keep it at a restart"
    )]
    Forged,
}

impl Receipts {
    /// Creates the issuer with `key`. `first_serial` should be random, so that replicas with the same key do not issue equal ids.
    pub fn new(key: &[u8], first_serial: u64) -> Self {
        let Ok(mac) = Hmac::new_from_slice(key) else { unreachable!("HMAC takes keys of any length") };
        Self { mac, serial: AtomicU64::new(first_serial) }
    }

    /// Issues the id of a prediction that a model of this version made `at` this time.
    pub fn issue(&self, at: SystemTime, predicted: Predicted, version: ModelVersion) -> Id {
        let millis = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        // The bytes are on the stack, because a batch may need very many ids.
        let mut buffer = [0; MOST_SIGNED + MAC];
        let mut length = 0;
        let mut push = |bytes: &[u8]| {
            buffer[length..length + bytes.len()].copy_from_slice(bytes);
            length += bytes.len();
        };
        push(&[match predicted {
            Predicted::Class { confidence: Some(_), .. } => CLASS_AND_CONFIDENCE,
            Predicted::Class { confidence: None, .. } => CLASS,
            Predicted::Number(_) => NUMBER,
        }]);
        push(&millis.to_be_bytes()[8 - TIME..]);
        match predicted {
            Predicted::Class { class, confidence } => {
                push(&(class as u16).to_be_bytes());
                if let Some(confidence) = confidence {
                    push(&((confidence * f64::from(u16::MAX)).round() as u16).to_be_bytes());
                }
            }
            Predicted::Number(number) => push(&number.to_be_bytes()),
        }
        push(&version.0);
        push(&self.serial.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let mac = self.mac.clone().chain_update(&buffer[..length]).finalize().into_bytes();
        buffer[length..length + MAC].copy_from_slice(&mac[..MAC]);
        let mut text = [0; TEXT_LENGTH];
        let Ok(length) = BASE64_URL_SAFE_NO_PAD.encode_slice(&buffer[..length + MAC], &mut text) else {
            unreachable!("the text of the longest id fits")
        };
        Id { text, length }
    }

    /// Verifies an id that was issued with the same key, on any replica, and returns its content.
    ///
    /// # Errors
    /// Returns an error if the id is malformed or its MAC is wrong. The caller checks its age and model version.
    pub fn verify(&self, id: &str) -> Result<Receipt, ReceiptError> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(id).map_err(|_| ReceiptError::Malformed)?;
        let output = match bytes.first() {
            Some(&CLASS_AND_CONFIDENCE) => 4,
            Some(&NUMBER) => 8,
            Some(&CLASS) => 2,
            _ => return Err(ReceiptError::Malformed),
        };
        if bytes.len() != 1 + TIME + output + VERSION + SERIAL + MAC {
            return Err(ReceiptError::Malformed);
        }
        let (signed, mac) = bytes.split_at(bytes.len() - MAC);
        self.mac.clone().chain_update(signed).verify_truncated_left(mac).map_err(|_| ReceiptError::Forged)?;
        let number = |bytes: &[u8]| bytes.iter().fold(0, |n, &b| n << 8 | u64::from(b));
        let (time, rest) = signed[1..].split_at(TIME);
        let (output, rest) = rest.split_at(output);
        let (version, serial) = rest.split_at(VERSION);
        let class = |bytes| number(bytes) as usize;
        let predicted = match output.len() {
            8 => Predicted::Number(f64::from_bits(number(output))),
            4 => {
                let confidence = number(&output[2..]) as f64 / f64::from(u16::MAX);
                Predicted::Class { class: class(&output[..2]), confidence: Some(confidence) }
            }
            _ => Predicted::Class { class: class(output), confidence: None },
        };
        Ok(Receipt {
            at: UNIX_EPOCH + Duration::from_millis(number(time)),
            predicted,
            version: version.iter().map(|byte| format!("{byte:02x}")).collect(),
            serial: number(serial),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &[u8] = b"an example key of thirty-two bytes";

    fn receipts() -> Receipts {
        Receipts::new(KEY, 7)
    }

    fn issue(receipts: &Receipts, at: SystemTime, class: usize, confidence: f64) -> String {
        let predicted = Predicted::Class { class, confidence: Some(confidence) };
        receipts.issue(at, predicted, ModelVersion::new("0123456789ab")).to_string()
    }

    #[test]
    fn an_id_is_valid_on_every_replica_with_the_same_key() {
        let at = UNIX_EPOCH + Duration::from_millis(1_790_000_000_123);
        let id = issue(&receipts(), at, 2, 0.75);
        let read = Receipts::new(KEY, 99).verify(&id).unwrap();
        assert_eq!((read.at, read.version.as_str(), read.serial), (at, "0123456789ab", 7));
        let Predicted::Class { class: 2, confidence: Some(confidence) } = read.predicted else { panic!() };
        assert!((confidence - 0.75).abs() < 1.0 / 65_535.0);
    }

    #[test]
    fn ids_are_unique() {
        let receipts = receipts();
        assert_ne!(issue(&receipts, UNIX_EPOCH, 0, 1.0), issue(&receipts, UNIX_EPOCH, 0, 1.0));
    }

    #[test]
    fn an_id_signed_with_another_key_is_invalid() {
        let foreign = issue(&Receipts::new(b"another key", 7), UNIX_EPOCH, 0, 1.0);
        assert_eq!(receipts().verify(&foreign), Err(ReceiptError::Forged));
    }

    #[test]
    fn the_latest_serial_numbers_are_kept_in_limited_memory() {
        let seen = FeedbackGiven::default();
        for serial in 0..3 * REMEMBERED as u64 {
            assert!(seen.insert(serial));
        }
        assert!(!seen.insert(2 * REMEMBERED as u64 + 1));
        let generations = seen.0.lock().unwrap();
        assert!(generations.current.len() + generations.former.len() <= 2 * REMEMBERED);
    }

    proptest! {
        #[test]
        fn an_id_with_any_changed_byte_is_invalid(at in 0_usize..41, flip in 1u8..) {
            let receipts = receipts();
            let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(issue(&receipts, UNIX_EPOCH, 1, 0.5)).unwrap();
            bytes[at] ^= flip;
            prop_assert!(receipts.verify(&BASE64_URL_SAFE_NO_PAD.encode(bytes)).is_err());
        }

        #[test]
        fn a_random_text_is_a_malformed_id(text in ".{0,80}") {
            prop_assert_eq!(receipts().verify(&text), Err(ReceiptError::Malformed));
        }
    }

    #[test]
    fn ids_have_the_documented_layout() {
        // Python: m = bytes([1]) + (1790000000123).to_bytes(6, "big") + (2).to_bytes(2, "big") + (49151).to_bytes(2, "big")
        //   + bytes.fromhex("0123456789ab") + (7).to_bytes(8, "big"); base64.urlsafe_b64encode(
        //   m + hmac.new(KEY, m, hashlib.sha256).digest()[:16]).rstrip(b"=")
        let expected = "AQGgxFBsewACv_8BI0VniasAAAAAAAAAB-Ytu5Nc5ymevwBPZiGB30c";
        let at = UNIX_EPOCH + Duration::from_millis(1_790_000_000_123);
        assert_eq!(issue(&receipts(), at, 2, 0.75), expected);
        let read = receipts().verify(expected).unwrap();
        let predicted = Predicted::Class { class: 2, confidence: Some(49_151.0 / 65_535.0) };
        assert_eq!((read.at, read.predicted, read.serial), (at, predicted, 7));
        let large = issue(&receipts(), UNIX_EPOCH, 65_535, 1.0);
        let read = receipts().verify(&large).unwrap();
        assert_eq!(read.predicted, Predicted::Class { class: 65_535, confidence: Some(1.0) });
    }

    #[test]
    fn ids_store_numbers_and_classes_without_confidence_exactly() {
        let version = ModelVersion::new("ffffffffffff");
        for predicted in [
            Predicted::Number(-1.5e-300),
            Predicted::Number(0.1),
            Predicted::Class { class: 7, confidence: None },
        ] {
            let id = receipts().issue(UNIX_EPOCH, predicted, version);
            assert!(id.len() <= TEXT_LENGTH, "{}", &*id);
            let read = receipts().verify(&id).unwrap();
            assert_eq!((read.predicted, read.version.as_str()), (predicted, "ffffffffffff"));
        }
        // Python: m = bytes([2]) + bytes(6) + struct.pack(">d", 0.1) + b"\xff" * 6 + (7).to_bytes(8, "big"), signed as above
        let id = receipts().issue(UNIX_EPOCH, Predicted::Number(0.1), version);
        assert_eq!(&*id, "AgAAAAAAAD-5mZmZmZma________AAAAAAAAAAe-0Xs2BTO1_FxqPXy6PQQA");
        assert_eq!(id.len(), TEXT_LENGTH);
    }

    #[test]
    fn ids_of_other_lengths_and_formats_are_malformed() {
        let receipts = receipts();
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(issue(&receipts, UNIX_EPOCH, 1, 0.5)).unwrap();
        let verify = |bytes: &[u8]| receipts.verify(&BASE64_URL_SAFE_NO_PAD.encode(bytes));
        assert!(verify(&bytes).is_ok());
        assert_eq!(verify(&bytes[..40]), Err(ReceiptError::Malformed));
        assert_eq!(verify(&[&bytes[..], &[0]].concat()), Err(ReceiptError::Malformed));
        assert_eq!(verify(&[&[2], &bytes[1..]].concat()), Err(ReceiptError::Malformed));
    }

    #[test]
    fn a_serial_number_is_new_only_once() {
        let seen = FeedbackGiven::default();
        assert!(seen.insert(5) && !seen.insert(5));
        // A full generation becomes the former one, in which serials are still known.
        assert!((10..REMEMBERED as u64 + 9).all(|serial| seen.insert(serial)));
        {
            let generations = seen.0.lock().unwrap();
            assert_eq!((generations.current.len(), generations.former.len()), (0, REMEMBERED));
        }
        assert!(!seen.insert(5) && seen.insert(6) && !seen.insert(6));
    }
}
