//! Files that a report goes to. They are opened before the run: minutes of load are not to end in a file that can't be
//! written.

use anyhow::Context;
use std::{
    fs::{File, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// A file that takes its place when it is complete; until then an earlier report stays.
pub struct OutputFile {
    flag: &'static str,
    path: PathBuf,
    place: Place,
}

enum Place {
    Beside(NamedTempFile),
    /// Not a regular file, such as /dev/stdout: nothing can take its place.
    Device(File),
}

impl OutputFile {
    /// Opens what `flag` names.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn new(flag: &'static str, path: &Path) -> anyhow::Result<Self> {
        let problem = || format!("{flag} {}: cannot be written", path.display());
        let place = if path.exists() && !path.is_file() {
            Place::Device(File::options().write(true).open(path).with_context(problem)?)
        } else {
            let folder =
                path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let mut builder = tempfile::Builder::new();
            // Not private: reports are there to be read.
            let file = builder.permissions(Permissions::from_mode(0o644)).tempfile_in(folder);
            Place::Beside(file.with_context(problem)?)
        };
        Ok(Self { flag, path: path.to_owned(), place })
    }

    /// Writes the whole of it.
    ///
    /// # Errors
    /// When it can't be written, as on a full disk; an earlier report then stays.
    pub fn write(self, content: &[u8]) -> anyhow::Result<()> {
        let problem = format!("{} {}: the report could not be written", self.flag, self.path.display());
        match self.place {
            Place::Beside(mut file) => file
                .write_all(content)
                .map_err(anyhow::Error::from)
                .and_then(|()| Ok(file.persist(&self.path).map(drop)?)),
            Place::Device(mut file) => file.write_all(content).map_err(Into::into),
        }
        .context(problem)
    }
}
