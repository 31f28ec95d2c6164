//! Models: schema, training table, weights, and the reference that traffic is compared with.
//!
//! Layout:
//! - [`table`], [`csv_table`], [`iris`]: training rows
//! - [`mod@train`], `split`, `fitted`, [`logistic`], [`calibration`]: from a table to a model
//! - `reference`: the distributions that traffic should have
//! - [`card`], [`file`](mod@file): [`ModelFile`] is the JSON file, [`ModelCard`] its public part
//! - [`shape`]: location and spread of each class, and a row's distance to the nearest one
//! - [`classifier`]: a model that is ready to predict
//!
//! What does not belong here: HTTP, metrics and files. Input is handed in.
//!
//! ```
//! let file = model::train(&model::iris::table(), &model::TrainOptions::new("iris"))?;
//! let classifier = model::Classifier::new(&file);
//! let row = [5.1, 3.5, 1.4, 0.2].map(Some);
//! let prediction = classifier.predict(&row)?;
//! assert_eq!(file.card.classes[prediction.class], "setosa");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod calibration;
pub mod card;
pub mod classifier;
pub mod csv_table;
pub mod file;
mod fitted;
pub mod iris;
pub mod logistic;
mod reference;
pub mod shape;
mod split;
pub mod table;
pub mod train;

pub use calibration::Calibration;
pub use card::{CrossValidation, Feature, ModelCard, Reference, TrainingReport};
pub use classifier::{Classifier, Prediction, TooLarge};
pub use csv_table::{CsvError, read_csv};
pub use file::{FileError, ModelFile};
pub use shape::ClassShape;
pub use table::Table;
pub use train::{TrainError, TrainOptions, train};
