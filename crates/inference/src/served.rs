//! One model as the service serves it: its card, what predicts, and what follows from both.

use crate::{
    Settings,
    api::{answer::AnswerTexts, limits::Limits},
    external, load_model,
    metrics::{Metrics, ModelMetrics},
    receipt::ModelVersion,
};
use actix_web::web::Bytes;
use anyhow::{Context, Result};
use model::{Engine, ModelCard, ModelFile, Predictor, engine::Linear};
use std::{ops::Deref, path::Path, sync::Arc};

/// A model that was read and can predict.
#[derive(Debug, Clone)]
pub struct LoadedModel {
    /// The model card.
    pub card: ModelCard,
    /// What predicts.
    pub engine: Arc<dyn Engine>,
}

impl LoadedModel {
    /// Reads the model that the settings name.
    ///
    /// # Errors
    /// If a file cannot be read, or the model and its profile do not fit together.
    pub fn load(settings: &Settings) -> Result<Self> {
        match (&settings.model, &settings.profile) {
            (Some(model), Some(profile)) => external::load(model, profile, settings),
            (model, _) => {
                let place = || format!("--model {}", model.as_deref().unwrap_or(Path::new("")).display());
                Self::built_in(load_model(model.as_deref())?).with_context(place)
            }
        }
    }

    /// Returns the model of a file that holds its weights.
    ///
    /// # Errors
    /// If the file is a profile, whose model is another file.
    pub fn built_in(file: ModelFile) -> Result<Self> {
        let weights = file.weights.context(
            "is a profile, which describes the model of another file: give that with --model, and this with --profile",
        )?;
        Ok(Self { engine: Arc::new(Linear::new(&file.card.features, weights)), card: file.card })
    }
}

/// The parts of a model that feedback needs, kept after the model is replaced.
pub struct Described {
    /// The model card.
    pub card: ModelCard,
    /// The metrics of this model.
    pub metrics: ModelMetrics,
}

/// A model being served.
pub struct Served {
    /// The card and the metrics.
    pub described: Arc<Described>,
    /// The model card as JSON.
    pub card_json: Bytes,
    /// Scores rows and measures their distance.
    pub predictor: Predictor,
    /// The texts of its answers.
    pub answers: AnswerTexts,
    /// The limits on one request.
    pub limits: Limits,
    /// The version, as prediction ids carry it.
    pub version: ModelVersion,
    /// The document that describes the HTTP interface.
    pub openapi: Bytes,
}

impl Deref for Served {
    type Target = Described;

    fn deref(&self) -> &Described {
        &self.described
    }
}

impl Served {
    /// Prepares a model for service and registers its metrics.
    ///
    /// # Errors
    /// If serde fails, which it does not for a model that was read.
    pub fn new(settings: &Settings, metrics: &Metrics, model: LoadedModel) -> Result<Self> {
        let LoadedModel { card, engine } = model;
        Ok(Self {
            card_json: serde_json::to_vec(&card)?.into(),
            predictor: Predictor::new(engine, &card.features, &card.reference.shape),
            answers: AnswerTexts::new(&card),
            limits: Limits::new(settings, &card),
            version: ModelVersion::new(&card.version),
            openapi: crate::api::openapi_document(&card)?,
            described: Arc::new(Described {
                metrics: metrics.of_model(&card, &settings.false_alarm_budget()),
                card,
            }),
        })
    }
}
