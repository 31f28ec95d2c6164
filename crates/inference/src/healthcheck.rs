//! `inference healthcheck`: requests `/readyz`, for container images without curl.

use anyhow::{Context, Result, bail};
use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs},
    sync::mpsc,
    time::{Duration, Instant},
};

/// The time limit of the whole call. A service that takes longer counts as not healthy.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Returns the URL of `/readyz` for requests from the machine of a service with this listen address.
pub fn url_of(listen: SocketAddr) -> String {
    let host = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        host => host,
    };
    format!("http://{}/readyz", SocketAddr::new(host, listen.port()))
}

/// Requests `url` (plain HTTP) and succeeds if the answer is 200.
///
/// # Errors
/// Returns an error if the answer has another status, or does not arrive in time.
pub fn run(url: &str) -> Result<()> {
    let status = status(url).with_context(|| format!("--url {url}"))?;
    if status != 200 {
        bail!("--url {url}: expected status 200, got {status}");
    }
    cli_io::stdout::print("ready\n")
}

fn status(url: &str) -> Result<u16> {
    let deadline = Instant::now() + TIMEOUT;
    let rest = url.strip_prefix("http://").context("must begin with http://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let with_port = if authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let address = address(with_port, deadline)?;
    let path = if path.is_empty() { "/" } else { path };
    let head = ask(address, authority, path, deadline).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => timed_out(),
        ErrorKind::UnexpectedEof => anyhow::anyhow!("the server closed the connection without an answer"),
        _ => error.into(),
    })?;
    let status = head.strip_prefix(b"HTTP/1.1 ").or_else(|| head.strip_prefix(b"HTTP/1.0 "));
    let status = status.and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
    status.context("the answer is not HTTP/1.1 or HTTP/1.0")
}

/// Resolves an address in another thread, which is abandoned if the system's resolver takes too long.
fn address(authority: String, deadline: Instant) -> Result<SocketAddr> {
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().spawn(move || {
        // Sending fails after the deadline, because the receiver has been dropped.
        let _ = sender.send(authority.to_socket_addrs().map(|mut addresses| addresses.next()));
    })?;
    let left = deadline.saturating_duration_since(Instant::now());
    let found = receiver.recv_timeout(left).map_err(|_| timed_out())?;
    found.context("the host name cannot be resolved")?.context("the host has no address")
}

fn timed_out() -> anyhow::Error {
    anyhow::anyhow!("timed out after {} s", TIMEOUT.as_secs())
}

/// Sends the request and returns the first 12 bytes of the answer, which end with its status.
fn ask(address: SocketAddr, host: &str, path: &str, deadline: Instant) -> std::io::Result<[u8; 12]> {
    let left = || {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(std::io::Error::from(ErrorKind::TimedOut)) } else { Ok(left) }
    };
    let mut stream = TcpStream::connect_timeout(&address, left()?)?;
    stream.set_write_timeout(Some(left()?))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut head = [0; 12];
    let mut read = 0;
    while read < head.len() {
        // The socket's timeout applies to each read, but an answer may arrive byte by byte, so the remaining time is set anew.
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut head[read..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            more => read += more,
        }
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_health_check_uses_the_listen_address() {
        for (listen, url) in [
            ("0.0.0.0:9000", "http://127.0.0.1:9000/readyz"),
            ("[::]:9000", "http://[::1]:9000/readyz"),
            ("10.0.0.7:80", "http://10.0.0.7:80/readyz"),
        ] {
            assert_eq!(url_of(listen.parse().unwrap()), url);
        }
    }

    #[test]
    fn slow_and_missing_answers_time_out() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut slow, _) = listener.accept().unwrap();
            for byte in b"HTTP/1.1 200 OK" {
                // Writing fails once the client has closed the connection.
                let _ = slow.write_all(&[*byte]);
                std::thread::sleep(Duration::from_millis(500));
            }
            let _silent = listener.accept().unwrap();
            std::thread::park();
        });
        for _ in 0..2 {
            let error = format!("{:#}", run(&url).unwrap_err());
            assert!(error.ends_with("timed out after 2 s"), "{error}");
        }
    }
}
