//! Explains that a file may not be read.

use anyhow::{Error, anyhow};
use rustix::process::{getegid, geteuid};
use std::io::{self, ErrorKind};

/// Adds to an error of reading a file which user may not read it, and what to do. In a container this is a user that the owner of the
/// file does not know.
pub fn explain(error: io::Error) -> Error {
    if error.kind() != ErrorKind::PermissionDenied {
        return error.into();
    }
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    anyhow!(
        "{error}; this program runs as user {user} and group {group}: let them read the file and enter its folders, or run the \
        program or its container as the owner of the file"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_denied_access_is_explained() {
        let words = |kind: ErrorKind| format!("{:#}", explain(kind.into()));
        let user = geteuid().as_raw();
        assert!(words(ErrorKind::PermissionDenied).contains(&format!("runs as user {user} and group ")));
        assert!(!words(ErrorKind::NotFound).contains("user"));
    }
}
