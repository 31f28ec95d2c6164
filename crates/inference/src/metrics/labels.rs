//! Defines the closed sets of label values other than routes and reasons. No request can cause a label value that is not listed.

/// The standard HTTP methods, and one value for all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodLabel {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// CONNECT
    Connect,
    /// TRACE
    Trace,
    /// Any other
    Other,
}

impl MethodLabel {
    /// Returns the label of a method.
    pub fn of(method: &str) -> Self {
        match method {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            "CONNECT" => Self::Connect,
            "TRACE" => Self::Trace,
            _ => Self::Other,
        }
    }

    /// Returns the label's value.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Connect => "CONNECT",
            Self::Trace => "TRACE",
            Self::Other => "other",
        }
    }
}

/// Why a request for a prediction that passed through the watcher was observed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WatchOutcome {
    /// Its rows and predictions were counted.
    Observed,
    /// The upstream refused it; its rows were counted if they could be read.
    Refused,
    /// The upstream answered with an error, or not at all.
    UpstreamError,
    /// The client or the upstream closed the connection before the answer had passed.
    Aborted,
    /// A fault was injected instead of passing the request on.
    FaultInjected,
    /// Too many requests were waiting to be observed.
    QueueFull,
    /// The copies of other bodies took all the memory for them.
    NoMemory,
    /// A body is larger than the limit.
    TooLarge,
    /// A body has an encoding that the watcher cannot read.
    Encoded,
    /// The rows of the request could not be read.
    NotReadable,
    /// The answer could not be read.
    UnknownShape,
    /// The other half of an event did not come.
    Unpaired,
    /// The watcher failed.
    Internal,
}

impl WatchOutcome {
    /// Every outcome, in the order of declaration.
    pub(super) const ALL: [Self; 13] = [
        Self::Observed,
        Self::Refused,
        Self::UpstreamError,
        Self::Aborted,
        Self::FaultInjected,
        Self::QueueFull,
        Self::NoMemory,
        Self::TooLarge,
        Self::Encoded,
        Self::NotReadable,
        Self::UnknownShape,
        Self::Unpaired,
        Self::Internal,
    ];

    /// Returns the label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::Refused => "refused",
            Self::UpstreamError => "upstream_error",
            Self::Aborted => "aborted",
            Self::FaultInjected => "fault_injected",
            Self::QueueFull => "queue_full",
            Self::NoMemory => "no_memory",
            Self::TooLarge => "too_large",
            Self::Encoded => "encoded",
            Self::NotReadable => "not_readable",
            Self::UnknownShape => "unknown_shape",
            Self::Unpaired => "unpaired",
            Self::Internal => "internal",
        }
    }
}

/// The outcome of reading the model files again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// Another model is served.
    Changed,
    /// The files contain the model that is served already.
    Unchanged,
    /// The files cannot be used; the old model is served.
    Failed,
}

impl ReloadOutcome {
    /// Every outcome, in the order of declaration.
    pub(super) const ALL: [Self; 3] = [Self::Changed, Self::Unchanged, Self::Failed];

    /// Returns the label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }
}

/// Why the service closed a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionDrop {
    /// The greatest number of connections was open.
    ConnectionLimit,
    /// The client did not read its answer.
    UnreadAnswer,
    /// The client did not send the rest of its request.
    SlowRequest,
}

impl ConnectionDrop {
    /// Every reason, in the order of declaration.
    pub(super) const ALL: [Self; 3] = [Self::ConnectionLimit, Self::UnreadAnswer, Self::SlowRequest];

    /// Returns the label's value.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::ConnectionLimit => "connection_limit",
            Self::UnreadAnswer => "unread_answer",
            Self::SlowRequest => "slow_request",
        }
    }
}

/// A fault that a header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// An error status instead of a prediction.
    Abort,
    /// A delayed answer.
    Delay,
}

/// Whether a fault that a header asked for was injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultOutcome {
    /// The fault was injected.
    Injected,
    /// The fault was not injected, because fault injection is not allowed.
    Ignored,
}

/// Returns the label values of every fault counter, in the order of [`fault_index`].
pub(super) fn fault_labels() -> impl Iterator<Item = [&'static str; 2]> {
    ["abort", "delay"].into_iter().flat_map(|kind| ["injected", "ignored"].map(|outcome| [kind, outcome]))
}

/// Returns the position of a fault's counter.
pub(super) fn fault_index(kind: FaultKind, outcome: FaultOutcome) -> usize {
    2 * kind as usize + outcome as usize
}
