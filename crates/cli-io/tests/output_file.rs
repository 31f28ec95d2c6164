//! Output files on a real file system.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cli_io::output_file::OutputFile;
use rustix::{
    fs::{CWD, Mode, XattrFlags, getxattr, mkfifoat, setxattr},
    thread::{CapabilitySet, capabilities, set_capabilities},
};
use std::{
    ffi::OsString,
    fs::{self, File, Permissions},
    io::Read,
    os::{
        fd::AsRawFd,
        unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink},
    },
    path::Path,
    thread,
};
use tempfile::TempDir;

fn write(path: &Path, content: &str) -> Result<(), String> {
    OutputFile::new("--out", path)
        .and_then(|file| file.write(content.as_bytes()))
        .map_err(|error| format!("{error:#}"))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn names(folder: &TempDir) -> Vec<OsString> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

/// Runs `test` in a thread to which the modes and owners of files apply, even if the tests run as root.
fn without_privileges(test: impl FnOnce() + Send) {
    let run = || {
        let mut sets = capabilities(None).unwrap();
        sets.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::CHOWN | CapabilitySet::FOWNER;
        set_capabilities(None, sets).unwrap();
        test();
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap());
}

#[test]
fn a_new_file_has_the_mode_that_the_umask_leaves() {
    let folder = TempDir::new().unwrap();
    let (ours, usual) = (folder.path().join("ours"), folder.path().join("usual"));
    write(&ours, "new").unwrap();
    File::create(&usual).unwrap();
    assert_eq!(fs::read_to_string(&ours).unwrap(), "new");
    assert_eq!(mode(&ours), mode(&usual));
    assert_eq!(names(&folder), ["ours", "usual"]);
}

#[test]
fn an_existing_file_is_replaced_and_keeps_its_mode_and_owner() {
    const FORMER: &str = "a former content that is longer";
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.json");
    for kept in [0o640, 0o600, 0o664] {
        fs::write(&path, FORMER).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(kept)).unwrap();
        // Only root may change the owner of a file.
        let given = chown(&path, Some(12_345), Some(54_321)).is_ok();
        let former = fs::metadata(&path).unwrap();
        let mut reader = File::open(&path).unwrap();
        write(&path, "new").unwrap();
        let replaced = fs::metadata(&path).unwrap();
        assert_eq!((mode(&path), replaced.uid(), replaced.gid()), (kept, former.uid(), former.gid()));
        assert_eq!(given, replaced.uid() == 12_345);
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, FORMER, "an open reader still sees the former content");
    }
    assert_eq!(names(&folder), ["model.json"]);
}

#[test]
fn symbolic_links_are_followed_and_not_replaced() {
    let (folder, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let target = elsewhere.path().join("v1.json");
    fs::write(&target, "old").unwrap();
    symlink(&target, folder.path().join("current")).unwrap();
    symlink("current", folder.path().join("latest")).unwrap();
    symlink(elsewhere.path().join("v2.json"), folder.path().join("dangling")).unwrap();
    write(&folder.path().join("latest"), "new").unwrap();
    write(&folder.path().join("dangling"), "made").unwrap();
    for link in ["current", "latest", "dangling"] {
        assert!(fs::symlink_metadata(folder.path().join(link)).unwrap().is_symlink(), "{link}");
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "new");
    assert_eq!(fs::read_to_string(elsewhere.path().join("v2.json")).unwrap(), "made");
    assert_eq!(names(&elsewhere), ["v1.json", "v2.json"]);
    symlink("loop", folder.path().join("loop")).unwrap();
    assert!(write(&folder.path().join("loop"), "x").unwrap_err().contains("symbolic links"));
}

#[test]
fn content_is_written_to_a_pipe() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pipe");
    mkfifoat(CWD, &path, Mode::from(0o600)).unwrap();
    let reader = thread::spawn({
        let path = path.clone();
        move || fs::read_to_string(path).unwrap()
    });
    write(&path, "through").unwrap();
    assert_eq!(reader.join().unwrap(), "through");
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_fifo());
    assert_eq!(names(&folder), ["pipe"]);
}

/// The shell's `>(command)` gives such a path, and /dev/stdout and /dev/fd/N are links to such paths.
#[test]
fn content_is_written_to_an_open_descriptor() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    write(Path::new(&format!("/dev/fd/{}", writer.as_raw_fd())), "piped").unwrap();
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "piped");

    let folder = TempDir::new().unwrap();
    let path = folder.path().join("redirected");
    let file = File::create(&path).unwrap();
    let inode = file.metadata().unwrap().ino();
    for _ in 0..2 {
        write(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())), "line\n").unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "line\nline\n");
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
}

#[test]
fn a_pipe_that_is_closed_early_is_not_an_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    let path = format!("/dev/fd/{}", writer.as_raw_fd());
    let file = OutputFile::new("--out", Path::new(&path)).unwrap();
    drop(reader);
    file.write(b"unread").unwrap();
}

#[test]
fn a_file_in_a_read_only_folder_is_written_in_place() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.json");
    fs::write(&path, "a former content that is longer").unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    fs::set_permissions(&folder, Permissions::from_mode(0o555)).unwrap();
    without_privileges(|| {
        write(&path, "new").unwrap();
        let error = write(&folder.path().join("other"), "x").unwrap_err();
        assert!(error.contains("other: cannot be written: Permission denied"), "{error}");
        assert!(
            error.ends_with("; give this user the right to write there, or name another path"),
            "{error}"
        );
        fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
        assert!(write(&path, "x").unwrap_err().contains("Permission denied"));
    });
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    assert_eq!(names(&folder), ["model.json"]);
}

/// The group bits of such a file's mode are the upper bound of what the list grants. If they were copied without the list,
/// the group would get these rights.
#[test]
fn a_file_with_an_access_control_list_keeps_it() {
    const LIST: &str = "system.posix_acl_access";
    const ANY: u32 = u32::MAX;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.json");
    fs::write(&path, "old").unwrap();
    // The layout of Linux' posix_acl_xattr.h: the version, then tag, rights and id of each entry. The entries are the
    // owner, one user, the group, the upper bound for both, and others.
    let entries: [(u16, u16, u32); 5] =
        [(1, 6, ANY), (2, 6, 12_345), (4, 0, ANY), (16, 6, ANY), (32, 0, ANY)];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        list.extend(tag.to_le_bytes().into_iter().chain(rights.to_le_bytes()).chain(id.to_le_bytes()));
    }
    if let Err(error) = setxattr(&path, LIST, &list, XattrFlags::empty()) {
        eprintln!("not checked: this file system has no access control lists ({error})");
        return;
    }
    write(&path, "new").unwrap();
    let mut kept = [0; 64];
    let length = getxattr(&path, LIST, &mut kept[..]).unwrap();
    assert_eq!(&kept[..length], list);
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
}

#[test]
fn an_error_names_flag_path_and_remedy_and_creates_no_file() {
    let folder = TempDir::new().unwrap();
    for (path, expected) in [
        ("", "it is a folder; name a file in it"),
        ("missing/", "it is a folder; name a file in it"),
        ("missing/model.json", "does not exist; create it first"),
    ] {
        let path = folder.path().join(path);
        let error = write(&path, "x").unwrap_err();
        assert!(error.starts_with(&format!("--out {}: cannot be written: ", path.display())), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    // Checked, but never written.
    drop(OutputFile::new("--out", &folder.path().join("model.json")).unwrap());
    assert_eq!(names(&folder), [] as [&str; 0]);
    let error = write(Path::new("/dev/full"), "x").unwrap_err();
    assert!(error.starts_with("--out /dev/full: could not be written: No space left"), "{error}");
    assert!(error.ends_with("; free some space, or name a path elsewhere"), "{error}");
}

#[test]
fn two_paths_to_one_file_are_recognised() {
    let folder = TempDir::new().unwrap();
    let output = |name: &str| OutputFile::new("--out", &folder.path().join(name)).unwrap();
    symlink("a", folder.path().join("link")).unwrap();
    assert!(output("a").is_same_file(&output("link")));
    assert!(!output("a").is_same_file(&output("b")));
    let null = || OutputFile::new("--out", Path::new("/dev/null")).unwrap();
    assert!(!null().is_same_file(&null()));
}
