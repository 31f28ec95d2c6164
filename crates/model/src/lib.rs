//! Models: schema, training table, weights, and the reference that traffic is compared with.
//!
//! Layout:
//! - [`table`], [`csv_table`], [`iris`]: training rows
//! - [`encoding`], `design`: encode rows for the weights
//! - [`mod@train`], `split`, [`logistic`], [`calibration`], `scores`: train a model on a table
//! - [`mod@profile`]: the card of a model that was trained elsewhere
//! - `rarity`: corrects for categories that are frequent by chance
//! - `reference`: the distributions that traffic should have
//! - `synthesis`, `pool`, [`simulator`]: synthetic rows like the reference, for traffic
//! - [`card`], [`file`](mod@file): [`ModelFile`] is the JSON file, [`ModelCard`] its public part
//! - [`server`]: how a model server that is not this program is asked
//! - [`shape`]: location and spread of the classes, and a row's distance to the nearest one
//! - [`engine`]: the interface of models; [`predictor`]: scores rows with an engine and measures their distance
//!
//! What does not belong here: HTTP, metrics and access to files. Callers pass the input.
//!
//! ```
//! let file = model::train(&model::iris::table(), &model::TrainOptions::new("iris"))?;
//! let predictor = model::Predictor::built_in(&file).ok_or("the file is a profile")?;
//! let row = [5.1, 3.5, 1.4, 0.2].map(Some);
//! let prediction = predictor.predict_row(&row)?;
//! assert_eq!(prediction.class().map(|class| file.card.classes[class].as_str()), Some("setosa"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod calibration;
pub mod card;
pub mod csv_table;
mod design;
pub mod encoding;
pub mod engine;
pub mod file;
pub mod iris;
pub mod logistic;
mod loss;
mod pool;
pub mod predictor;
mod products;
pub mod profile;
mod rare_categories;
mod rarity;
mod reference;
mod refit;
mod scores;
mod seen_rows;
pub mod server;
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
pub use csv_table::{CsvError, CsvOptions, CsvTable, ReferenceTable, read_csv, read_reference};
pub use encoding::Encoding;
pub use engine::{Batch, BatchRows, Engine, EngineError, OtherCategory, Output, Probabilities, ValueProblem};
pub use file::{FileError, ModelFile};
pub use predictor::{Distances, Prediction, Predictor};
pub use profile::{ProfileError, ProfileInput, Truth, profile, reference_features, reference_signals};
pub use server::{ServerForm, ServerInput, ServerModel, ServerProbabilities, ServerProtocol};
pub use shape::Shape;
pub use simulator::{Pool, Simulator, SimulatorCheck};
pub use table::{Categories, Column, Notation, Table};
pub use train::{Step, TrainError, TrainOptions, train, train_with_progress};
