//! stub
#![allow(missing_docs)]
use crate::{refusal::Refusal, rows::{ParsedRows, frames, tensors::InferRequest}};
use model::{ModelCard, ModelFile, Output};
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol { Native, OipV2, V1, Mlflow }
#[derive(Debug)]
pub struct Reader { card: ModelCard }
impl Reader {
    pub fn new(file: &ModelFile) -> anyhow::Result<Self> { Ok(Self { card: file.card.clone() }) }
    pub fn card(&self) -> &ModelCard { &self.card }
    pub fn rows(&self, p: Protocol, _: Option<&str>, h: Option<usize>, body: &[u8]) -> Result<ParsedRows, Refusal> {
        match p { Protocol::OipV2 => InferRequest::parse(body, h, &self.card)?.rows(&self.card), Protocol::V1 => frames::instances(body, &self.card), Protocol::Mlflow => frames::dataframe(body, &self.card), Protocol::Native => ParsedRows::parse(body, &self.card) }
    }
    pub fn outputs(&self, _: Protocol, _: Option<usize>, _: &[u8]) -> Result<Vec<Output>, String> { Err("stub".into()) }
}
