//! Why a request is not carried out: refused by a rule, or failed before anything was changed. Nothing decides here.

use std::error::Error;

use patchd_protocol::executor::{RefusalCode, Reply};

/// A request that ends without a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    Refused { code: RefusalCode, message: String },
    Failed { message: String },
}

impl Stop {
    pub(crate) fn refused(code: RefusalCode, message: impl Into<String>) -> Self {
        Self::Refused { code, message: message.into() }
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
            Stop::Refused { code, message } => Self::Refused { code, message },
            Stop::Failed { message } => Self::Failed { message },
        }
    }
}
