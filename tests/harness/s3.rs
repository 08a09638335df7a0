//! A real S3 server for the scenarios: SeaweedFS, in a directory and on ports of its own.
//!
//! It checks signatures, checksums and conditions, which is what a store is proven by. It knows no session tokens and no
//! KMS: what we send for those is looked at with `fake_http`.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::command::{command, finish};
use crate::outcome::skipped;
use crate::place;

/// Where a person can say that the server's virtual environment is, if not below the target directory.
const ENVIRONMENT: &str = "PATCHD_TEST_VENV";
/// It starts in 4 seconds on a quiet machine of two cores.
const STARTS_WITHIN: u32 = 600;
const PAUSE: Duration = Duration::from_millis(100);
/// Another process can take a port between our choice and the server's start.
const TRIES: u32 = 3;
/// The key under which the server keeps its own encryption keys; without one it can't encrypt at all.
const KEY_ENCRYPTION_KEY: &str = "5b1f0c3a9d7e2846f0a1b2c3d4e5f60718293a4b5c6d7e8f9011223344556677";

const OPENSSL: &str = "/usr/bin/openssl";
const CERTIFICATE: &str = "certificate.pem";
const PRIVATE_KEY: &str = "key.pem";

/// An access key and its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    pub access_key: &'static str,
    pub secret_key: &'static str,
}

/// May do everything.
pub const ADMINISTRATOR: Account =
    Account { access_key: "ADMINISTRATOR", secret_key: "administrator-secret" };
/// May write and read in the bucket `reports`, as a host should.
pub const HOST: Account = Account { access_key: "HOST", secret_key: "host-secret" };
/// May write in the bucket `reports` and not even read what it wrote.
pub const WRITER: Account = Account { access_key: "WRITER", secret_key: "writer-secret" };

/// The bucket that every server has.
pub const BUCKET: &str = "reports";

/// A running server; it is killed when dropped.
#[derive(Debug)]
pub struct S3Server {
    process: Child,
    port: u16,
    tls_port: u16,
    /// Its data and its certificate. They go after the process.
    directory: TempDir,
    runtime: Runtime,
    administrator: Client,
}

impl S3Server {
    /// Starts one, or says why it can't and returns none: then the test is over.
    pub fn start_or_skipped() -> Result<Option<Self>> {
        let program = program()?;
        if !program.exists() {
            skipped(&format!("{} is not there: `cargo xtask test` installs it", program.display()));
            return Ok(None);
        }
        let mut last = Ok(None);
        for _ in 0..TRIES {
            last = Self::start(&program).map(Some);
            if last.is_ok() {
                break;
            }
        }
        last
    }

    fn start(program: &PathBuf) -> Result<Self> {
        let directory = place::scratch("s3")?;
        let at = |name: &str| directory.path().join(name);
        let mut identities = File::create(at("identities.json"))?;
        identities.write_all(identities_json().to_string().as_bytes())?;
        let data = at("data");
        std::fs::create_dir(&data)?;
        let log = File::create(at("log"))?;
        let [s3, s3_tls, s3_grpc, master, master_grpc, volume, volume_grpc, filer, filer_grpc] =
            free_ports()?;
        let is_tls = make_certificate(directory.path())?;
        let mut command = command(program);
        command
            .env("WEED_S3_SSE_KEK", KEY_ENCRYPTION_KEY)
            .env("HOME", directory.path())
            .current_dir(directory.path())
            .arg("server")
            .arg(format!("-dir={}", data.display()))
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0"])
            .args(["-volume.max=0", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"])
            .arg(format!("-s3.config={}", at("identities.json").display()))
            .arg(format!("-s3.localSocket={}", at("s3.sock").display()))
            .arg(format!("-filer.localSocket={}", at("filer.sock").display()))
            .args([format!("-s3.port={s3}"), format!("-s3.port.grpc={s3_grpc}")])
            .args([format!("-master.port={master}"), format!("-master.port.grpc={master_grpc}")])
            .args([format!("-volume.port={volume}"), format!("-volume.port.grpc={volume_grpc}")])
            .args([format!("-filer.port={filer}"), format!("-filer.port.grpc={filer_grpc}")])
            .stdout(Stdio::null())
            .stderr(log);
        if is_tls {
            command
                .arg(format!("-s3.port.https={s3_tls}"))
                .arg(format!("-s3.cert.file={}", at(CERTIFICATE).display()))
                .arg(format!("-s3.key.file={}", at(PRIVATE_KEY).display()));
        }
        let process = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let administrator = client(s3, ADMINISTRATOR);
        let mut server = Self { process, port: s3, tls_port: s3_tls, directory, runtime, administrator };
        server.wait_until_it_answers()?;
        Ok(server)
    }

    /// It has no way to say that it is ready: its bucket exists as soon as it is.
    fn wait_until_it_answers(&mut self) -> Result<()> {
        let mut last = None;
        for _ in 0..STARTS_WITHIN {
            if let Some(status) = self.process.try_wait()? {
                bail!("the S3 server ended with {status}:\n{}", self.log());
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                match self.create_bucket(BUCKET) {
                    Ok(()) => return Ok(()),
                    Err(error) => last = Some(error),
                }
            }
            thread::sleep(PAUSE);
        }
        bail!("the S3 server does not answer ({last:?}):\n{}", self.log())
    }

    fn log(&self) -> String {
        let mut text = String::new();
        let log = File::open(self.directory.path().join("log"));
        let _ = log.and_then(|mut log| log.read_to_string(&mut text));
        text
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The same over TLS, and the file of the certificate that vouches for it; none where `openssl` is not installed.
    pub fn tls(&self) -> Option<(String, PathBuf)> {
        let certificate = self.directory.path().join(CERTIFICATE);
        certificate.exists().then(|| (format!("https://127.0.0.1:{}", self.tls_port), certificate))
    }

    pub fn create_bucket(&self, name: &str) -> Result<()> {
        self.runtime.block_on(self.administrator.create_bucket().bucket(name).send())?;
        Ok(())
    }

    /// The keys in a bucket.
    pub fn keys(&self, bucket: &str) -> Result<Vec<String>> {
        let listed = self.runtime.block_on(self.administrator.list_objects_v2().bucket(bucket).send())?;
        Ok(listed.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect())
    }

    /// Puts an object in place of what is there.
    pub fn put(&self, bucket: &str, key: &str, content: &str) -> Result<()> {
        let put =
            self.administrator.put_object().bucket(bucket).key(key).body(content.as_bytes().to_vec().into());
        self.runtime.block_on(put.send()).with_context(|| format!("putting {key} into {bucket}"))?;
        Ok(())
    }

    /// An object's bytes and what the server says of it.
    pub fn object(&self, bucket: &str, key: &str) -> Result<(Vec<u8>, GetObjectOutput)> {
        self.runtime.block_on(async {
            let get = self.administrator.get_object().bucket(bucket).key(key);
            let mut object = get.send().await.with_context(|| format!("getting {key} of {bucket}"))?;
            let body = std::mem::take(&mut object.body).collect().await?.into_bytes().to_vec();
            Ok((body, object))
        })
    }

    /// Kills it, as a machine that loses power; `port` stays what it was.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill().context("killing the S3 server")?;
        self.process.wait().context("waiting for the S3 server's end")?;
        Ok(())
    }
}

impl Drop for S3Server {
    /// With SIGKILL: asked politely it takes more than 20 seconds.
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// A key and a certificate for this machine by its own word, if there is something to make them with.
fn make_certificate(directory: &Path) -> Result<bool> {
    if !Path::new(OPENSSL).exists() {
        return Ok(false);
    }
    let mut make = command(OPENSSL);
    make.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", PRIVATE_KEY, "-out", CERTIFICATE])
        .current_dir(directory);
    finish(&mut make)?.success()?;
    Ok(true)
}

fn program() -> Result<PathBuf> {
    Ok(match std::env::var_os(ENVIRONMENT) {
        Some(directory) => PathBuf::from(directory).join("bin/weed"),
        None => place::virtual_environment_program("weed")?,
    })
}

fn identities_json() -> serde_json::Value {
    let identity = |name: &str, account: Account, actions: &[&str]| {
        serde_json::json!({
            "name": name,
            "credentials": [{ "accessKey": account.access_key, "secretKey": account.secret_key }],
            "actions": actions,
        })
    };
    serde_json::json!({ "identities": [
        identity("administrator", ADMINISTRATOR, &["Admin", "Read", "List", "Tagging", "Write"]),
        identity("host", HOST, &["Write:reports", "Read:reports"]),
        identity("writer", WRITER, &["Write:reports"]),
    ]})
}

fn client(port: u16, account: Account) -> Client {
    let credentials = Credentials::new(account.access_key, account.secret_key, None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials)
        .endpoint_url(format!("http://127.0.0.1:{port}"))
        .force_path_style(true)
        .build();
    Client::from_conf(config)
}

/// As many ports as are asked for, all of them free now.
fn free_ports<const COUNT: usize>() -> Result<[u16; COUNT]> {
    let mut held = Vec::new();
    let mut ports = [0; COUNT];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
