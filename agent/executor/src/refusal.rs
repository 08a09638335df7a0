//! Why a request is not carried out: refused by a rule, or failed before anything was changed. Nothing decides here.

use std::error::Error;

use patchd_protocol::executor::{PackageWire, RefusalCode, RefusalWire, Reply};

/// A request that ends without a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    Refused(RefusalWire),
    Failed { message: String },
}

impl Stop {
    pub(crate) fn refused(code: RefusalCode, message: impl Into<String>) -> Self {
        Self::blaming(code, message, Vec::new())
    }

    /// A refusal that these packages are to blame for: without them, the others may go.
    pub(crate) fn blaming(
        code: RefusalCode,
        message: impl Into<String>,
        mut blamed: Vec<PackageWire>,
    ) -> Self {
        blamed.sort();
        blamed.dedup();
        Self::Refused(RefusalWire { code, message: message.into(), blamed })
    }

    /// A failure with the chain of its causes.
    pub(crate) fn failed(error: &dyn Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::Failed { message }
    }
}

impl From<Stop> for Reply {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Refused(refusal) => Self::Refused(refusal),
            Stop::Failed { message } => Self::Failed { message },
        }
    }
}
