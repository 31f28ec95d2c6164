//! Writes a result to the path that the user named.
