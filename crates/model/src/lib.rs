//! What a model is: its schema, the table it learns from, its weights, and the reference its traffic is held against.
//!
//! Layout:
//! - [`table`], [`csv_table`], [`iris`]: rows to learn from
//! - [`mod@train`], `split`, `fitted`, [`logistic`], [`calibration`]: from a table to a model
//! - `reference`: what its traffic should look like
//! - [`card`], [`file`](mod@file): what is written down; [`ModelFile`] is the JSON file, [`ModelCard`] its public part
//! - [`shape`]: where each class lies, and how far a row is from all of them
//! - [`classifier`]: a model ready to answer
//!
//! What does not belong here: HTTP, metrics, and any I/O that was not handed in.
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
