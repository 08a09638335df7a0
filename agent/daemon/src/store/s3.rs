//! Reports in S3, or in something that speaks as S3 does. It puts, and reads back only what it has to compare.
//!
//! A report is created with `If-None-Match: *` and never overwritten. When S3 says that it exists, that is most often
//! our own earlier try whose answer got lost; only the bytes can tell, so they are compared.

use std::fmt;
use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ServerSideEncryption};
use bytes::Bytes;
use patchd_protocol::report::gzip::{CONTENT_ENCODING, CONTENT_TYPE};
use patchd_protocol::store_url::StoreUrl;
use tokio::sync::Mutex;

use super::s3_client;
use super::s3_error::{Refusal, Situation};
use super::{Remedy, StoreError, Stored};

/// As often is a put begun anew when S3 could not decide it, or wanted fresh credentials.
const ROUNDS: u32 = 3;

/// How the objects are encrypted at rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Encryption {
    /// As the bucket has it. This sends no header, and is right nearly always.
    #[default]
    OfBucket,
    /// With keys that S3 keeps.
    S3Managed,
    /// With this key of KMS: its id, alias or ARN.
    Kms { key_id: String },
}

/// What a bucket needs beside its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3Settings {
    /// The bucket's region. Without it: AWS_REGION, the profile's, or the instance's own.
    pub region: Option<String>,
    /// Something other than AWS that speaks S3.
    pub endpoint_url: Option<String>,
    /// Put the bucket into the path and not into the host name, as most other endpoints need it.
    pub path_style: bool,
    pub encryption: Encryption,
    /// The account that must own the bucket; a bucket of the same name in another one is refused.
    pub expected_bucket_owner: Option<String>,
    /// Where the metadata service answers, if not at its usual address.
    pub metadata_url: Option<String>,
}

/// A bucket and a prefix in it. Clones share one client, which is built at the first use and again when credentials die.
#[derive(Clone)]
pub struct S3Store {
    bucket: String,
    prefix: String,
    settings: Arc<S3Settings>,
    client: Arc<Mutex<Option<Client>>>,
}

impl fmt::Debug for S3Store {
    /// Without the client, which holds credentials.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("S3Store")
            .field("url", &self.url().to_string())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What a look at a bucket came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    Answers,
    /// It answers and denies: without the right to list, that is what an absent object looks like, too.
    MayNotRead,
}

/// The key that is looked for. Nothing is ever written there.
const PROBE: &str = "v1/latest/probe";

impl S3Store {
    pub fn new(bucket: String, prefix: String, settings: S3Settings) -> Self {
        Self { bucket, prefix, settings: Arc::new(settings), client: Arc::default() }
    }

    pub fn url(&self) -> StoreUrl {
        StoreUrl::S3 { bucket: self.bucket.clone(), prefix: self.prefix.clone() }
    }

    /// Creates an object that is never to change.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<Stored, StoreError> {
        let key = self.key(key);
        let mut last = None;
        for _ in 0..ROUNDS {
            let sent = self.request(&key, &bytes).await?.if_none_match("*").send().await;
            let refusal = match sent {
                Ok(_) => return Ok(Stored::Now),
                Err(error) => Refusal::of(&error),
            };
            match refusal.situation() {
                Situation::Exists | Situation::Undecided => match self.compare(&key, &bytes).await? {
                    Held::Same => return Ok(Stored::Already),
                    Held::Other => return Err(self.conflict(&key)),
                    // Somebody deleted it in between, or the other operation came to nothing.
                    Held::Nothing => {}
                },
                Situation::StaleCredentials => self.forget_client().await,
                Situation::Damaged => {}
                Situation::Final => return Err(self.error(&key, &refusal)),
            }
            last = Some(refusal);
        }
        Err(self.given_up(&key, last.as_ref()))
    }

    /// Puts an object in place of what is there.
    pub async fn replace(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        let key = self.key(key);
        let mut last = None;
        for _ in 0..ROUNDS {
            let refusal = match self.request(&key, &bytes).await?.send().await {
                Ok(_) => return Ok(()),
                Err(error) => Refusal::of(&error),
            };
            match refusal.situation() {
                Situation::Undecided | Situation::Damaged => {}
                Situation::StaleCredentials => self.forget_client().await,
                Situation::Exists | Situation::Final => return Err(self.error(&key, &refusal)),
            }
            last = Some(refusal);
        }
        Err(self.given_up(&key, last.as_ref()))
    }

    /// Reads a whole object of at most `limit` bytes.
    pub async fn get(&self, key: &str, limit: usize) -> Result<Vec<u8>, StoreError> {
        let key = self.key(key);
        let sent = self
            .client(&key)
            .await?
            .get_object()
            .bucket(&self.bucket)
            .key(&key)
            .set_expected_bucket_owner(self.settings.expected_bucket_owner.clone())
            .send()
            .await;
        let mut body = sent.map_err(|error| self.error(&key, &Refusal::of(&error)))?.body;
        let mut content = Vec::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| StoreError {
                remedy: Remedy::Later,
                what: self.what(&key),
                sentence: format!("the connection broke while it was read: {error}"),
            })?;
            if limit < content.len() + chunk.len() {
                return Err(StoreError {
                    remedy: Remedy::Never,
                    what: self.what(&key),
                    sentence: format!("it is longer than {limit} bytes"),
                });
            }
            content.extend_from_slice(&chunk);
        }
        Ok(content)
    }

    /// Whether the bucket answers, by the look for an object that nobody writes.
    pub async fn probe(&self) -> Result<Probe, StoreError> {
        let key = self.key(PROBE);
        let sent = self
            .client(&key)
            .await?
            .get_object()
            .bucket(&self.bucket)
            .key(&key)
            .set_expected_bucket_owner(self.settings.expected_bucket_owner.clone())
            .send()
            .await;
        let Err(error) = sent else { return Ok(Probe::Answers) };
        let refusal = Refusal::of(&error);
        if refusal.is_absence() {
            Ok(Probe::Answers)
        } else if refusal.is_denied() {
            Ok(Probe::MayNotRead)
        } else {
            Err(self.error(&key, &refusal))
        }
    }

    fn key(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) }
    }

    async fn request(&self, key: &str, bytes: &Bytes) -> Result<PutObjectFluentBuilder, StoreError> {
        let request = self
            .client(key)
            .await?
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(CONTENT_TYPE)
            .content_encoding(CONTENT_ENCODING)
            // From memory, so that the length and the checksum are in the headers and not in a trailer, which many
            // other endpoints refuse.
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .set_expected_bucket_owner(self.settings.expected_bucket_owner.clone())
            .body(ByteStream::from(bytes.clone()));
        Ok(match &self.settings.encryption {
            Encryption::OfBucket => request,
            Encryption::S3Managed => request.server_side_encryption(ServerSideEncryption::Aes256),
            Encryption::Kms { key_id } => {
                request.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(key_id)
            }
        })
    }

    /// What is there under this key, beside what we want there.
    async fn compare(&self, key: &str, bytes: &Bytes) -> Result<Held, StoreError> {
        let sent = self
            .client(key)
            .await?
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .set_expected_bucket_owner(self.settings.expected_bucket_owner.clone())
            .send()
            .await;
        let mut body = match sent {
            Ok(object) => object.body,
            Err(error) => {
                let refusal = Refusal::of(&error);
                return if refusal.is_absence() {
                    Ok(Held::Nothing)
                } else {
                    Err(self.unreadable(key, &refusal))
                };
            }
        };
        let mut rest = bytes.clone();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| StoreError {
                remedy: Remedy::Later,
                what: self.what(key),
                sentence: format!("the connection broke while it was read for comparison: {error}"),
            })?;
            if !rest.starts_with(&chunk) {
                return Ok(Held::Other);
            }
            rest = rest.slice(chunk.len()..);
        }
        Ok(if rest.is_empty() { Held::Same } else { Held::Other })
    }

    async fn client(&self, key: &str) -> Result<Client, StoreError> {
        let mut held = self.client.lock().await;
        if let Some(client) = &*held {
            return Ok(client.clone());
        }
        let built = s3_client::build(&self.settings).await.map_err(|sentence| StoreError {
            remedy: Remedy::Configuration,
            what: self.what(key),
            sentence,
        })?;
        *held = Some(built.clone());
        Ok(built)
    }

    /// The next use builds a client, without remembered credentials and with connections of its own.
    pub(super) async fn forget_client(&self) {
        *self.client.lock().await = None;
    }

    fn what(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    fn error(&self, key: &str, refusal: &Refusal) -> StoreError {
        StoreError { remedy: refusal.remedy(), what: self.what(key), sentence: refusal.sentence() }
    }

    /// The last word after all rounds.
    fn given_up(&self, key: &str, last: Option<&Refusal>) -> StoreError {
        match last {
            Some(refusal) => self.error(key, refusal),
            None => StoreError {
                remedy: Remedy::Later,
                what: self.what(key),
                sentence: "S3 did not decide it".into(),
            },
        }
    }

    fn conflict(&self, key: &str) -> StoreError {
        StoreError {
            remedy: Remedy::Never,
            what: self.what(key),
            sentence: "another report lies under the same key, and reports are never overwritten: two hosts may share \
                       one host id"
                .into(),
        }
    }

    fn unreadable(&self, key: &str, refusal: &Refusal) -> StoreError {
        let why = refusal.sentence();
        StoreError {
            remedy: refusal.remedy(),
            what: self.what(key),
            sentence: format!(
                "it exists, most likely from an earlier try of this host, and it can't be read to make sure: {why}"
            ),
        }
    }
}

/// What lies under a key that somebody created before us.
enum Held {
    Same,
    Other,
    Nothing,
}
