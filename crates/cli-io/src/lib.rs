//! What every command-line program of the workspace does with files, terminals and the machine's limits, in one place.
//!
//! Layout:
//! - [`clock`]: checks that the system clock shows a time that can be written down
//! - [`descriptors`]: checks the limit on open descriptors, and raises it
//! - [`file_kind`]: what a file seems to be that cannot be read
//! - [`output_file`]: writes a result to the path that the user named
//! - [`printable`]: makes foreign text safe to print
//! - [`stdout`]: writes to standard output
//!
//! What does not belong here: anything that knows what the text or the file is about.

pub mod clock;
pub mod descriptors;
pub mod file_kind;
pub mod output_file;
pub mod printable;
pub mod stdout;
