//! Finds the boundaries between the requests of a connection, and renames the offers to upgrade in their heads.
//!
//! actix-http treats a request that offers another protocol (`Connection: upgrade`, which Java's HTTP client sends by default) as the
//! last one of its connection, and the body of a request with `Upgrade: websocket` as endless. RFC 9110, section 7.8, allows a server
//! to ignore such an offer. So the offer is renamed before the parser reads it, byte for byte, so that all lengths stay the same.
//! (actix/actix-web#6 declines upgrades, but does not deal with keeping the connection.)
//!
//! What does not belong here: refusing a request. An inconsistent head is passed on unchanged, and the parser refuses it.

use memchr::{memchr, memchr_iter};

/// The replacement for `upgrade`, which has the same length. It has no meaning as a header name or as a connection option.
const RENAMED: &[u8; 7] = b"x-offer";

/// The next part of the stream of requests.
#[derive(Debug, Default)]
pub(super) enum Framing {
    /// A request's head.
    #[default]
    Head,
    /// A body, of which this number of bytes is left.
    Length(u64),
    /// A chunked body.
    Chunked(Chunked),
    /// The end of the request is not known, because its head is inconsistent, its chunked body is malformed, or it asks for a tunnel.
    /// Parsers interpret the following bytes differently, so these must not be read as a request.
    Unknown,
}

/// A position in a chunked body (RFC 9112, section 7.1).
#[derive(Debug, Clone, Copy)]
pub(super) enum Chunked {
    /// Before the first digit of a chunk's size.
    SizeBegin,
    /// In the digits of a size. The value is the number that the digits read so far stand for.
    Size(u64),
    /// After the digits, in the line of the size. The values are the size, and whether a chunk extension has begun.
    Extension(u64, bool),
    /// Before the line feed of the line of the size. The value is the size.
    SizeEnd(u64),
    /// In a chunk, of which this number of bytes is left.
    Data(u64),
    /// Before the carriage return after a chunk.
    DataReturn,
    /// Before the line feed after a chunk.
    DataEnd,
    /// At the beginning of a line of the trailer.
    TrailerBegin,
    /// In a line of the trailer.
    Trailer,
    /// Before the line feed of a line of the trailer.
    TrailerEnd,
    /// Before the last line feed.
    End,
}

/// The result of looking for a head at the beginning of the bytes of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// The beginning of a head.
    Partial,
    /// A complete head of this number of bytes. The framing is then at the position after it.
    Complete(usize),
}

impl Framing {
    /// Looks for the end of a head at the beginning of `bytes`, and renames its offers to upgrade once it is complete.
    ///
    /// Empty lines before the head are skipped, as RFC 9112, section 2.2, requires. A line may end without a carriage return, because
    /// the parser allows that.
    pub(super) fn head(&mut self, bytes: &mut [u8]) -> Head {
        let Some(start) = bytes.iter().position(|&byte| byte != b'\r' && byte != b'\n') else {
            return Head::Partial;
        };
        let mut body = Body::default();
        let mut line = start;
        for end in memchr_iter(b'\n', &bytes[start..]).map(|length| start + length) {
            match &bytes[line..end] {
                b"" | b"\r" => {
                    let connect = bytes[start..].starts_with(b"CONNECT ");
                    for &offer in &body.offers {
                        bytes[offer..offer + RENAMED.len()].copy_from_slice(RENAMED);
                    }
                    *self = if connect { Self::Unknown } else { body.framing() };
                    return Head::Complete(end + 1);
                }
                // The request line.
                _ if line == start => {}
                header => body.header(header, line),
            }
            line = end + 1;
        }
        Head::Partial
    }

    /// Returns how many of `bytes` belong to the body, and moves the framing past them.
    pub(super) fn body(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Head | Self::Unknown => 0,
            Self::Length(left) => {
                let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                if *left == 0 {
                    *self = Self::Head;
                }
                taken
            }
            Self::Chunked(position) => {
                let (taken, next) = position.advance(bytes);
                match next {
                    Next::Chunked(chunked) => *position = chunked,
                    Next::Ended => *self = Self::Head,
                    Next::Broken => *self = Self::Unknown,
                }
                taken
            }
        }
    }

    /// Returns whether the next byte belongs to a head.
    pub(super) fn is_head(&self) -> bool {
        matches!(self, Self::Head)
    }

    /// Returns whether the rest of the connection cannot be read.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}

/// The length and the coding of the body, as the headers give them.
#[derive(Default)]
struct Body {
    length: Option<u64>,
    chunked: bool,
    unclear: bool,
    /// The positions at which offers to upgrade begin.
    offers: Vec<usize>,
}

impl Body {
    /// Reads one header line, without its line feed. `start` is the position of the line.
    fn header(&mut self, line: &[u8], start: usize) {
        // Only four names are relevant, so most lines are skipped because of their first letter.
        if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T' | b'u' | b'U')) {
            return;
        }
        let Some(colon) = memchr(b':', line) else { return };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.eq_ignore_ascii_case(b"upgrade") {
            self.offers.push(start);
        } else if name.eq_ignore_ascii_case(b"connection") {
            let mut at = start + colon + 1;
            for option in value.split(|&byte| byte == b',') {
                if option.trim_ascii().eq_ignore_ascii_case(b"upgrade") {
                    self.offers.push(at + option.len() - option.trim_ascii_start().len());
                }
                at += option.len() + 1;
            }
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let text = std::str::from_utf8(value.trim_ascii()).unwrap_or_default();
            match text.parse() {
                // Rust accepts a sign, but HTTP does not.
                Ok(length) if self.length.is_none() && !text.starts_with('+') => self.length = Some(length),
                _ => self.unclear = true,
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            match value.trim_ascii() {
                coding if coding.eq_ignore_ascii_case(b"chunked") && !self.chunked => self.chunked = true,
                _ => self.unclear = true,
            }
        }
    }

    fn framing(&self) -> Framing {
        match (self.chunked, self.length) {
            _ if self.unclear => Framing::Unknown,
            (true, Some(_)) => Framing::Unknown,
            (true, None) => Framing::Chunked(Chunked::SizeBegin),
            (false, Some(length)) if length > 0 => Framing::Length(length),
            (false, _) => Framing::Head,
        }
    }
}

/// Returns the value of a hexadecimal digit.
fn value(digit: u8) -> u64 {
    (digit as char).to_digit(16).unwrap_or_default().into()
}

enum Next {
    Chunked(Chunked),
    Ended,
    Broken,
}

impl Chunked {
    /// Returns how many of `bytes` belong to the body, and the next position.
    fn advance(self, bytes: &[u8]) -> (usize, Next) {
        let mut position = self;
        let mut at = 0;
        while at < bytes.len() {
            if let Self::Data(left) = position {
                let taken = (bytes.len() - at).min(usize::try_from(left).unwrap_or(usize::MAX));
                at += taken;
                let left = left - taken as u64;
                position = if left == 0 { Self::DataReturn } else { Self::Data(left) };
                continue;
            }
            let byte = bytes[at];
            at += 1;
            position = match (position, byte) {
                (Self::SizeBegin, digit) if digit.is_ascii_hexdigit() => Self::Size(value(digit)),
                (Self::Size(size), digit) if digit.is_ascii_hexdigit() => {
                    let longer = size.checked_mul(16).and_then(|size| size.checked_add(value(digit)));
                    let Some(size) = longer else { return (at - 1, Next::Broken) };
                    Self::Size(size)
                }
                (Self::Size(size) | Self::Extension(size, _), b'\r') => Self::SizeEnd(size),
                (Self::Size(size) | Self::Extension(size, false), b' ' | b'\t') => {
                    Self::Extension(size, false)
                }
                (Self::Size(size) | Self::Extension(size, false), b';') => Self::Extension(size, true),
                (Self::Extension(size, true), byte) if byte == b'\t' || !byte.is_ascii_control() => {
                    Self::Extension(size, true)
                }
                (Self::SizeEnd(0), b'\n') => Self::TrailerBegin,
                (Self::SizeEnd(size), b'\n') => Self::Data(size),
                (Self::DataReturn, b'\r') => Self::DataEnd,
                (Self::DataEnd, b'\n') => Self::SizeBegin,
                (Self::TrailerBegin, b'\r') => Self::End,
                (Self::Trailer, b'\r') => Self::TrailerEnd,
                (Self::TrailerBegin | Self::Trailer, byte) if byte == b'\t' || !byte.is_ascii_control() => {
                    Self::Trailer
                }
                (Self::TrailerEnd, b'\n') => Self::TrailerBegin,
                (Self::End, b'\n') => return (at, Next::Ended),
                _ => return (at - 1, Next::Broken),
            };
        }
        (at, Next::Chunked(position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Splits a stream, which arrives in pieces of these lengths, into requests. Returns the bytes of each request as they are passed on,
    /// and the number of bytes that are held back because their head is not complete.
    fn split_requests(stream: &[u8], pieces: &[usize]) -> (Vec<Vec<u8>>, usize) {
        let mut framing = Framing::default();
        let (mut held, mut requests) = (Vec::new(), Vec::<Vec<u8>>::new());
        let mut pieces = pieces.iter().cycle();
        let mut rest = stream;
        while !rest.is_empty() {
            let (piece, later) = rest.split_at((*pieces.next().unwrap()).clamp(1, rest.len()));
            rest = later;
            held.extend_from_slice(piece);
            while !held.is_empty() {
                let taken = if framing.is_head() {
                    match framing.head(&mut held) {
                        Head::Partial => break,
                        Head::Complete(length) => {
                            requests.push(Vec::new());
                            length
                        }
                    }
                } else {
                    framing.body(&held)
                };
                requests.last_mut().unwrap().extend(held.drain(..taken));
                if framing.is_unknown() {
                    break;
                }
            }
        }
        (requests, held.len())
    }

    fn requests(stream: &[u8], pieces: &[usize]) -> Vec<Vec<u8>> {
        let (requests, held) = split_requests(stream, pieces);
        assert_eq!(held, 0);
        requests
    }

    fn filtered(head: &str) -> String {
        let mut bytes = head.as_bytes().to_vec();
        assert_eq!(Framing::default().head(&mut bytes), Head::Complete(head.len()), "{head:?}");
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn only_offers_to_upgrade_are_changed() {
        let cases = [
            (
                "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c",
                "Connection: x-offer, HTTP2-Settings\r\nx-offer: h2c",
            ),
            ("connection:upgrade", "connection:x-offer"),
            ("Connection: keep-alive, UPGRADE ", "Connection: keep-alive, x-offer "),
            ("UPGRADE: websocket", "x-offer: websocket"),
            ("Connection: upgrade-insecure", "Connection: upgrade-insecure"),
            ("Upgrade-Insecure-Requests: 1", "Upgrade-Insecure-Requests: 1"),
            ("X-Upgrade: upgrade", "X-Upgrade: upgrade"),
            ("Connection: close", "Connection: close"),
            ("Connection:", "Connection:"),
            ("Connection: ,,", "Connection: ,,"),
        ];
        for (headers, expected) in cases {
            for end in ["\r\n", "\n"] {
                let around = |headers: &str| {
                    format!("GET /upgrade HTTP/1.1{end}{headers}{end}{end}").replace("\r\n", end)
                };
                assert_eq!(filtered(&around(headers)), around(expected));
            }
        }
    }

    #[test]
    fn bodies_are_passed_on_unchanged() {
        let body = "\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n";
        let by_length = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let chunked = format!(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{:X};note=1\r\n{body}\r\n3\r\nabc\r\n0\r\nUpgrade: h2c\r\n\r\n",
            body.len()
        );
        let plain = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let stream = [&by_length, plain, &chunked, plain, &by_length].concat();
        let expected = [&by_length, plain, &chunked, plain, &by_length].map(|text| text.as_bytes().to_vec());
        for piece in [1, 2, 3, 7, 64, stream.len()] {
            assert_eq!(requests(stream.as_bytes(), &[piece]), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn no_bytes_are_passed_on_after_a_request_whose_end_is_unknown() {
        for head in [
            "CONNECT example.com:443 HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: one\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        ] {
            let mut framing = Framing::default();
            assert_eq!(framing.head(&mut head.as_bytes().to_vec()), Head::Complete(head.len()));
            assert!(framing.is_unknown(), "{head:?}: {framing:?}");
            assert_eq!(framing.body(b"GET / HTTP/1.1\r\n\r\n"), 0);
        }
    }

    #[test]
    fn after_a_malformed_chunked_body_the_end_is_unknown() {
        let good = "3;a=b\r\nabc\r\n00a  \r\n0123456789\r\n0\r\nx: y\r\n\r\n";
        let mut framing = Framing::Chunked(Chunked::SizeBegin);
        assert_eq!(framing.body(good.as_bytes()), good.len());
        assert!(framing.is_head());
        for bad in [
            "fffffffffffffffff\r\n",
            "\r\n",
            "3 3\r\nabc\r\n",
            "+3\r\nabc\r\n",
            "0x3\r\nabc\r\n",
            "3\nabc\r\n",
            "3;a=b\nabc\r\n",
            "3\r\nabcd",
            "3\r\nabc\n",
            "3\r\nabc\r3",
            // Parsers that end a line at a line feed find another beginning of the next request than parsers that do not.
            "0\r\n\n",
            "0\n\r\n",
            "0\r\nx: y\n\r\n",
            "0\r\n\rG",
        ] {
            for piece in [1, bad.len()] {
                let mut framing = Framing::Chunked(Chunked::SizeBegin);
                bad.as_bytes().chunks(piece).for_each(|bytes| {
                    framing.body(bytes);
                });
                assert!(framing.is_unknown(), "{bad:?}: {framing:?}");
                assert_eq!(framing.body(b"GET / HTTP/1.1\r\n\r\n"), 0);
            }
        }
    }

    #[test]
    fn empty_lines_before_a_head_count_as_part_of_it() {
        let mut framing = Framing::default();
        assert_eq!(framing.head(b"\r\n\r\n".to_vec().as_mut()), Head::Partial);
        assert_eq!(framing.head(b"\r\n\nGET / HTTP/1.1\r\n\r\n".to_vec().as_mut()), Head::Complete(21));
    }

    proptest! {
        #[test]
        fn no_byte_of_any_stream_is_lost(stream in prop::collection::vec(any::<u8>(), 0..400), piece in 1usize..50) {
            let (requests, held) = split_requests(&stream, &[piece]);
            prop_assert_eq!(requests.iter().map(Vec::len).sum::<usize>() + held, stream.len());
        }

        #[test]
        fn requests_do_not_depend_on_the_pieces_they_arrive_in(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..5),
            pieces in prop::collection::vec(1usize..40, 1..8),
        ) {
            let request = |body: &Vec<u8>| {
                let mut bytes = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
                bytes.extend_from_slice(body);
                bytes
            };
            let expected: Vec<_> = bodies.iter().map(request).collect();
            prop_assert_eq!(requests(&expected.concat(), &pieces), expected);
        }
    }
}
