//! Secrets from files: the key that prediction ids are signed with, and the token of administrators.

use anyhow::{Context, Result, bail, ensure};
use cli_io::denied;
use rustix::fs::{Mode, OFlags};
use std::{collections::BTreeSet, fs::File, io::Read, os::unix::fs::MetadataExt, path::Path};

/// The least length of a key. A shorter key can be guessed.
pub const MIN_BYTES: usize = 32;

/// The least number of distinct bytes of a key. Zeroes in any encoding and short patterns have fewer. A random key practically never
/// has fewer: even of keys of 32 decimal digits it is only 2 in 10^15.
const MIN_DISTINCT: usize = 4;

/// The greatest size of a file. A larger file contains something other than a key.
const MAX_BYTES: u64 = 64 << 10;

const REMEDY: &str = "make one with `umask 077 && openssl rand -hex 32 > FILE`";

/// Reads the secret that a flag names: the content of a regular file without the white space around it. Symbolic links are followed,
/// because Kubernetes mounts secrets with them.
///
/// # Errors
/// Returns an error if the file cannot be read, is not a regular file, can be written by every user, or has a key that can be guessed.
pub fn read(flag: &str, path: &Path) -> Result<Vec<u8>> {
    let place = || format!("{flag} {}", path.display());
    // Without this flag, opening a FIFO would wait for a writer. The opened file is checked and read, so that it does not matter
    // if another file takes its path meanwhile.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    let file = File::from(opened.map_err(|error| denied::explain(error.into())).with_context(place)?);
    let metadata = file.metadata().with_context(place)?;
    ensure!(
        metadata.is_file(),
        "{}: expected a regular file, because it is read again after a restart; {REMEDY}",
        place()
    );
    ensure!(
        metadata.mode() & 0o002 == 0,
        "{}: every user of this machine can write it (mode {:04o}); run `chmod o-rw` on it",
        place(),
        metadata.mode() & 0o7777
    );
    if metadata.mode() & 0o004 != 0 {
        // This is only a warning, because Docker and Kubernetes mount secrets like this by default, in containers without other users.
        tracing::warn!(
            flag,
            file = %path.display(),
            mode = format!("{:04o}", metadata.mode() & 0o7777),
            "every user of this machine can read this secret; run `chmod o-r` on it"
        );
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).with_context(place)?;
    ensure!(
        bytes.len() as u64 <= MAX_BYTES,
        "{}: expected a key, got a file larger than 64 KiB; {REMEDY}",
        place()
    );
    let key = bytes.trim_ascii().to_vec();
    if key.len() < MIN_BYTES {
        bail!("{}: expected a key of at least {MIN_BYTES} bytes, got {}; {REMEDY}", place(), key.len());
    }
    let distinct = key.iter().collect::<BTreeSet<_>>().len();
    ensure!(
        distinct >= MIN_DISTINCT,
        "{}: expected a key of at least {MIN_DISTINCT} different bytes, got {distinct}; it could be guessed; {REMEDY}",
        place()
    );
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt, process::Command};

    const FLAG: &str = "--receipt-key-file";

    fn refusal(path: &Path) -> String {
        let error = format!("{:#}", read(FLAG, path).unwrap_err());
        assert!(error.contains("--receipt-key-file") && error.contains(path.to_str().unwrap()), "{error}");
        error
    }

    #[test]
    fn keys_that_can_be_guessed_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        for (content, expected) in [
            (&b"short\n"[..], "expected a key of at least 32 bytes, got 5"),
            (&[0; 32], "expected a key of at least 4 different bytes, got 1"),
            (&[b'a'; 100], "different bytes, got 1"),
            // These are 32 zero bytes in base64.
            (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", "different bytes, got 2"),
            (&[b'\n'; 100], "at least 32 bytes, got 0"),
            (&[7; 70_000], "larger than 64 KiB"),
        ] {
            fs::write(&path, content).unwrap();
            assert!(refusal(&path).contains(expected), "{}", refusal(&path));
        }
    }

    #[test]
    fn a_file_that_others_can_write_is_refused_and_links_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("key"), dir.path().join("link"));
        fs::write(&path, "0123456789abcdef0123456789abcdef\n").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for mode in [0o600, 0o400, 0o440, 0o640, 0o444] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(FLAG, &link).unwrap(), b"0123456789abcdef0123456789abcdef", "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o646)).unwrap();
        assert!(refusal(&link).contains("mode 0646"), "{}", refusal(&link));
    }

    #[test]
    fn a_secret_that_is_not_a_regular_file_is_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        for path in [fifo.as_path(), dir.path(), Path::new("/dev/zero")] {
            assert!(refusal(path).contains("expected a regular file"), "{}", refusal(path));
        }
    }
}
