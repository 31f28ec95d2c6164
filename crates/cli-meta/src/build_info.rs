//! The version, commit and target of this build. All programs of the workspace have the same version.

/// The version of the workspace.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The hash of the commit that was checked out when the program was built, or `unknown`. Changes that were not committed do not show.
pub const COMMIT: &str = env!("BUILD_COMMIT");

/// The target that the program was compiled for, such as `x86_64-unknown-linux-gnu`.
pub const TARGET: &str = env!("BUILD_TARGET");

/// What `--version` prints after the name of the program; `-V` prints the version only.
pub const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit: ",
    env!("BUILD_COMMIT"),
    "\ntarget: ",
    env!("BUILD_TARGET")
);

/// The values of the labels `version`, `commit` and `target` of a metric `…_build_info`.
pub const LABEL_VALUES: [&str; 3] = [VERSION, COMMIT, TARGET];
