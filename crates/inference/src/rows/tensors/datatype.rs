//! Defines the datatypes of tensors, and decodes elements in binary form, which are little-endian.

use super::elements::Fault;
use crate::{
    reason::Reason,
    refusal::Refusal,
    rows::{exact, json, raw::shortened},
};
use serde_json::value::RawValue;
use std::fmt;

/// A datatype of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datatype {
    /// True or false, one byte
    Bool,
    /// A whole number of 8, 16, 32 or 64 bits
    Integer {
        /// The size in bytes: 1, 2, 4 or 8
        bytes: usize,
        /// Whether it is signed
        signed: bool,
    },
    /// IEEE 754 half precision
    Fp16,
    /// IEEE 754 single precision
    Fp32,
    /// IEEE 754 double precision
    Fp64,
    /// A text in UTF-8. In binary form, its length in four bytes precedes it
    Bytes,
}

const NAMES: [(&str, Datatype); 13] = {
    const fn integer(bytes: usize, signed: bool) -> Datatype {
        Datatype::Integer { bytes, signed }
    }
    [
        ("FP64", Datatype::Fp64),
        ("FP32", Datatype::Fp32),
        ("FP16", Datatype::Fp16),
        ("INT64", integer(8, true)),
        ("INT32", integer(4, true)),
        ("INT16", integer(2, true)),
        ("INT8", integer(1, true)),
        ("UINT64", integer(8, false)),
        ("UINT32", integer(4, false)),
        ("UINT16", integer(2, false)),
        ("UINT8", integer(1, false)),
        ("BOOL", Datatype::Bool),
        ("BYTES", Datatype::Bytes),
    ]
};

impl fmt::Display for Datatype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES.iter().find(|(_, datatype)| datatype == self).map_or("", |(name, _)| name))
    }
}

impl Datatype {
    pub(super) fn read(name: &RawValue, place: &str) -> Result<Self, Refusal> {
        let place = format!("{place}.datatype");
        let name = json::text(name, &place)?.unwrap_or_default();
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, datatype)| *datatype).ok_or_else(|| {
            let known: Vec<&str> = NAMES.iter().map(|(known, _)| *known).collect();
            let message =
                format!("unknown datatype {:?}; the datatypes are {}", shortened(&name), known.join(", "));
            Refusal::new(Reason::UnknownDatatype, message).at(place)
        })
    }

    /// Returns the number of bytes per element in binary form; `None` if it varies.
    pub fn width(self) -> Option<usize> {
        match self {
            Self::Bool => Some(1),
            Self::Integer { bytes, .. } => Some(bytes),
            Self::Fp16 => Some(2),
            Self::Fp32 => Some(4),
            Self::Fp64 => Some(8),
            Self::Bytes => None,
        }
    }

    /// Decodes a number in binary form.
    pub(super) fn number(self, bytes: &[u8]) -> Result<Option<f64>, Fault> {
        let number = match self {
            Self::Integer { signed: true, .. } => return whole(signed(bytes)).map(Some),
            Self::Bool | Self::Integer { .. } | Self::Bytes => {
                return whole(i128::from(unsigned(bytes))).map(Some);
            }
            Self::Fp16 => half(unsigned(bytes) as u16),
            Self::Fp32 => f64::from(f32::from_bits(unsigned(bytes) as u32)),
            Self::Fp64 => f64::from_bits(unsigned(bytes)),
        };
        if number.is_infinite() {
            let message = "is infinite; send a finite number, or NaN for a missing value";
            return Err(Fault::new(Reason::NumberOutOfRange, message));
        }
        Ok((!number.is_nan()).then_some(number))
    }

    /// Checks a whole number that is written as text.
    pub(super) fn check_range(self, number: i128) -> Result<f64, Fault> {
        if let Self::Integer { bytes, signed } = self {
            let bits = 8 * bytes as u32;
            let (least, greatest) = if signed {
                (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1)
            } else {
                (0, (1_i128 << bits) - 1)
            };
            if !(least..=greatest).contains(&number) {
                let message = format!("must be from {least} to {greatest} for {self}, got {number}");
                return Err(Fault::new(Reason::NumberOutOfRange, message));
            }
        }
        whole(number)
    }
}

fn whole(number: i128) -> Result<f64, Fault> {
    if number.unsigned_abs() > u128::from(exact::LARGEST_EXACT) {
        return Err(Fault::from(exact::refusal(
            &number.to_string(),
            "send it as FP64 if that is acceptable",
        )));
    }
    Ok(number as f64)
}

/// Reads up to eight bytes, little-endian.
fn unsigned(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn signed(bytes: &[u8]) -> i128 {
    let shift = 64 - 8 * bytes.len() as u32;
    i128::from(((unsigned(bytes) << shift) as i64) >> shift)
}

/// Converts a half-precision number, which has 1 bit of sign, 5 bits of exponent with bias 15, and 10 bits of fraction.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2_f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values are from the table of half-precision examples in Wikipedia's article on the format.
    #[test]
    fn half_precision_numbers_are_converted_exactly() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x0001, 0.000_000_059_604_644_775_390_63),
            (0x03ff, 0.000_060_975_551_605_224_61),
            (0x0400, 0.000_061_035_156_25),
            (0x3555, 0.333_251_953_125),
            (0x3c00, 1.0),
            (0x3c01, 1.000_976_562_5),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x7c00, f64::INFINITY),
            (0xfc00, f64::NEG_INFINITY),
        ] {
            assert_eq!(half(bits), value, "{bits:#06x}");
        }
        assert!(half(0x7e00).is_nan());
    }

    #[test]
    fn numbers_are_decoded_as_little_endian() {
        let read = |name: &str, bytes: &[u8]| {
            let datatype = NAMES.iter().find(|(known, _)| *known == name).unwrap().1;
            assert_eq!(datatype.width(), Some(bytes.len()), "{name}");
            assert_eq!(datatype.to_string(), name);
            datatype.number(bytes).unwrap()
        };
        assert_eq!(read("FP64", &5.1_f64.to_le_bytes()), Some(5.1));
        assert_eq!(read("FP64", &f64::NAN.to_le_bytes()), None);
        assert_eq!(read("FP32", &0.25_f32.to_le_bytes()), Some(0.25));
        assert_eq!(read("FP16", &[0x00, 0xc0]), Some(-2.0));
        assert_eq!(read("INT64", &(-(1_i64 << 53)).to_le_bytes()), Some(-9_007_199_254_740_992.0));
        assert_eq!(read("INT32", &(-2_i32).to_le_bytes()), Some(-2.0));
        assert_eq!(read("INT16", &(-300_i16).to_le_bytes()), Some(-300.0));
        assert_eq!(read("INT8", &[0x80]), Some(-128.0));
        assert_eq!(read("UINT64", &7_u64.to_le_bytes()), Some(7.0));
        assert_eq!(read("UINT32", &u32::MAX.to_le_bytes()), Some(4_294_967_295.0));
        assert_eq!(read("UINT16", &[0x00, 0x80]), Some(32768.0));
        assert_eq!(read("UINT8", &[255]), Some(255.0));
    }

    #[test]
    fn numbers_without_an_exact_f64_are_refused() {
        let int64 = Datatype::Integer { bytes: 8, signed: true };
        for number in [(1_i64 << 53) + 1, i64::MAX, i64::MIN] {
            assert!(int64.number(&number.to_le_bytes()).is_err(), "{number}");
        }
        let uint64 = Datatype::Integer { bytes: 8, signed: false };
        assert!(uint64.number(&u64::MAX.to_le_bytes()).is_err());
        assert!(Datatype::Fp64.number(&f64::INFINITY.to_le_bytes()).is_err());
        let int8 = Datatype::Integer { bytes: 1, signed: true };
        assert_eq!([-129, -128, 127, 128].map(|n| int8.check_range(n).is_ok()), [false, true, true, false]);
        let uint8 = Datatype::Integer { bytes: 1, signed: false };
        assert_eq!([-1, 0, 255, 256].map(|n| uint8.check_range(n).is_ok()), [false, true, true, false]);
    }
}
