//! Connections after an upgrade such as that to WebSocket, whose bytes are passed on in both directions without being read.

use std::{cell::Cell, io, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    time::{Instant, sleep_until},
    try_join,
};

/// The size of the buffer for each direction, in bytes.
const BUFFER: usize = 8 << 10;

/// Passes bytes on between both sides until both have closed their direction, one of them fails, or none was passed on for the time
/// `idle`. A side that closes only its sending direction still receives.
///
/// # Errors
/// Returns the error of the side that failed, or [`io::ErrorKind::TimedOut`] after the idle time.
pub(super) async fn connect(
    client: impl AsyncRead + AsyncWrite,
    upstream: impl AsyncRead + AsyncWrite,
    idle: Duration,
) -> io::Result<()> {
    let passed = Cell::new(Instant::now());
    let (from_client, to_client) = split(client);
    let (from_upstream, to_upstream) = split(upstream);
    let both = async {
        let up = pass_on(from_client, to_upstream, &passed);
        try_join!(up, pass_on(from_upstream, to_client, &passed)).map(drop)
    };
    let until_idle = async {
        while passed.get().elapsed() < idle {
            sleep_until(passed.get() + idle).await;
        }
    };
    tokio::select! {
        // What arrived is passed on before the time is checked.
        biased;
        ended = both => ended,
        () = until_idle => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Passes bytes on in one direction, and notes the time whenever some were passed on.
async fn pass_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    passed: &Cell<Instant>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        passed.set(Instant::now());
        to.write_all(&buffer[..count]).await?;
        passed.set(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    const IDLE: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn a_connection_ends_when_nothing_was_passed_on_for_the_idle_time() {
        let (mut client, client_end) = duplex(64);
        let (mut upstream, upstream_end) = duplex(64);
        let began = Instant::now();
        let talk = async {
            let mut byte = [0];
            while began.elapsed() < IDLE * 3 {
                client.write_all(b"?").await.unwrap();
                upstream.read_exact(&mut byte).await.unwrap();
                upstream.write_all(b"!").await.unwrap();
                client.read_exact(&mut byte).await.unwrap();
            }
            // Both sides stay open.
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            // In this order, traffic is polled before the idle time, so a pause of the whole process is not counted as idle time.
            biased;
            () = talk => unreachable!("it waits"),
            ended = connect(client_end, upstream_end, IDLE) => ended,
        };
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= IDLE * 3, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_side_that_does_not_read_does_not_keep_the_connection_open() {
        let (mut client, client_end) = duplex(64);
        let (_upstream, upstream_end) = duplex(64);
        let send = async { while client.write_all(&[0; 1024]).await.is_ok() {} };
        let (ended, ()) = tokio::join!(connect(client_end, upstream_end, IDLE), send);
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_side_that_has_sent_everything_still_receives() {
        let (mut client, client_end) = duplex(64);
        let (mut upstream, upstream_end) = duplex(64);
        let talk = async {
            client.write_all(b"question").await.unwrap();
            client.shutdown().await.unwrap();
            let mut text = String::new();
            upstream.read_to_string(&mut text).await.unwrap();
            upstream.write_all(text.to_uppercase().as_bytes()).await.unwrap();
            upstream.shutdown().await.unwrap();
            text.clear();
            client.read_to_string(&mut text).await.unwrap();
            text
        };
        let minute = Duration::from_secs(60);
        let (ended, answer) = tokio::join!(connect(client_end, upstream_end, minute), talk);
        assert_eq!((ended.is_ok(), answer.as_str()), (true, "QUESTION"));
    }
}
