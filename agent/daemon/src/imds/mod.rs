//! Who this machine is on EC2: account, region and instance id, from the instance metadata service, version 2 only.
//!
//! It fetches no credentials (the AWS SDK does), never speaks version 1, and never goes through a proxy: a proxy's
//! `X-Forwarded-For` makes the service refuse, and a token is nobody else's business.

mod hardware;
mod wire;

use std::time::Duration;

use reqwest::{Client, Method, Response, StatusCode, redirect};

pub use self::hardware::Hardware;

/// Where the service answers on every instance.
pub const DEFAULT_BASE_URL: &str = "http://169.254.169.254";

/// The environment variable with which AWS's own tools move it.
pub const BASE_URL_VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";

const TOKEN_PATH: &str = "latest/api/token";
/// The tag of Patch Manager in the forms that it may have; the one with a blank can't be told by every instance.
const GROUP_PATHS: [&str; 2] =
    ["latest/meta-data/tags/instance/PatchGroup", "latest/meta-data/tags/instance/Patch%20Group"];
const DOCUMENT_PATH: &str = "latest/dynamic/instance-identity/document";
/// One identity document is all that a token is for.
const TOKEN_SECONDS: &str = "60";
/// The service is one hop away: what takes longer is not there.
const PATIENCE: Duration = Duration::from_secs(1);
const TRIES: u32 = 3;
/// Before the second try; before the third it is twice that.
const PAUSE: Duration = Duration::from_millis(200);
/// Tokens have 56 bytes, documents below 1 KiB.
const MAX_BODY: usize = 64 * 1024;

/// An EC2 instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceIdentity {
    pub account: String,
    pub region: String,
    pub instance_id: String,
}

/// What the metadata service says of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    Ec2(InstanceIdentity),
    /// Nothing that could be its metadata service answers, and the hardware does not claim to be EC2 either.
    NotEc2,
    /// This is, or may be, EC2, but the service can't be used. The sentence says what to do.
    Unavailable {
        because: String,
    },
}

/// Why one request gave nothing.
#[derive(Debug)]
enum Failure {
    /// Nobody answered in time.
    Silence,
    /// The connection was refused, reset or broken.
    Broken(String),
    Status(StatusCode),
    /// An answer that the service would not give.
    Foreign(String),
}

impl Failure {
    /// A hiccup of the service, worth another try. Silence is not one: see the hop limit.
    fn is_passing(&self) -> bool {
        match self {
            Self::Broken(_) => true,
            Self::Status(status) => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Silence | Self::Foreign(_) => false,
        }
    }
}

/// A client of the metadata service.
#[derive(Debug, Clone)]
pub struct MetadataService {
    client: Client,
    base_url: String,
}

impl MetadataService {
    /// `base_url` is `DEFAULT_BASE_URL` but on test benches. It fails only if the system refuses a client as such.
    pub fn new(base_url: &str) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(PATIENCE)
            .read_timeout(PATIENCE)
            .pool_max_idle_per_host(0)
            // The service speaks plain HTTP: the system's certificates need not be loaded for it.
            .tls_certs_only([])
            .build()?;
        Ok(Self { client, base_url: base_url.trim_end_matches('/').to_owned() })
    }

    /// Asks the service who this is. On hardware that is not EC2 it looks once and waits a second at most.
    pub async fn identity(&self, hardware: Hardware) -> Identity {
        let mut remaining = match hardware {
            Hardware::Ec2 => TRIES,
            Hardware::Other => 1,
        };
        let mut pause = PAUSE;
        loop {
            remaining -= 1;
            match self.look().await {
                Ok(identity) => return Identity::Ec2(identity),
                Err((_, failure)) if failure.is_passing() && remaining != 0 => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err((step, failure)) => return conclude(hardware, step, &failure),
            }
        }
    }

    /// One try: a token, and the document with it. A token can die between the two, when a hibernated machine wakes.
    async fn look(&self) -> Result<InstanceIdentity, (Step, Failure)> {
        let mut document = self.document(&self.token().await?).await;
        if matches!(document, Err(Failure::Status(StatusCode::UNAUTHORIZED))) {
            document = self.document(&self.token().await?).await;
        }
        let document = document.map_err(|failure| (Step::Document, failure))?;
        wire::identity(&document).map_err(|reason| (Step::Document, Failure::Foreign(reason)))
    }

    /// The patch group that the instance's tags name. An instance that may not tell its tags names none.
    pub async fn patch_group(&self) -> Result<Option<String>, String> {
        let token = self.token().await.map_err(|(step, failure)| sentence(step, &failure))?;
        for path in GROUP_PATHS {
            match self.request(Method::GET, path, ("x-aws-ec2-metadata-token", &token)).await {
                Ok(body) => return wire::tag(&body).map(Some),
                Err(Failure::Status(StatusCode::NOT_FOUND)) => {}
                Err(failure) => return Err(sentence(Step::Tags, &failure)),
            }
        }
        Ok(None)
    }

    async fn token(&self) -> Result<String, (Step, Failure)> {
        let header = ("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS);
        let body =
            self.request(Method::PUT, TOKEN_PATH, header).await.map_err(|failure| (Step::Token, failure))?;
        let is_token = |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        String::from_utf8(body)
            .ok()
            .filter(is_token)
            .ok_or_else(|| (Step::Token, Failure::Foreign("what it gave is no token".into())))
    }

    async fn document(&self, token: &str) -> Result<Vec<u8>, Failure> {
        self.request(Method::GET, DOCUMENT_PATH, ("x-aws-ec2-metadata-token", token)).await
    }

    async fn request(&self, method: Method, path: &str, header: (&str, &str)) -> Result<Vec<u8>, Failure> {
        let url = format!("{}/{path}", self.base_url);
        let answer = self
            .client
            .request(method, url)
            .header(header.0, header.1)
            .send()
            .await
            .map_err(|error| of_transport(&error))?;
        if answer.status() == StatusCode::OK {
            body(answer).await
        } else {
            Err(Failure::Status(answer.status()))
        }
    }
}

/// Which of the two requests failed: the same status means different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Token,
    Document,
    Tags,
}

async fn body(mut answer: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| of_transport(&error))? {
        if MAX_BODY < body.len() + chunk.len() {
            return Err(Failure::Foreign(format!("its answer is longer than {MAX_BODY} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn of_transport(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        return Failure::Silence;
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Failure::Broken(cause.to_string())
}

/// The verdict on a machine whose service gave no identity.
fn conclude(hardware: Hardware, step: Step, failure: &Failure) -> Identity {
    let is_forbidden = matches!(failure, Failure::Status(StatusCode::FORBIDDEN));
    if hardware == Hardware::Other && !is_forbidden {
        return Identity::NotEc2;
    }
    Identity::Unavailable { because: sentence(step, failure) }
}

/// Why a request gave nothing, and what to do.
fn sentence(step: Step, failure: &Failure) -> String {
    match (step, failure) {
        (_, Failure::Status(StatusCode::FORBIDDEN)) => {
            "the instance metadata service is switched off or a proxy stands before it: allow it with `aws ec2 \
             modify-instance-metadata-options --http-endpoint enabled`"
                .into()
        }
        (Step::Token, Failure::Silence) => {
            "the instance metadata service does not answer: a firewall blocks it, or the hop limit of the instance is \
             too small for where patchd runs"
                .into()
        }
        (Step::Token, Failure::Status(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)) => {
            "something other than the instance metadata service answers in its place, and gives no tokens".into()
        }
        (Step::Token, Failure::Status(status)) => {
            format!("the instance metadata service gives no token: it answers {status}")
        }
        (Step::Document, Failure::Status(status)) => {
            format!("the instance metadata service gives no identity document: it answers {status}")
        }
        (Step::Tags, Failure::Status(status)) => {
            format!("the instance metadata service does not tell tags: it answers {status}")
        }
        (Step::Document | Step::Tags, Failure::Silence) => {
            "the instance metadata service gives a token and then no answer".into()
        }
        (_, Failure::Broken(reason)) => format!("the instance metadata service can't be reached: {reason}"),
        (_, Failure::Foreign(reason)) => {
            format!("what answers in place of the instance metadata service is none: {reason}")
        }
    }
}
