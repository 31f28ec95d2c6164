//! Files, terminals and limits of the machine, for every command-line program of the workspace.
//!
//! Layout:
//! - [`clock`]: checks that the system clock shows a time from 1970 to 9999
//! - [`denied`]: explains that a file may not be read
//! - [`descriptors`]: checks the limit on open descriptors, and raises it
//! - [`encoding`]: what to do with text that is not UTF-8
//! - [`file_kind`]: guesses the kind of a file that cannot be read as expected
//! - [`output_file`]: writes a result to the path that the user named
//! - [`printable`]: makes foreign text safe to print
//! - [`stdout`]: writes to standard output
//! - [`table_file`]: opens tables, compressed or not
//! - [`table_lines`]: finds the line numbers of records
//!
//! What does not belong here: anything that depends on the meaning of a text or file.

pub mod clock;
pub mod denied;
pub mod descriptors;
pub mod encoding;
pub mod file_kind;
pub mod output_file;
pub mod printable;
pub mod stdout;
pub mod table_file;
pub mod table_lines;
