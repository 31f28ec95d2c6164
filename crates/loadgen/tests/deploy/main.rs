//! The manifests for Kubernetes and the Helm chart: what can be checked without a cluster, on the files as they are and, where
//! kubectl and Helm are installed (`just deploy-check`), on what these make of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chart;
mod checks;
mod manifests;
mod objects;
mod rendered;
