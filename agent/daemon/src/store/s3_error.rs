//! What a refusal of S3 means, and the sentence that an operator can act on. It never shows a header or a body: they
//! hold signatures and tokens.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::Remedy;

/// The longest text of S3 that is repeated in a sentence of ours.
const MAX_QUOTE: usize = 300;

/// What to do with a refused put, before anybody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Situation {
    /// An object has that key already.
    Exists,
    /// Another conditional write of the same key was under way: the SDK does not try again.
    Undecided,
    /// Fresh credentials may help.
    StaleCredentials,
    /// The bytes did not arrive as they were sent.
    Damaged,
    Final,
}

/// A failed request, without anything secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// S3 answered.
    Answered {
        status: u16,
        code: String,
        message: String,
        /// The region in which the bucket is, where S3 says so.
        region: Option<String>,
        request_id: Option<String>,
    },
    /// No answer, or none that can be read.
    Unreachable {
        reason: String,
    },
    NoCredentials {
        reason: String,
    },
    /// The request could not even be built.
    Unsendable {
        reason: String,
    },
}

impl Refusal {
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match error {
            SdkError::ServiceError(answered) => {
                let (known, raw) = (answered.err(), answered.raw());
                Self::answered(raw, known.code(), known.message())
            }
            SdkError::ResponseError(unread) => Self::answered(unread.raw(), None, None),
            SdkError::TimeoutError(_) => Self::Unreachable { reason: "no answer came in time".into() },
            SdkError::DispatchFailure(failure) => {
                let reason = root_cause(error);
                match of_credentials(error) {
                    Some(refusal) => refusal,
                    None if failure.is_user() => Self::Unsendable { reason },
                    None => Self::Unreachable { reason },
                }
            }
            _ => of_credentials(error).unwrap_or_else(|| Self::Unsendable { reason: root_cause(error) }),
        }
    }

    fn answered(raw: &HttpResponse, code: Option<&str>, message: Option<&str>) -> Self {
        let header = |name| raw.headers().get(name).map(quote);
        Self::Answered {
            status: raw.status().as_u16(),
            code: quote(code.unwrap_or_default()),
            message: quote(message.unwrap_or_default()),
            region: header("x-amz-bucket-region"),
            request_id: header("x-amz-request-id"),
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Answered { code, .. } => code,
            _ => "",
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::Answered { status, .. } => *status,
            _ => 0,
        }
    }

    /// Whether a read says that there is no such object.
    pub(super) fn is_absence(&self) -> bool {
        self.status() == 404 && self.code() != "NoSuchBucket"
    }

    /// Whether the caller may not do it, or may not know why not.
    pub(super) fn is_denied(&self) -> bool {
        self.status() == 403 && self.code() == "AccessDenied"
    }

    pub(super) fn situation(&self) -> Situation {
        match (self.code(), self.status()) {
            (_, 412) => Situation::Exists,
            ("ConditionalRequestConflict" | "OperationAborted", _) => Situation::Undecided,
            ("ExpiredToken" | "TokenRefreshRequired" | "InvalidToken", _) => Situation::StaleCredentials,
            (
                "BadDigest" | "InvalidDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch",
                _,
            ) => Situation::Damaged,
            _ => Situation::Final,
        }
    }

    pub(super) fn remedy(&self) -> Remedy {
        match self {
            Self::Unreachable { .. } => Remedy::Later,
            Self::NoCredentials { .. } | Self::Unsendable { .. } => Remedy::Configuration,
            Self::Answered { status, code, .. } => remedy(code, *status),
        }
    }

    pub(super) fn sentence(&self) -> String {
        match self {
            Self::Unreachable { reason } => {
                format!(
                    "the store can't be reached: {reason}; if it stays so, look at proxy, DNS and endpoint"
                )
            }
            Self::NoCredentials { reason } => format!(
                "there are no AWS credentials for it: {reason}; give the instance a role, or set them in the environment"
            ),
            Self::Unsendable { reason } => {
                format!("the request can't be made as the store is configured: {reason}")
            }
            Self::Answered { status, code, message, region, request_id } => {
                let mut sentence = advice(code, *status, region.as_deref());
                let name = if code.is_empty() { "no code" } else { code };
                sentence.push_str(&format!(" (S3 answered {status} {name}"));
                if !message.is_empty() {
                    sentence.push_str(&format!(": {message}"));
                }
                if let Some(id) = request_id {
                    sentence.push_str(&format!(", request {id}"));
                }
                sentence.push(')');
                sentence
            }
        }
    }
}

fn of_credentials<E, R>(error: &SdkError<E, R>) -> Option<Refusal>
where
    E: std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let mut cause = std::error::Error::source(error);
    while let Some(current) = cause {
        if let Some(of_chain) = current.downcast_ref::<CredentialsError>() {
            let reason = root_cause(of_chain);
            let is_passing = matches!(of_chain, CredentialsError::ProviderTimedOut(_));
            return Some(if is_passing {
                Refusal::Unreachable { reason }
            } else {
                Refusal::NoCredentials { reason }
            });
        }
        cause = current.source();
    }
    None
}

/// The deepest cause, which is the one that says something.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    quote(&cause.to_string())
}

/// A text of somebody else, short and on one line.
fn quote(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_QUOTE).collect()
}

/// Who can mend it. What one host's role, bucket or endpoint does wrong it does with every report, so nothing is given
/// up for it: only what is wrong with one object is.
fn remedy(code: &str, status: u16) -> Remedy {
    match (code, status) {
        ("EntityTooLarge" | "KeyTooLongError" | "MetadataTooLarge", _) => Remedy::Never,
        (
            "RequestTimeout"
            | "RequestTimeoutException"
            | "IncompleteBody"
            | "Throttling"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "TooManyRequests"
            | "TooManyRequestsException"
            | "BandwidthLimitExceeded"
            | "OperationAborted"
            | "ConditionalRequestConflict"
            | "KMS.ThrottlingException"
            | "SlowDown"
            | "ExpiredToken"
            | "TokenRefreshRequired",
            _,
        ) => Remedy::Later,
        ("NotImplemented", _) | (_, 501) => Remedy::Configuration,
        (_, 408 | 429 | 500..) => Remedy::Later,
        _ => Remedy::Configuration,
    }
}

fn advice(code: &str, status: u16, region: Option<&str>) -> String {
    let text = match (code, status) {
        (
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraint"
            | "IllegalLocationConstraintException",
            _,
        )
        | (_, 301 | 307) => {
            return match region {
                Some(region) => {
                    format!("the bucket is in another region: set `region = \"{region}\"` of the store")
                }
                None => {
                    "the bucket is in another region, or behind another endpoint: set `region` of the store"
                        .into()
                }
            };
        }
        ("SignatureDoesNotMatch", _) => {
            "the secret key is wrong, or a proxy changes what we sign: compare the credentials, and let the proxy pass \
             S3 untouched"
        }
        ("InvalidAccessKeyId", _) => {
            "the access key is not known: it was deleted, or belongs to another endpoint"
        }
        ("ExpiredToken" | "TokenRefreshRequired" | "InvalidToken", _) => {
            "the credentials have run out and fresh ones are no better: look at the role of the instance"
        }
        ("RequestTimeTooSkewed", _) => "the clock of this host is wrong: look at `timedatectl`",
        ("NoSuchBucket" | "InvalidBucketName", _) => "there is no such bucket: check the URL of the store",
        ("AllAccessDisabled" | "AccountProblem" | "QuotaExceeded" | "InvalidObjectState", _) => {
            "the account of the bucket may not store more: its owner has to look at it"
        }
        (code, _) if code.starts_with("KMS.Throttl") => "the encryption key is asked too often just now",
        (code, _) if code.starts_with("KMS.") => {
            "the encryption key can't be used: check that it exists, is enabled and lets this role use it"
        }
        ("NotImplemented" | "MethodNotAllowed", _) | (_, 405 | 501) => {
            "the endpoint does not do what we need of S3: conditional puts with a SHA-256 checksum"
        }
        ("EntityTooLarge" | "KeyTooLongError" | "MetadataTooLarge", _) => {
            "the report is too large for the store"
        }
        ("BadDigest" | "InvalidDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch", _) => {
            "it arrived changed, again and again: something between this host and the store alters it"
        }
        (_, 403) => {
            "the store refuses this role: it needs s3:PutObject and s3:GetObject below the prefix (and \
             kms:GenerateDataKey and kms:Decrypt where a key of KMS is used), and no bucket policy, endpoint policy or \
             other owner may stand against it"
        }
        (_, 408 | 429 | 500..) => "the store is busy or broken just now",
        _ => "the store refuses the request: check the settings of the store",
    };
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, code: &str) -> Refusal {
        Refusal::Answered {
            status,
            code: code.into(),
            message: String::new(),
            region: None,
            request_id: None,
        }
    }

    #[track_caller]
    fn check(status: u16, code: &str, remedy: Remedy, says: &str) {
        let refusal = refusal(status, code);
        assert_eq!(refusal.remedy(), remedy, "{status} {code}");
        assert!(refusal.sentence().contains(says), "{}", refusal.sentence());
    }

    #[test]
    fn each_refusal_has_somebody_who_can_mend_it() {
        check(503, "SlowDown", Remedy::Later, "busy");
        check(400, "SlowDown", Remedy::Later, "S3 answered 400 SlowDown");
        check(500, "InternalError", Remedy::Later, "busy or broken");
        check(502, "", Remedy::Later, "502 no code");
        check(400, "RequestTimeout", Remedy::Later, "RequestTimeout");
        check(400, "KMS.ThrottlingException", Remedy::Later, "too often");
        check(403, "AccessDenied", Remedy::Configuration, "s3:PutObject");
        check(403, "", Remedy::Configuration, "s3:PutObject");
        check(403, "SignatureDoesNotMatch", Remedy::Configuration, "secret key is wrong");
        check(403, "InvalidAccessKeyId", Remedy::Configuration, "access key is not known");
        check(403, "RequestTimeTooSkewed", Remedy::Configuration, "clock");
        check(404, "NoSuchBucket", Remedy::Configuration, "no such bucket");
        check(400, "KMS.DisabledException", Remedy::Configuration, "encryption key");
        check(501, "NotImplemented", Remedy::Configuration, "conditional puts");
        check(400, "InvalidRequest", Remedy::Configuration, "settings of the store");
        check(400, "EntityTooLarge", Remedy::Never, "too large");
        check(400, "BadDigest", Remedy::Configuration, "arrived changed");
    }

    #[test]
    fn a_wrong_region_names_the_right_one() {
        let Refusal::Answered { status, code, message, request_id, .. } = refusal(301, "PermanentRedirect")
        else {
            unreachable!()
        };
        let region = Some("eu-west-1".into());
        let refusal = Refusal::Answered { status, code, message, region, request_id };
        assert_eq!(refusal.remedy(), Remedy::Configuration);
        assert!(refusal.sentence().contains("`region = \"eu-west-1\"`"), "{}", refusal.sentence());
    }

    #[test]
    fn what_is_not_final_is_looked_at_again() {
        assert_eq!(refusal(412, "PreconditionFailed").situation(), Situation::Exists);
        assert_eq!(refusal(412, "").situation(), Situation::Exists);
        assert_eq!(refusal(409, "ConditionalRequestConflict").situation(), Situation::Undecided);
        assert_eq!(refusal(400, "ExpiredToken").situation(), Situation::StaleCredentials);
        assert_eq!(refusal(400, "BadDigest").situation(), Situation::Damaged);
        assert_eq!(refusal(403, "AccessDenied").situation(), Situation::Final);
        assert!(refusal(404, "NoSuchKey").is_absence());
        assert!(!refusal(404, "NoSuchBucket").is_absence());
    }

    #[test]
    fn what_others_write_stays_short_and_on_one_line() {
        assert_eq!(quote("a\nb\u{1b}[31m"), "ab[31m");
        assert_eq!(quote(&"ä".repeat(1000)).chars().count(), MAX_QUOTE);
    }
}
