//! `inference healthcheck`: asks a service whether it is ready, without curl, for images that hold nothing else.

use anyhow::{Context, Result, bail};
use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

/// A service that takes longer than this to say that it is ready is not.
const PATIENCE: Duration = Duration::from_secs(2);

/// Succeeds when `url` (plain HTTP) answers 200.
///
/// # Errors
/// When it answers anything else, or not at all.
pub fn run(url: &str) -> Result<()> {
    let status = status(url).with_context(|| format!("--url {url}"))?;
    if status != 200 {
        bail!("--url {url}: answered {status}");
    }
    crate::cli::print("ready\n")
}

fn status(url: &str) -> Result<u16> {
    let rest = url.strip_prefix("http://").context("must begin with http://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let address = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let address = address.to_socket_addrs()?.next().context("the host has no address")?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let path = if path.is_empty() { "/" } else { path };
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    let status =
        std::str::from_utf8(&head)?.strip_prefix("HTTP/1.1 ").context("did not answer in HTTP/1.1")?;
    Ok(status.parse()?)
}
