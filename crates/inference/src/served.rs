//! A model with all that is needed to serve it: its card, its engine, its metrics and its limits.

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

/// A model that was read and is ready to predict.
#[derive(Debug, Clone)]
pub struct LoadedModel {
    /// The model card.
    pub card: ModelCard,
    /// The engine that scores rows.
    pub engine: Arc<dyn Engine>,
}

impl LoadedModel {
    /// Reads the model that the settings name.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read, or if the profile is not of the model.
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
    /// Returns an error if the file is a profile, whose model is in another file.
    pub fn built_in(file: ModelFile) -> Result<Self> {
        let weights = file.weights.context(
            "expected a model, got a profile; give the model with --model, and this file with --profile",
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
    /// The constant texts of its answers.
    pub answers: AnswerTexts,
    /// The limits on one request.
    pub limits: Limits,
    /// The version as it is stored in prediction ids.
    pub version: ModelVersion,
    /// The OpenAPI document.
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
    /// Returns an error if serialisation fails, which does not happen with a model that was read.
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
