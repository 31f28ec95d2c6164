//! Writes manual pages.

use anyhow::{Context, Result};
use clap::{Command, builder::Resettable};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The arguments of a command that writes manual pages. The command is hidden, because only the recipe that makes packages needs it.
#[derive(Debug, clap::Args)]
pub struct ManPages {
    /// Folder for the pages
    folder: PathBuf,
}

impl ManPages {
    /// Writes a page for a program and one for each of its commands.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, program: Command) -> Result<()> {
        write_pages(program, &self.folder)
    }
}

/// Writes a page for a program and one for each of its commands, and creates the folder if necessary.
///
/// # Errors
/// If a file cannot be written.
pub fn write_pages(program: Command, folder: &Path) -> Result<()> {
    // The pages of two builds of a version are the same.
    let program = program.long_version(Resettable::Reset);
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(program, folder))
        .with_context(|| format!("cannot write manual pages to {}", folder.display()))
}
