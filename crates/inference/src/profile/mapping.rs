//! The flags that match the columns of a server's requests with features, and the fields of its answers with outputs.

use super::classes::listed;
use crate::foreign::Wanted;
use anyhow::{Result, bail, ensure};
use model::{Feature, ServerInput};

/// Flags about the names that a model server uses.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Requests and answers of a model server")]
pub(super) struct MappingArgs {
    /// Columns of the server's requests, in its order, as NAME=FEATURE, or NAME if the feature has the same name; by default the
    /// columns of the table
    #[arg(long, value_name = "NAME=FEATURE", value_delimiter = ',')]
    inputs: Vec<String>,
    /// Name of the tensor, if the server takes all columns in one; with native, name of the field that contains the rows
    #[arg(long, value_name = "NAME")]
    pub(super) tensor: Option<String>,
    /// Output or field of the server's answers that has the prediction
    #[arg(long, value_name = "NAME")]
    pub(super) output: Option<String>,
    /// Output or field of the server's answers that has the probabilities; with oip-v2, it is also named in requests
    #[arg(long, value_name = "NAME")]
    pub(super) probabilities_output: Option<String>,
}

impl MappingArgs {
    /// Returns whether a flag describes a server.
    pub(super) fn is_given(&self) -> bool {
        !self.inputs.is_empty()
            || [&self.tensor, &self.output, &self.probabilities_output].iter().any(|flag| flag.is_some())
    }

    /// Returns the columns of requests.
    ///
    /// # Errors
    /// Returns an error if there is not exactly one column per feature.
    pub(super) fn inputs(&self, features: &[Feature]) -> Result<Vec<ServerInput>> {
        let names: Vec<String> = features.iter().map(|feature| feature.name.clone()).collect();
        if self.inputs.is_empty() {
            return Ok(names.into_iter().map(|name| ServerInput { feature: name.clone(), name }).collect());
        }
        let mut inputs: Vec<ServerInput> = Vec::new();
        for text in &self.inputs {
            let (name, feature) = match text.split_once('=') {
                Some(pair) if !names.contains(text) => pair,
                _ => (text.as_str(), text.as_str()),
            };
            ensure!(
                names.iter().any(|own| own == feature),
                "--inputs {text}: the table has no column {feature:?}, only {}",
                listed(&names)
            );
            ensure!(!name.is_empty(), "--inputs {text}: has no name; write NAME=FEATURE");
            if inputs.iter().any(|own| own.name == name || own.feature == feature) {
                bail!("--inputs {text}: the name or the feature is given twice; name each once");
            }
            inputs.push(ServerInput { name: name.to_owned(), feature: feature.to_owned() });
        }
        let absent: Vec<&String> =
            names.iter().filter(|name| !inputs.iter().any(|own| own.feature == **name)).collect();
        ensure!(
            absent.is_empty(),
            "--inputs: has no name for {}; name all columns, in the order of the server, or leave columns that it does not take out of the \
             table with --drop",
            listed(absent)
        );
        Ok(inputs)
    }

    /// Returns the fields that answers are searched for.
    pub(super) fn wanted(&self, number: bool) -> Wanted<'_> {
        let (output, probabilities) = (self.output.as_deref(), self.probabilities_output.as_deref());
        Wanted { output, probabilities, number }
    }
}
