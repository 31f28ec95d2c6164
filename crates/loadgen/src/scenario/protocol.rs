//! Defines the protocols of prediction requests, and checks the fields of a payload that belong to one of them.
//!
//! What does not belong here: the bodies of requests ([`crate::plan`]) and the check of answers ([`crate::engine`]).

use super::{
    Scenario, Source,
    check::Problems,
    raw_payload::{RawDatatype, RawPayload, RawProtocol, RawTensors},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The route for predictions of the native API.
pub(crate) const NATIVE_PATH: &str = "/predict";

/// The characters of a model's name that are written as `%20` and the like in a path.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The protocol of prediction requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// `{"features": […]}` to `/predict`.
    Native,
    /// The Open Inference Protocol v2 of MLServer, Triton and KServe: tensors to `/v2/models/NAME/infer`.
    OipV2(Tensors),
    /// TensorFlow Serving and KServe V1: `{"instances": [[…]]}` to `/v1/models/NAME:predict`.
    V1,
    /// MLflow: `{"dataframe_split": {…}}` to `/invocations`.
    Mlflow,
}

/// How a row is written as tensors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tensors {
    /// The name of a single tensor with all features; `None` for one tensor per feature.
    pub matrix: Option<String>,
    /// The datatype of numbers.
    pub datatype: Datatype,
    /// The outputs that are requested; empty for the server's default ones.
    pub outputs: Vec<String>,
}

/// The datatype of a tensor of numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Datatype {
    /// 32 bits.
    Fp32,
    /// 64 bits.
    #[default]
    Fp64,
}

impl Datatype {
    /// Returns the name in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
        }
    }
}

impl Protocol {
    /// Returns the usual path of requests, for a model called `model`. The metrics of a watcher name this route even if the server has
    /// another path.
    pub fn usual_path(&self) -> &'static str {
        match self {
            Self::Native => NATIVE_PATH,
            Self::OipV2(_) => "/v2/models/model/infer",
            Self::V1 => "/v1/models/model:predict",
            Self::Mlflow => "/invocations",
        }
    }

    /// Returns the name that scenarios use.
    pub fn name(&self) -> &'static str {
        name(match self {
            Self::Native => RawProtocol::Native,
            Self::OipV2(_) => RawProtocol::OipV2,
            Self::V1 => RawProtocol::V1,
            Self::Mlflow => RawProtocol::Mlflow,
        })
    }
}

fn name(raw: RawProtocol) -> &'static str {
    match raw {
        RawProtocol::Native => "native",
        RawProtocol::OipV2 => "oip-v2",
        RawProtocol::V1 => "v1",
        RawProtocol::Mlflow => "mlflow",
    }
}

/// Returns the protocol and the path of a payload. The protocol is `None` if the payload does not ask for predictions.
pub(super) fn protocol(
    payload: &str,
    raw: &RawPayload,
    problems: &mut Problems,
) -> (Option<Protocol>, String) {
    let place = |field: &str| format!("payloads.{payload}.{field}");
    let sends_rows = raw.source.fixed.is_none();
    let kind = raw.protocol.unwrap_or(RawProtocol::Native);
    if let (None, true, Some(path)) = (raw.protocol, sends_rows, &raw.path)
        && let Some(other) = protocol_of(path)
    {
        let other = name(other);
        problems.add(
            place("path"),
            format!("is a path of {other}, but the bodies are native; add `protocol: {other}` or `protocol: native`"),
        );
    }
    let path = path(kind, raw.path.as_deref(), raw.model.as_deref());
    let path = problems.keep(&place("model"), path).unwrap_or_else(|| NATIVE_PATH.to_owned());
    if raw.tensors.is_some() && (kind != RawProtocol::OipV2 || !sends_rows) {
        problems.add(
            place("tensors"),
            "is only for rows of `protocol: oip-v2`; remove it, or change the protocol",
        );
    }
    // A fixed body may ask for anything, unless its protocol or its path is that of predictions.
    let is_given = raw.protocol.is_some() || raw.path.as_ref().is_none_or(|path| path == NATIVE_PATH);
    let asks = sends_rows || is_given && raw.method.is_none_or(super::raw_payload::RawMethod::is_post);
    let tensors = tensors(raw.tensors.as_ref(), &place("tensors"), problems);
    (asks.then_some(of_kind(kind, tensors)), path)
}

fn of_kind(kind: RawProtocol, tensors: Tensors) -> Protocol {
    match kind {
        RawProtocol::Native => Protocol::Native,
        RawProtocol::OipV2 => Protocol::OipV2(tensors),
        RawProtocol::V1 => Protocol::V1,
        RawProtocol::Mlflow => Protocol::Mlflow,
    }
}

/// Returns whether the paths of a protocol name the model.
fn names_model(kind: RawProtocol) -> bool {
    matches!(kind, RawProtocol::OipV2 | RawProtocol::V1)
}

impl Scenario {
    /// Sends the rows and the malformed requests that would be posted to `/predict` by another protocol, to the model of this name if
    /// its paths name one.
    ///
    /// # Errors
    /// If the name is missing or not needed; the error names the flags of the command line.
    pub fn send_by(&mut self, kind: RawProtocol, model: Option<&str>) -> Result<(), String> {
        let kind_name = name(kind);
        let path = match (names_model(kind), model) {
            (true, None) => {
                return Err(format!(
                    "--protocol {kind_name}: the requests name the model in their path; add --served-model NAME"
                ));
            }
            (false, Some(_)) => {
                return Err(format!(
                    "--served-model: the requests of {kind_name} do not name the model in their path; remove the flag"
                ));
            }
            _ => path(kind, None, model).map_err(|problem| format!("--served-model: {problem}"))?,
        };
        for payload in &mut self.payloads {
            let sends_rows = !matches!(payload.source, Source::Fixed(_));
            if sends_rows && payload.protocol == Some(Protocol::Native) && payload.path == NATIVE_PATH {
                payload.protocol = Some(of_kind(kind, Tensors::default()));
                payload.path.clone_from(&path);
            }
        }
        Ok(())
    }
}

/// Returns the protocol that usually has this path, if it is not the native one.
fn protocol_of(path: &str) -> Option<RawProtocol> {
    let path = path.split('?').next().unwrap_or_default();
    match path {
        _ if path.contains("/v2/models/") && path.ends_with("/infer") => Some(RawProtocol::OipV2),
        _ if path.contains("/v1/models/") && path.ends_with(":predict") => Some(RawProtocol::V1),
        _ if path.ends_with("/invocations") => Some(RawProtocol::Mlflow),
        _ => None,
    }
}

fn path(kind: RawProtocol, path: Option<&str>, model: Option<&str>) -> Result<String, String> {
    let named = names_model(kind);
    match (path, model) {
        (_, Some(_)) if !named => Err(format!(
            "is only for the protocols oip-v2 and v1, whose paths name the model, but the protocol is {}; remove it",
            name(kind)
        )),
        (Some(_), Some(_)) => Err("`path` already names the model; remove one of the two".into()),
        (Some(path), None) => Ok(path.to_owned()),
        (None, None) if named => Err(format!(
            "is missing; requests of {} name the model in their path: add `model: NAME`, or give the whole `path`",
            name(kind)
        )),
        (None, Some(model)) if [".", "..", ""].contains(&model) => {
            Err(format!("must be the name of a model on the server, got {model:?}"))
        }
        (None, model) => {
            let model = utf8_percent_encode(model.unwrap_or_default(), ENCODED);
            Ok(match kind {
                RawProtocol::Native => NATIVE_PATH.into(),
                RawProtocol::OipV2 => format!("/v2/models/{model}/infer"),
                RawProtocol::V1 => format!("/v1/models/{model}:predict"),
                RawProtocol::Mlflow => "/invocations".into(),
            })
        }
    }
}

fn tensors(raw: Option<&RawTensors>, place: &str, problems: &mut Problems) -> Tensors {
    let Some(raw) = raw else { return Tensors::default() };
    if raw.matrix.as_ref().is_some_and(String::is_empty) {
        problems.add(format!("{place}.matrix"), "must be the name of a tensor, got none");
    }
    for (at, _) in raw.outputs.iter().enumerate().filter(|(_, output)| output.is_empty()) {
        problems.add(format!("{place}.outputs[{at}]"), "must be the name of an output, got none");
    }
    let datatype = match raw.datatype {
        Some(RawDatatype::Fp32) => Datatype::Fp32,
        Some(RawDatatype::Fp64) | None => Datatype::Fp64,
    };
    Tensors { matrix: raw.matrix.clone(), datatype, outputs: raw.outputs.clone() }
}
