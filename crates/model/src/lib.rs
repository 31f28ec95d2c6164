//! Models: schema, training table, weights, and the reference that traffic is compared with.
//!
//! Layout:
//! - [`table`], [`csv_table`], [`iris`]: training rows
//! - [`encoding`], `design`: rows as the columns that weights work on
//! - [`mod@train`], `split`, [`logistic`], [`calibration`], `scores`: from a table to a model
//! - `rarity`: corrects for categories that are frequent by chance
//! - `reference`: the distributions that traffic should have
//! - `synthesis`, `pool`, [`simulator`]: synthetic rows like the reference, for traffic
//! - [`card`], [`file`](mod@file): [`ModelFile`] is the JSON file, [`ModelCard`] its public part
//! - [`shape`]: location and spread of the classes, and a row's distance to the nearest one
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
mod design;
pub mod encoding;
pub mod file;
pub mod iris;
pub mod logistic;
mod pool;
mod rarity;
mod reference;
mod scores;
pub mod shape;
pub mod simulator;
mod split;
mod synthesis;
pub mod table;
pub mod train;

pub use calibration::Calibration;
pub use card::{
    Categorical, ClassScore, CrossValidation, Feature, ModelCard, Numeric, Reference, TrainingReport, Values,
};
pub use classifier::{Classifier, Prediction, TooLarge};
pub use csv_table::{CsvError, CsvOptions, CsvTable, read_csv};
pub use encoding::Encoding;
pub use file::{FileError, ModelFile};
pub use shape::Shape;
pub use simulator::{Pool, Simulator, SimulatorCheck};
pub use table::{Categories, Column, Notation, Table};
pub use train::{Step, TrainError, TrainOptions, train, train_with_progress};
