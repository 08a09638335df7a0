//! What goes back to a client: a document as JSON, fresh or packed on this disk, or an error as `application/problem+json`.
//!
//! It knows no endpoint. The kinds of error, with their statuses, are the protocol's.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use patchd_protocol::control::{PROBLEM_MEDIA_TYPE, ProblemType};
use patchd_protocol::report::gzip;
use serde::Serialize;

use super::unpacked::Unpacked;
use crate::agent::Refusal;
use crate::chain::chain;
use crate::journal::JournalError;

/// The longest document that is unpacked, in bytes. A report of 5,000 packages takes two million.
const MAX_UNPACKED: u64 = 64 << 20;

/// An error for the client.
#[derive(Debug)]
pub(super) struct Problem {
    kind: ProblemType,
    detail: String,
}

/// What an endpoint comes to.
pub(super) type Answer = Result<Response, Problem>;

impl Problem {
    pub(super) fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// Trouble of our own: the log has it too, since the client may be nobody who can help.
    pub(super) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        let error = chain(error);
        tracing::error!(error, "a request over the control socket could not be answered");
        Self::new(ProblemType::Internal, error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let document = serde_json::to_vec(&self.kind.document(self.detail)).unwrap_or_default();
        of_bytes(status, PROBLEM_MEDIA_TYPE, Body::from(document))
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let kind = match &refusal {
            Refusal::NotUnderWay | Refusal::NotStoppable => ProblemType::NotStoppable,
            Refusal::Stopping => ProblemType::Stopping,
            Refusal::Journal(_) | Refusal::Silent => return Self::internal(&refusal),
        };
        Self::new(kind, refusal.to_string())
    }
}

impl From<JournalError> for Problem {
    fn from(error: JournalError) -> Self {
        Self::internal(&error)
    }
}

fn of_bytes(status: StatusCode, media_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// A document with the status that says what it is.
pub(super) fn document<T: Serialize>(status: StatusCode, document: &T) -> Answer {
    let json = serde_json::to_vec(document).map_err(|error| Problem::internal(&error))?;
    Ok(json_text(status, Bytes::from(json)))
}

/// JSON that was written before.
pub(super) fn json_text(status: StatusCode, json: Bytes) -> Response {
    of_bytes(status, gzip::CONTENT_TYPE, Body::from(json))
}

/// A document as it lies on the disk, if the client takes gzip; else what is in it.
pub(super) fn packed(document: Bytes, takes_gzip: bool) -> Response {
    let body =
        if takes_gzip { Body::from(document) } else { Body::new(Unpacked::new(document, MAX_UNPACKED)) };
    let mut response = of_bytes(StatusCode::OK, gzip::CONTENT_TYPE, body);
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
    if takes_gzip {
        let encoding = HeaderValue::from_static(gzip::CONTENT_ENCODING);
        response.headers_mut().insert(CONTENT_ENCODING, encoding);
    }
    response
}
