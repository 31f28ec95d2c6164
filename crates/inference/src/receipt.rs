//! Signed prediction ids. An id carries the time, the class, the confidence and the model version of a prediction, and a MAC
//! over them, so that any replica with the key can verify feedback about it without a store.
//!
//! Layout of the 41 bytes, big-endian, written in URL-safe base64 without padding:
//!
//! | bytes | content |
//! |---|---|
//! | 1 | format, 1 |
//! | 6 | milliseconds since 1970 |
//! | 2 | class |
//! | 2 | confidence, in 65,535ths |
//! | 6 | model version |
//! | 8 | serial number, so that no two ids are equal |
//! | 16 | HMAC-SHA-256 (RFC 2104) over the bytes before, cut to 128 bits |

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::{
    collections::HashSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use thiserror::Error;

/// At least this many of the latest predictions with feedback are remembered, and at most twice as many, about 40 MB.
const REMEMBERED: usize = 1 << 20;

const FORMAT: u8 = 1;
const SIGNED: usize = 25;
const MAC: usize = 16;

/// The length of an id as text.
pub const TEXT_LENGTH: usize = ((SIGNED + MAC) * 4).div_ceil(3);

/// Issues and verifies the ids of one model version.
#[derive(Debug)]
pub struct Receipts {
    mac: Hmac<Sha256>,
    version: [u8; 6],
    serial: AtomicU64,
}

/// The content of an id.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// The time of the prediction, in milliseconds.
    pub at: SystemTime,
    /// The position of the predicted class.
    pub class: usize,
    /// The probability of the class, rounded to 1/65,535.
    pub confidence: f64,
    /// The first 12 hex digits of the model's hash.
    pub version: String,
    /// Distinguishes predictions that are equal in everything else.
    pub serial: u64,
}

/// Remembers the predictions with feedback, so that repeated feedback is not counted twice.
///
/// It belongs to one process: a restart forgets, and replicas do not share it. Exactly-once over replicas would need a shared
/// store.
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

/// Why a text is not a valid prediction id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReceiptError {
    /// The text does not have the form of an id.
    #[error("not a prediction id")]
    Malformed,
    /// The MAC does not match: the id was altered, invented, or signed with another key.
    #[error("not signed with this service's key")]
    Forged,
}

impl Receipts {
    /// Creates the issuer for the model `version` (12 hex digits) with `key`. `first_serial` should be random, so that
    /// replicas with the same key do not issue equal ids.
    pub fn new(key: &[u8], version: &str, first_serial: u64) -> Self {
        let Ok(mac) = Hmac::new_from_slice(key) else { unreachable!("HMAC takes keys of any length") };
        let mut digits = [0; 6];
        for (byte, pair) in digits.iter_mut().zip(version.as_bytes().chunks(2)) {
            *byte = std::str::from_utf8(pair)
                .ok()
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                .unwrap_or(0);
        }
        Self { mac, version: digits, serial: AtomicU64::new(first_serial) }
    }

    /// Issues the id of a prediction made `at` this time.
    pub fn issue(&self, at: SystemTime, class: usize, confidence: f64) -> String {
        let millis = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let mut bytes = [0; SIGNED + MAC];
        bytes[0] = FORMAT;
        bytes[1..7].copy_from_slice(&millis.to_be_bytes()[2..]);
        bytes[7..9].copy_from_slice(&(class as u16).to_be_bytes());
        bytes[9..11].copy_from_slice(&((confidence * f64::from(u16::MAX)).round() as u16).to_be_bytes());
        bytes[11..17].copy_from_slice(&self.version);
        bytes[17..25].copy_from_slice(&self.serial.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let mac = self.mac.clone().chain_update(&bytes[..SIGNED]).finalize().into_bytes();
        bytes[SIGNED..].copy_from_slice(&mac[..MAC]);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Verifies an id that was issued with the same key, on any replica, and returns its content.
    ///
    /// # Errors
    /// If it is malformed or its MAC is wrong. The caller checks its age and model version.
    pub fn verify(&self, id: &str) -> Result<Receipt, ReceiptError> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(id).map_err(|_| ReceiptError::Malformed)?;
        if bytes.len() != SIGNED + MAC || bytes[0] != FORMAT {
            return Err(ReceiptError::Malformed);
        }
        let (signed, mac) = bytes.split_at(SIGNED);
        self.mac.clone().chain_update(signed).verify_truncated_left(mac).map_err(|_| ReceiptError::Forged)?;
        let number =
            |range: std::ops::Range<usize>| signed[range].iter().fold(0, |n, &b| n << 8 | u64::from(b));
        Ok(Receipt {
            at: UNIX_EPOCH + Duration::from_millis(number(1..7)),
            class: number(7..9) as usize,
            confidence: number(9..11) as f64 / f64::from(u16::MAX),
            version: signed[11..17].iter().map(|byte| format!("{byte:02x}")).collect(),
            serial: number(17..25),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &[u8] = b"an example key of thirty-two bytes";

    fn receipts() -> Receipts {
        Receipts::new(KEY, "0123456789ab", 7)
    }

    #[test]
    fn an_id_is_read_on_any_replica_with_the_key() {
        let at = UNIX_EPOCH + Duration::from_millis(1_790_000_000_123);
        let id = receipts().issue(at, 2, 0.75);
        let read = Receipts::new(KEY, "ffffffffffff", 99).verify(&id).unwrap();
        assert_eq!((read.at, read.class, read.version.as_str(), read.serial), (at, 2, "0123456789ab", 7));
        assert!((read.confidence - 0.75).abs() < 1.0 / 65_535.0);
    }

    #[test]
    fn no_two_are_equal() {
        let receipts = receipts();
        assert_ne!(receipts.issue(UNIX_EPOCH, 0, 1.0), receipts.issue(UNIX_EPOCH, 0, 1.0));
    }

    #[test]
    fn another_key_forges_nothing() {
        let foreign = Receipts::new(b"another key", "0123456789ab", 7).issue(UNIX_EPOCH, 0, 1.0);
        assert_eq!(receipts().verify(&foreign), Err(ReceiptError::Forged));
    }

    #[test]
    fn the_latest_are_remembered_and_memory_is_bounded() {
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
        fn any_changed_byte_is_noticed(at in 0..SIGNED + MAC, flip in 1u8..) {
            let receipts = receipts();
            let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(receipts.issue(UNIX_EPOCH, 1, 0.5)).unwrap();
            bytes[at] ^= flip;
            prop_assert!(receipts.verify(&BASE64_URL_SAFE_NO_PAD.encode(bytes)).is_err());
        }

        #[test]
        fn any_text_is_only_malformed(text in ".{0,80}") {
            prop_assert_eq!(receipts().verify(&text), Err(ReceiptError::Malformed));
        }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        // Python: m = bytes([1]) + (1790000000123).to_bytes(6, "big") + (2).to_bytes(2, "big") + (49151).to_bytes(2, "big")
        //   + bytes.fromhex("0123456789ab") + (7).to_bytes(8, "big"); base64.urlsafe_b64encode(
        //   m + hmac.new(KEY, m, hashlib.sha256).digest()[:16]).rstrip(b"=")
        let expected = "AQGgxFBsewACv_8BI0VniasAAAAAAAAAB-Ytu5Nc5ymevwBPZiGB30c";
        let at = UNIX_EPOCH + Duration::from_millis(1_790_000_000_123);
        assert_eq!(receipts().issue(at, 2, 0.75), expected);
        assert_eq!(expected.len(), TEXT_LENGTH);
        let read = receipts().verify(expected).unwrap();
        assert_eq!((read.at, read.class, read.confidence, read.serial), (at, 2, 49_151.0 / 65_535.0, 7));
        let large = receipts().issue(UNIX_EPOCH, 65_535, 1.0);
        let read = receipts().verify(&large).unwrap();
        assert_eq!((read.class, read.confidence), (65_535, 1.0));
    }

    #[test]
    fn other_lengths_and_formats_are_malformed() {
        let receipts = receipts();
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(receipts.issue(UNIX_EPOCH, 1, 0.5)).unwrap();
        let verify = |bytes: &[u8]| receipts.verify(&BASE64_URL_SAFE_NO_PAD.encode(bytes));
        assert!(verify(&bytes).is_ok());
        assert_eq!(verify(&bytes[..40]), Err(ReceiptError::Malformed));
        assert_eq!(verify(&[&bytes[..], &[0]].concat()), Err(ReceiptError::Malformed));
        assert_eq!(verify(&[&[2], &bytes[1..]].concat()), Err(ReceiptError::Malformed));
    }

    #[test]
    fn a_serial_is_new_once_in_either_generation() {
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
