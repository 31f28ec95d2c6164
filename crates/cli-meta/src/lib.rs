//! Version, completion scripts, manual pages and shared flags, for every command-line program of the workspace.
//!
//! Layout:
//! - [`build_info`]: the version, commit and target of this build
//! - [`column_flags`]: flags for the types of a table's columns
//! - [`completions`]: completion scripts for shells
//! - [`man_pages`]: manual pages
//!
//! Only programs depend on this crate, because it may be compiled again after each commit: see its build script.

pub mod build_info;
pub mod column_flags;
pub mod completions;
pub mod man_pages;

pub use build_info::LONG_VERSION;
pub use column_flags::ColumnFlags;
pub use completions::Completions;
pub use man_pages::ManPages;
