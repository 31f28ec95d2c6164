//! What to do with text that is not UTF-8, and the recognition of UTF-16.

/// The remedy for a table that is not UTF-8. Its bytes do not show which encoding it has, because most encodings read any bytes as some
/// text.
pub const REMEDY: &str = "save the file as UTF-8, or convert it from the encoding of the program that wrote it: iconv -f ENCODING -t UTF-8 \
                          (often WINDOWS-1252 for Western European languages, WINDOWS-1251 for Cyrillic, SHIFT_JIS for Japanese, GB18030 for \
                          Chinese; `uchardet FILE` guesses it)";

/// The number of bytes that are decoded.
const DECODED: usize = 4 << 10;

/// Characters of every table. With their bytes swapped, they are characters that hardly any text has.
const SEPARATORS: [u16; 4] = [b'\n' as u16, b',' as u16, b';' as u16, b'\t' as u16];

/// Returns whether bytes are text in UTF-16 without a byte order mark. `unit` reads two bytes in the byte order in question.
///
/// In UTF-16, one byte of each comma and of each end of line is zero, in any script. Text in other encodings has no zeros, and binary
/// data have control characters or lone surrogates.
pub(crate) fn is_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> bool {
    let pairs = bytes[..bytes.len().min(DECODED)].as_chunks().0;
    let units: Vec<u16> = pairs.iter().map(|&pair| unit(pair)).collect();
    let separators =
        |swap: fn(u16) -> u16| units.iter().filter(|&&unit| SEPARATORS.contains(&swap(unit))).count();
    let is_text =
        |decoded: Result<char, _>| decoded.is_ok_and(|c: char| !c.is_control() || c.is_ascii_whitespace());
    // The last character may be cut.
    let whole = units.len() - usize::from(units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit)));
    separators(|unit| unit) > separators(u16::swap_bytes)
        && char::decode_utf16(units[..whole].iter().copied()).all(is_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(bytes: &[u8]) -> [bool; 2] {
        [is_utf16(bytes, u16::from_le_bytes), is_utf16(bytes, u16::from_be_bytes)]
    }

    #[test]
    fn text_in_any_script_is_recognised_in_both_byte_orders() {
        for text in [
            "age,city\n1,Köln\n",
            "возраст,город\r\n31,Москва\r\n",
            "年齢,一人,都市\n一,一一一一,東京\n",
            "سن;شهر\n۳۱;تهران\n",
            "a\t\u{1f600}\n1\t\u{1f600}\u{1f600}",
        ] {
            let units: Vec<u16> = text.encode_utf16().collect();
            let bytes = |of: fn(u16) -> [u8; 2]| units.iter().flat_map(|&unit| of(unit)).collect::<Vec<_>>();
            assert_eq!(orders(&bytes(u16::to_le_bytes)), [true, false], "{text}");
            assert_eq!(orders(&bytes(u16::to_be_bytes)), [false, true], "{text}");
        }
        // A character of two units may be cut after the first one.
        let long: Vec<u8> = "a,\u{1f600}\n".repeat(9).encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!((10..30).all(|length| orders(&long[..length]) == [true, false]));
    }

    #[test]
    fn other_text_and_binary_data_are_not_utf16() {
        for bytes in [
            &b"a,b\n1,2\n3,4\n"[..],
            b"",
            b",",
            "возраст,город\r\n31,Москва\r\n".as_bytes(),
            b"\x94N\x97\xee,\x93s\x8es\n1,\x93\x8c\x8b\x9e\n",
            b"a\x00b\x00\x00\x00,\x00",
            b"\x0a\x00\x07\x00,\x00",
            b"\x00\xd8,\x00\n\x00",
        ] {
            assert_eq!(orders(bytes), [false, false], "{bytes:?}");
        }
    }
}
