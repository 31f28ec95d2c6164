//! Flags that are set by environment variables. An empty variable counts as unset, and errors name the variable.

use crate::cli::Cli;
use clap::{Arg, Command, CommandFactory, FromArgMatches, builder::Resettable};
use std::{env, ffi::OsString};

/// The environment variables that set flags of the current command.
#[derive(Debug)]
pub struct Environment {
    /// The flag as clap's messages write it, the flag alone, and the variable.
    names: Vec<[String; 3]>,
}

impl Environment {
    /// Parses the command line, or exits with clap's message.
    pub fn parse() -> (Cli, Self) {
        let typed: Vec<OsString> = env::args_os().collect();
        let mut command = without_empty(Cli::command());
        // Without this call, clap's arguments are incomplete and cannot be displayed.
        command.build();
        let environment = Self { names: in_effect(&command, &typed) };
        let parsed = command.try_get_matches_from(typed).and_then(|matches| Cli::from_arg_matches(&matches));
        match parsed {
            Ok(cli) => (cli, environment),
            Err(error) if error.use_stderr() => {
                eprint!("{}", environment.rename(&error.render().to_string()));
                std::process::exit(error.exit_code());
            }
            Err(error) => error.exit(),
        }
    }

    /// Returns the message with variables in place of the flags that they set.
    pub fn rename(&self, message: &str) -> String {
        self.names.iter().fold(message.to_owned(), |message, [shown, flag, variable]| {
            let message = message.replace(shown, variable);
            let mut parts = message.split(flag.as_str());
            let first = parts.next().unwrap_or_default().to_owned();
            parts.fold(first, |message, rest| {
                // The flag must end here: `--metrics-listen-later` is another flag than `--metrics-listen`.
                let longer = rest.starts_with(|next: char| next == '-' || next.is_ascii_alphanumeric());
                message + if longer { flag } else { variable } + rest
            })
        })
    }
}

/// Returns the command without empty environment variables.
fn without_empty(command: Command) -> Command {
    let is_empty = |arg: &Arg| arg.get_env().and_then(env::var_os).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| if is_empty(&arg) { arg.env(Resettable::Reset) } else { arg })
        .mut_subcommands(without_empty)
}

/// Returns the flags of the chosen command that a variable sets.
fn in_effect(command: &Command, typed: &[OsString]) -> Vec<[String; 3]> {
    let is_typed = |flag: &str| {
        typed.iter().filter_map(|word| word.to_str()).any(|word| word.split('=').next() == Some(flag))
    };
    let subcommand =
        command.get_subcommands().find(|sub| typed.get(1).is_some_and(|word| word == sub.get_name()));
    let args = subcommand.into_iter().flat_map(Command::get_arguments);
    args.filter_map(|arg| {
        let variable = arg.get_env().filter(|variable| env::var_os(variable).is_some())?;
        let flag = format!("--{}", arg.get_long()?);
        (!is_typed(&flag)).then(|| [arg.to_string(), flag, variable.to_string_lossy().into_owned()])
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_flags_set_by_a_variable_are_renamed_in_messages() {
        let names =
            vec![["--listen <LISTEN>".to_owned(), "--listen".to_owned(), "INFERENCE_LISTEN".to_owned()]];
        let environment = Environment { names };
        for (message, expected) in [
            (
                "invalid value 'x' for '--listen <LISTEN>': bad",
                "invalid value 'x' for 'INFERENCE_LISTEN': bad",
            ),
            ("--listen 127.0.0.1:1: in use", "INFERENCE_LISTEN 127.0.0.1:1: in use"),
            ("--listen-twice --listen", "--listen-twice INFERENCE_LISTEN"),
            ("--metrics-listen 1", "--metrics-listen 1"),
        ] {
            assert_eq!(environment.rename(message), expected);
        }
    }
}
