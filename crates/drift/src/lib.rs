//! Decides from counts whether traffic still follows its reference. Everything here is a pure function of numbers.
//!
//! Rows are counted bin by bin ([`bins`]); counts become shares, beside the shares in the reference ([`shares`]); their distance
//! ([`mod@psi`]; [`companions`] has other distances for display) is compared with the limit for chance ([`critical`]), which gives
//! a [`verdict`] and the smallest drift that could have been detected ([`detectable`]). [`accuracy`] does the same for the accuracy
//! on rows with feedback, and [`error_rise`] for the errors of predicted numbers. Counts are added up over time and over replicas
//! before they come here, so nothing here keeps state.
//!
//! What does not belong here: files, HTTP, metric names, clocks, random numbers.
//!
//! ```
//! use drift::{Bins, FalseAlarmBudget, SignalReference, Verdict, judge};
//!
//! let heights: Vec<Option<f64>> = (0..200).map(|i| Some(150.0 + f64::from(i) / 4.0)).collect();
//! let reference = SignalReference::of_values("height", &heights);
//! let critical = reference.critical_chi2(FalseAlarmBudget::default().alpha(1));
//!
//! let mut counts = vec![0; reference.bins.len()];
//! for giant in 0..100 {
//!     counts[reference.bins.index(Some(260.0 + f64::from(giant)))] += 1;
//! }
//! let judgement = judge(&reference.expected, &counts, reference.rows, critical)?;
//! assert_eq!(judgement.verdict, Verdict::Drifting);
//! # Ok::<(), drift::DriftError>(())
//! ```

pub mod accuracy;
pub mod bins;
pub mod companions;
pub mod critical;
pub mod detectable;
mod error;
pub mod error_rise;
pub mod psi;
pub mod reference;
pub mod shares;
pub mod verdict;

pub use accuracy::{accuracy_estimate, accuracy_gap_limit, wilson};
pub use bins::Bins;
pub use companions::{js_distance, ks_distance};
pub use critical::{FalseAlarmBudget, critical_chi2};
pub use detectable::detectable_psi;
pub use error::DriftError;
pub use error_rise::{ErrorSums, Estimate, ReferenceErrors};
pub use psi::{Psi, psi};
pub use reference::SignalReference;
pub use shares::{Shares, smoothed};
pub use verdict::{Judgement, MIN_ROWS, PRACTICAL_PSI, Verdict, judge};
