//! Who this machine is on EC2: account, region and instance id, from the instance metadata service, version 2 only.
//!
//! It keeps no credentials (the AWS SDK fetches its own), never speaks version 1, and never goes through a proxy: a proxy's
//! `X-Forwarded-For` makes the service refuse, and a token is nobody else's business.

mod hardware;
mod wire;

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use jiff::Timestamp;
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
/// Where a role's name stands, and below it whether the service gets credentials for it.
const ROLE_PATH: &str = "latest/meta-data/iam/security-credentials/";
/// One question is all that a token is for.
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

/// A role of the instance, as far as the metadata service can use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub name: String,
    /// Why the service has no credentials of it, in AWS's word: `AssumeRoleUnauthorizedAccess`. `None` if it has some.
    pub refused: Option<String>,
    /// Until when they hold.
    pub expires_at: Option<Timestamp>,
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
    /// A hiccup of the service, or of the way to it while the network comes up: worth another try.
    fn is_passing(&self) -> bool {
        match self {
            Self::Broken(_) | Self::Silence => true,
            Self::Status(status) => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Foreign(_) => false,
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
        let tries = match hardware {
            Hardware::Ec2 => TRIES,
            Hardware::Other => 1,
        };
        let parsed = self.ask(DOCUMENT_PATH, Step::Document, tries).await.and_then(|document| {
            wire::identity(&document).map_err(|reason| (Step::Document, Failure::Foreign(reason)))
        });
        match parsed {
            Ok(identity) => Identity::Ec2(identity),
            Err((step, failure)) => conclude(hardware, step, &failure),
        }
    }

    /// The patch group that the instance's tags name. An instance that may not tell its tags names none.
    pub async fn patch_group(&self) -> Result<Option<String>, String> {
        for path in GROUP_PATHS {
            if let Some(body) = self.item(path, Step::Tags).await? {
                return wire::tag(&body).map(Some);
            }
        }
        Ok(None)
    }

    /// The role whose credentials the instance hands out, and whether it does.
    pub async fn role(&self) -> Result<Option<Role>, String> {
        let Some(names) = self.item(ROLE_PATH, Step::Role).await? else { return Ok(None) };
        let Some(name) = wire::role_name(&names)? else { return Ok(None) };
        let document = self.item(&format!("{ROLE_PATH}{name}"), Step::Role).await?;
        document.map(|document| wire::role(name, &document)).transpose()
    }

    /// Something that need not be there. Why it can't be told is a sentence.
    async fn item(&self, path: &str, step: Step) -> Result<Option<Vec<u8>>, String> {
        match self.ask(path, step, TRIES).await {
            Ok(body) => Ok(Some(body)),
            Err((Step::Token, failure)) => Err(sentence(Step::Token, &failure)),
            Err((_, Failure::Status(StatusCode::NOT_FOUND))) => Ok(None),
            Err((step, failure)) => Err(sentence(step, &failure)),
        }
    }

    /// Asks for a path up to so many times. What is worth another try is tried again after a pause of no fixed length: all
    /// that was started with the same boot asks at the same time.
    async fn ask(&self, path: &str, step: Step, tries: u32) -> Result<Vec<u8>, (Step, Failure)> {
        let (mut remaining, mut pause) = (tries, PAUSE);
        loop {
            remaining = remaining.saturating_sub(1);
            match self.ask_once(path, step).await {
                Err((_, failure)) if failure.is_passing() && remaining != 0 => {
                    tokio::time::sleep(pause.mul_f64(0.5 + random())).await;
                    pause *= 2;
                }
                answer => return answer,
            }
        }
    }

    /// One try: a token, and the path with it. A token can die between the two, when a hibernated machine wakes.
    async fn ask_once(&self, path: &str, step: Step) -> Result<Vec<u8>, (Step, Failure)> {
        let mut body = self.get(path, &self.token().await?).await;
        if matches!(body, Err(Failure::Status(StatusCode::UNAUTHORIZED))) {
            body = self.get(path, &self.token().await?).await;
        }
        body.map_err(|failure| (step, failure))
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

    async fn get(&self, path: &str, token: &str) -> Result<Vec<u8>, Failure> {
        self.request(Method::GET, path, ("x-aws-ec2-metadata-token", token)).await
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

/// A number from 0 to 1, another one each time.
fn random() -> f64 {
    let bits = std::hash::RandomState::new().build_hasher().finish();
    f64::from(u16::try_from(bits & 0xFFFF).unwrap_or_default()) / f64::from(u16::MAX)
}

/// Which of the requests failed: the same status means different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Token,
    Document,
    Tags,
    Role,
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
        (Step::Role, Failure::Status(status)) => {
            format!("the instance metadata service does not tell the instance's role: it answers {status}")
        }
        (Step::Document | Step::Tags | Step::Role, Failure::Silence) => {
            "the instance metadata service gives a token and then no answer".into()
        }
        (_, Failure::Broken(reason)) => format!("the instance metadata service can't be reached: {reason}"),
        (_, Failure::Foreign(reason)) => {
            format!("what answers in place of the instance metadata service is none: {reason}")
        }
    }
}
