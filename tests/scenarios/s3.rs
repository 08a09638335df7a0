//! The S3 store against a real server: signatures, checksums, conditions, permissions, encryption.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use aws_sdk_s3::types::ServerSideEncryption;
use patchd_tests::command::{self, command};
use patchd_tests::fake_http::{FakeHttp, Reply};
use patchd_tests::outcome::left_out;
use patchd_tests::place;
use patchd_tests::s3::{ADMINISTRATOR, Account, BUCKET, HOST, S3Server, WRITER};
use tempfile::TempDir;

const KEY: &str = "v1/reports/123456789012/eu-central-1/i-0a1/20261123T060000Z-scan-run.json.gz";

/// A report's bytes in a file, to be put with somebody's credentials.
struct Report {
    _directory: TempDir,
    file: PathBuf,
}

impl Report {
    fn new(content: &[u8]) -> Result<Self> {
        let directory = place::scratch("report")?;
        let file = directory.path().join("report");
        std::io::Write::write_all(&mut std::fs::File::create(&file)?, content)?;
        Ok(Self { _directory: directory, file })
    }

    /// What `put-object` says, run with these credentials in its environment and nothing else.
    fn put(&self, server: &S3Server, account: Account, url: &str, settings: &[&str]) -> Result<String> {
        self.put_through(&server.url(), account, url, settings)
    }

    fn put_through(&self, endpoint: &str, account: Account, url: &str, settings: &[&str]) -> Result<String> {
        Ok(command::finish(&mut self.putting(endpoint, account, url, settings))?.success()?.stdout)
    }

    fn putting(&self, endpoint: &str, account: Account, url: &str, settings: &[&str]) -> Command {
        let mut put = command(env!("CARGO_BIN_EXE_put-object"));
        put.env("AWS_ACCESS_KEY_ID", account.access_key)
            .env("AWS_SECRET_ACCESS_KEY", account.secret_key)
            .args([url, KEY])
            .arg(&self.file)
            .arg(format!("endpoint_url={endpoint}"))
            .arg("path_style=true")
            .args(settings);
        put
    }
}

#[track_caller]
fn check_refused(said: &str, remedy: &str, why: &str) {
    assert!(said.starts_with(remedy) && said.contains(why), "not {remedy:?} because {why:?}:\n{said}");
    for secret in [ADMINISTRATOR.secret_key, HOST.secret_key, WRITER.secret_key, "Signature="] {
        assert!(!said.contains(secret), "a secret is shown:\n{said}");
    }
}

#[test]
fn a_report_is_created_once_and_found_again() -> Result<()> {
    let Some(server) = S3Server::start_or_skipped()? else { return Ok(()) };
    let url = format!("s3://{BUCKET}/patchd/prod");
    let report = Report::new(b"the report")?;
    assert_eq!(report.put(&server, HOST, &url, &[])?, "stored\n");
    let key = format!("patchd/prod/{KEY}");
    assert_eq!(server.keys(BUCKET)?, [key.as_str()]);
    let (bytes, object) = server.object(BUCKET, &key)?;
    assert_eq!(bytes, b"the report");
    assert_eq!(object.content_type(), Some("application/json"));
    assert_eq!(object.content_encoding(), Some("gzip"));

    assert_eq!(report.put(&server, HOST, &url, &[])?, "already stored\n", "our own earlier success");
    for other in [&b"another report"[..], b"the report, and more", b"the", b""] {
        let said = Report::new(other)?.put(&server, HOST, &url, &[])?;
        check_refused(&said, "never: ", "never overwritten");
    }
    assert_eq!(server.object(BUCKET, &key)?.0, b"the report");

    let encrypted = format!("s3://{BUCKET}/encrypted");
    assert_eq!(report.put(&server, HOST, &encrypted, &["encryption=s3"])?, "stored\n");
    let (bytes, object) = server.object(BUCKET, &format!("encrypted/{KEY}"))?;
    assert_eq!(bytes, b"the report");
    assert_eq!(object.server_side_encryption(), Some(&ServerSideEncryption::Aes256));
    Ok(())
}

#[test]
fn a_refusal_says_who_has_to_do_what() -> Result<()> {
    let Some(mut server) = S3Server::start_or_skipped()? else { return Ok(()) };
    server.create_bucket("forbidden")?;
    let report = Report::new(b"the report")?;
    let url = format!("s3://{BUCKET}/patchd");

    let wrong = Account { secret_key: "not-the-secret", ..HOST };
    check_refused(&report.put(&server, wrong, &url, &[])?, "configuration: ", "the secret key is wrong");
    let unknown = Account { access_key: "NOBODY", ..HOST };
    check_refused(&report.put(&server, unknown, &url, &[])?, "configuration: ", "access key is not known");
    let said = report.put(&server, HOST, "s3://forbidden/patchd", &[])?;
    check_refused(&said, "configuration: ", "s3:PutObject");

    assert_eq!(report.put(&server, WRITER, &url, &[])?, "stored\n", "who only writes can write");
    let said = report.put(&server, WRITER, &url, &[])?;
    check_refused(&said, "configuration: ", "it can't be read to make sure");

    assert_eq!(server.keys("forbidden")?, [""; 0]);
    server.kill()?;
    check_refused(&report.put(&server, HOST, &url, &[])?, "later: ", "the store can't be reached");
    Ok(())
}

#[test]
fn without_credentials_it_says_so() -> Result<()> {
    let report = Report::new(b"the report")?;
    let mut put = command(env!("CARGO_BIN_EXE_put-object"));
    // A port that nobody listens on stands for a machine without a metadata service.
    put.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
        .args(["s3://reports/patchd", KEY])
        .arg(&report.file)
        .args(["endpoint_url=http://127.0.0.1:9", "path_style=true"]);
    let said = command::finish(&mut put).context("putting without credentials")?.success()?.stdout;
    check_refused(&said, "configuration: ", "there are no AWS credentials for it");
    Ok(())
}

#[test]
fn what_is_altered_on_the_way_is_never_taken() -> Result<()> {
    let Some(server) = S3Server::start_or_skipped()? else { return Ok(()) };
    let target = server.url();
    let wire = FakeHttp::start(move |_, request| {
        let mut altered = request.clone();
        if let Some(byte) = altered.body.first_mut() {
            *byte ^= 1;
        }
        altered.forward(&target).unwrap_or_else(|_| Reply::status(502))
    })?;
    let report = Report::new(b"the report")?;
    let said = report.put_through(&wire.url(), HOST, &format!("s3://{BUCKET}/patchd"), &[])?;
    check_refused(&said, "configuration: ", "it arrived changed, again and again");
    assert_eq!(wire.asked().len(), 3, "sent three times");
    assert_eq!(server.keys(BUCKET)?, [""; 0]);
    Ok(())
}

#[test]
fn a_certificate_counts_that_the_system_vouches_for_and_no_other() -> Result<()> {
    let Some(server) = S3Server::start_or_skipped()? else { return Ok(()) };
    let Some((endpoint, certificate)) = server.tls() else {
        left_out("S3 over TLS: openssl is not installed");
        return Ok(());
    };
    let report = Report::new(b"the report")?;
    let mut put = report.putting(&endpoint, HOST, &format!("s3://{BUCKET}"), &[]);
    let said = command::finish(&mut put)?.success()?.stdout;
    check_refused(&said, "later: ", "invalid peer certificate");
    put.env("SSL_CERT_FILE", &certificate);
    assert_eq!(command::finish(&mut put)?.success()?.stdout, "stored\n");
    assert_eq!(server.keys(BUCKET)?, [KEY]);
    Ok(())
}
