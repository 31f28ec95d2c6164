//! Writes a result to the path that the user named.
//!
//! - A regular file is replaced as a whole: the content goes to a temporary file beside it, which is renamed once it is on
//!   the disk. So a reader sees either the former content or all of the new one, and the former one stays after an error.
//!   Symbolic links are followed, and an existing file keeps its mode, owner and group. Other hard links to the file keep
//!   the former content.
//! - Pipes, devices and open descriptors (`/dev/stdout`, `>(command)`) are written through.
//! - An existing file that can be written but not replaced is written in place. This is so if its folder is read-only, if
//!   the file is a mount of its own, as in a container, or if a replacement could not have its owner, group or access
//!   control list. Such a write is not atomic; if it fails, the error says that the file may be incomplete.

use anyhow::{Context, Result, anyhow, bail};
use rustix::fs::fgetxattr_query;
use std::{
    ffi::OsStr,
    fs::{self, File, Permissions},
    io::{self, ErrorKind, IsTerminal, Write},
    os::{
        fd::AsFd,
        unix::{
            ffi::OsStrExt,
            fs::{FileTypeExt, MetadataExt, PermissionsExt, fchown},
        },
    },
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// The most symbolic links that are followed, as many as Linux follows.
const MAX_LINKS: usize = 40;

/// An output that has been checked but not written. The path is checked before the work, which may take minutes.
#[derive(Debug)]
pub struct OutputFile {
    flag: &'static str,
    path: PathBuf,
    target: Target,
}

#[derive(Debug)]
enum Target {
    /// A regular file: the path at the end of all symbolic links, and the existing file, if any, open for writing.
    Regular { path: PathBuf, former: Option<File> },
    /// A pipe, a device or an open descriptor.
    Stream(File),
}

impl OutputFile {
    /// Checks that `path`, the value of `flag`, can be written, without changing anything there. A FIFO is opened, which waits
    /// for its reader.
    ///
    /// # Errors
    /// If it cannot be written; the error names the flag and the path.
    pub fn new(flag: &'static str, path: &Path) -> Result<Self> {
        let target = find(path)
            .map_err(with_remedy)
            .with_context(|| format!("{flag} {}: cannot be written", path.display()))?;
        Ok(Self { flag, path: path.to_owned(), target })
    }

    /// Writes the whole content. A reader that closes a pipe early is not an error.
    ///
    /// # Errors
    /// If it cannot be written, as on a full disk; the error names the flag and the path.
    pub fn write(self, content: &[u8]) -> Result<()> {
        let Self { flag, path, target } = self;
        let written = match target {
            Target::Stream(mut file) => match file.write_all(content) {
                Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
                _ => Ok(()),
            },
            Target::Regular { path, former } => write_regular(&path, former, content),
        };
        written
            .map_err(with_remedy)
            .with_context(|| format!("{flag} {}: could not be written", path.display()))
    }

    /// Returns whether both are the same regular file, so that writing one would overwrite the other.
    pub fn is_same_file(&self, other: &Self) -> bool {
        match (&self.target, &other.target) {
            (Target::Regular { path: a, .. }, Target::Regular { path: b, .. }) => a == b,
            _ => false,
        }
    }

    /// Returns whether the content goes to the same place as standard output, where nothing else should then be printed. Devices such
    /// as `/dev/null` do not count, because they keep nothing.
    pub fn is_stdout(&self) -> bool {
        let identity = |file: &File| file.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()));
        let is_device =
            |file: &File| file.metadata().is_ok_and(|metadata| metadata.file_type().is_char_device());
        let stdout = || io::stdout().as_fd().try_clone_to_owned().ok().map(File::from);
        match &self.target {
            Target::Stream(file) if is_device(file) && !file.is_terminal() => false,
            Target::Stream(file) => stdout().is_some_and(|stdout| identity(file) == identity(&stdout)),
            Target::Regular { .. } => false,
        }
    }
}

/// Adds a remedy to an error of the operating system.
fn with_remedy(error: anyhow::Error) -> anyhow::Error {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    let remedy = match kind {
        Some(ErrorKind::PermissionDenied) => "give this user the right to write there, or name another path",
        Some(ErrorKind::ReadOnlyFilesystem) => "name a path on a file system that is not read-only",
        Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            "free some space, or name a path elsewhere"
        }
        Some(ErrorKind::NotADirectory) => "a part of the path is a file, not a folder; name another path",
        Some(_) => "name another path",
        None => return error,
    };
    anyhow!("{error:#}; {remedy}")
}

fn find(path: &Path) -> Result<Target> {
    if path.is_dir() || path.as_os_str().as_bytes().ends_with(b"/") {
        bail!("it is a folder; name a file in it");
    }
    let place = behind_links(path)?;
    if place.starts_with("/proc") {
        return Ok(Target::Stream(descriptor(&place)?));
    }
    let former = match File::options().write(true).open(&place) {
        Ok(file) if !file.metadata()?.is_file() => return Ok(Target::Stream(file)),
        Ok(file) => Some(file),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Only an attempt shows whether a file can be created in this folder. It is removed at once.
            temporary(&place, None)?;
            None
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Target::Regular { path: place, former })
}

/// Returns the path at the end of all symbolic links; there need not be a file. The links in `/proc` that stand for open
/// descriptors are not followed, because their targets are often not paths, as with pipes.
fn behind_links(path: &Path) -> Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let name =
            path.file_name().ok_or_else(|| anyhow!("the path does not name a file; give one that does"))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder.canonicalize().map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                anyhow!("the folder {} does not exist; create it first", folder.display())
            }
            _ => anyhow::Error::from(error).context(format!("folder {}", folder.display())),
        })?;
        let place = folder.join(name);
        match fs::read_link(&place) {
            Ok(link) if !folder.starts_with("/proc") => path = folder.join(link),
            _ => return Ok(place),
        }
    }
    bail!(
        "the path leads through more than {MAX_LINKS} symbolic links, perhaps in a circle; name the file itself"
    )
}

/// Opens a path in `/proc` that stands for an open descriptor. The content of a regular file is kept, because it may be
/// earlier output of the same command; a shell that redirects output with `>` has truncated the file before.
fn descriptor(place: &Path) -> io::Result<File> {
    let own = Path::new("/proc/self/fd").canonicalize().ok();
    let name = place.file_name().filter(|_| place.parent() == own.as_deref()).map(OsStr::as_bytes);
    // A duplicated descriptor shares its position in the file, so later output does not overwrite this output.
    match name {
        Some(b"1") => io::stdout().as_fd().try_clone_to_owned().map(File::from),
        Some(b"2") => io::stderr().as_fd().try_clone_to_owned().map(File::from),
        _ => File::options().append(true).open(place),
    }
}

fn write_regular(path: &Path, former: Option<File>, content: &[u8]) -> Result<()> {
    match (replace(path, former.as_ref(), content), former) {
        (Err(Problem::Irreplaceable(_)), Some(former)) => write_in_place(former, content)
            .context("the file cannot be replaced and was written in place, so it may be incomplete"),
        (Err(Problem::Irreplaceable(error) | Problem::Other(error)), _) => Err(error.into()),
        (Ok(()), _) => Ok(()),
    }
}

enum Problem {
    /// The file cannot be replaced, but it may be possible to write it in place.
    Irreplaceable(io::Error),
    /// Writing in place would fail as well, and lose the former content.
    Other(io::Error),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            // The file is a mount point.
            | ErrorKind::ResourceBusy
            // The owner has no number in this user namespace, as in some containers.
            | ErrorKind::InvalidInput => Self::Irreplaceable(error),
            _ => Self::Other(error),
        }
    }
}

fn replace(path: &Path, former: Option<&File>, content: &[u8]) -> Result<(), Problem> {
    let mut file = temporary(path, former)?;
    file.write_all(content).and_then(|()| file.as_file().sync_all()).map_err(Problem::Other)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Creates an empty file beside `path` with the mode, owner and group of `former`. Without a former file, the umask decides
/// who may read it. The file is deleted when the result is dropped.
fn temporary(path: &Path, former: Option<&File>) -> io::Result<NamedTempFile> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut builder = tempfile::Builder::new();
    let Some(former) = former else {
        return builder.permissions(Permissions::from_mode(0o666)).tempfile_in(folder);
    };
    if fgetxattr_query(former, "system.posix_acl_access").is_ok() {
        // A file with an access control list. The group bits of its mode are the upper bound of what the list grants, so they
        // must not be copied to a file without the list.
        return Err(ErrorKind::PermissionDenied.into());
    }
    let (file, former) = (builder.tempfile_in(folder)?, former.metadata()?);
    let own = file.as_file().metadata()?;
    if (own.uid(), own.gid()) != (former.uid(), former.gid()) {
        fchown(file.as_file(), Some(former.uid()), Some(former.gid()))?;
    }
    // The mode is set after the owner, because a change of owner clears the set-user-ID bits.
    file.as_file().set_permissions(former.permissions())?;
    Ok(file)
}

fn write_in_place(mut file: File, content: &[u8]) -> io::Result<()> {
    file.write_all(content)?;
    file.set_len(content.len() as u64)?;
    file.sync_all()
}
