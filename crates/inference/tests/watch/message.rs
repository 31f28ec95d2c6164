//! HTTP messages as bytes, read without the libraries that the proxy uses.

use std::io::{self, BufRead, Error};

/// A message as it came over a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The request line or the status line.
    pub start: Vec<u8>,
    /// The header fields in their order, each with its name as it was written.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body without its chunks.
    pub body: Vec<u8>,
}

impl Message {
    /// Reads a request.
    pub fn read_request(reader: &mut impl BufRead) -> io::Result<Self> {
        let mut message = Self::read_head(reader)?;
        message.body = message.read_body(reader, Vec::new)?;
        Ok(message)
    }

    /// Reads an answer. Answers to HEAD have no body.
    pub fn read_answer(reader: &mut impl BufRead, of_head: bool) -> io::Result<Self> {
        let mut message = Self::read_head(reader)?;
        if of_head || matches!(message.status(), 100..=199 | 204 | 304) {
            return Ok(message);
        }
        let mut until_closed = Vec::new();
        if message.field("content-length").is_none() && message.field("transfer-encoding").is_none() {
            reader.read_to_end(&mut until_closed)?;
        }
        message.body = message.read_body(reader, || until_closed)?;
        Ok(message)
    }

    /// Reads the start line and the fields.
    pub fn read_head(reader: &mut impl BufRead) -> io::Result<Self> {
        let start = line(reader)?;
        let mut fields = Vec::new();
        loop {
            let line = line(reader)?;
            if line.is_empty() {
                return Ok(Self { start, fields, body: Vec::new() });
            }
            let colon = line.iter().position(|&byte| byte == b':').ok_or_else(|| Error::other("no colon"))?;
            let name = String::from_utf8(line[..colon].to_vec()).map_err(Error::other)?;
            fields.push((name, line[colon + 1..].trim_ascii().to_vec()));
        }
    }

    fn read_body(
        &self,
        reader: &mut impl BufRead,
        otherwise: impl FnOnce() -> Vec<u8>,
    ) -> io::Result<Vec<u8>> {
        if let Some(coding) = self.field("transfer-encoding") {
            assert_eq!(coding.to_ascii_lowercase(), "chunked");
            return chunks(reader);
        }
        let Some(length) = self.field("content-length") else { return Ok(otherwise()) };
        let mut body = vec![0; length.parse().map_err(Error::other)?];
        reader.read_exact(&mut body)?;
        Ok(body)
    }

    /// Returns the first field of a name as text.
    pub fn field(&self, name: &str) -> Option<String> {
        let field = self.fields.iter().find(|(own, _)| own.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(&field.1).into_owned())
    }

    pub fn status(&self) -> u16 {
        let start = String::from_utf8_lossy(&self.start);
        start.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// Returns the error code of an answer of the watcher's own.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// Returns a POST request with a JSON body, after which the connection is closed.
pub fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: model\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn line(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    match line.strip_suffix(b"\r\n") {
        Some(line) => Ok(line.to_vec()),
        None => Err(Error::other(format!("the connection ended after {:?}", String::from_utf8_lossy(&line)))),
    }
}

fn chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(reader)?;
        let size = String::from_utf8_lossy(&size).split(';').next().unwrap().trim().to_owned();
        let size = usize::from_str_radix(&size, 16).map_err(Error::other)?;
        let begin = body.len();
        body.resize(begin + size, 0);
        reader.read_exact(&mut body[begin..])?;
        if size == 0 {
            // Trailers end with an empty line.
            while !line(reader)?.is_empty() {}
            return Ok(body);
        }
        line(reader)?;
    }
}
