//! What the S3 store sends, where no server of the tests can judge it: role credentials, KMS, the bucket's owner; and
//! what it does when answers get lost.

use std::io::Write;

use anyhow::{Context, Result};
use patchd_tests::command::{self, Finished, command};
use patchd_tests::fake_http::{FakeHttp, Reply, Request};
use patchd_tests::place;

const ROLE: &str = r#"{"Code":"Success","LastUpdated":"2026-11-23T06:00:00Z","Type":"AWS-HMAC",
    "AccessKeyId":"ASIAROLE","SecretAccessKey":"role-secret","Token":"role-token",
    "Expiration":"2099-01-01T00:00:00Z"}"#;

/// The metadata service of an instance that has a role.
fn instance(request: &Request) -> Reply {
    match (request.method.as_str(), request.target.trim_end_matches('/')) {
        ("PUT", "/latest/api/token") => {
            Reply::ok("TOKEN").with_header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
        }
        _ if request.header("x-aws-ec2-metadata-token") != Some("TOKEN") => Reply::status(401),
        ("GET", "/latest/meta-data/placement/region") => Reply::ok("eu-south-2"),
        ("GET", path) if path.ends_with("/patch-role") => Reply::ok(ROLE),
        ("GET", path) if path.contains("/security-credentials") => Reply::ok("patch-role"),
        _ => Reply::status(404),
    }
}

/// An answer of S3 that carries an error.
fn error(status: u16, code: &str) -> Reply {
    Reply::status(status)
        .with_header("content-type", "application/xml")
        .with_body(format!("<Error><Code>{code}</Code><Message>a message</Message></Error>"))
}

fn put(environment: &[(&str, &str)], settings: &[String]) -> Result<Finished> {
    let directory = place::scratch("report")?;
    let file = directory.path().join("report");
    std::fs::File::create(&file)?.write_all(b"the report")?;
    let mut put = command(env!("CARGO_BIN_EXE_put-object"));
    put.envs(environment.iter().copied())
        .args(["s3://reports/patchd", "v1/x.json.gz"])
        .arg(&file)
        .args(settings);
    command::finish(&mut put)?.success()
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "HOST"), ("AWS_SECRET_ACCESS_KEY", "host-secret")];

fn put_to(server: &FakeHttp, settings: &[&str]) -> Result<String> {
    let mut all = vec![format!("endpoint_url={}", server.url()), "path_style=true".into()];
    all.extend(settings.iter().map(|&setting| setting.to_owned()));
    Ok(put(&KEYS, &all)?.stdout)
}

#[test]
fn the_role_of_the_instance_signs_and_no_proxy_sees_its_token() -> Result<()> {
    let metadata = FakeHttp::start(|_, request| instance(request))?;
    // It stands for S3 too: over plain HTTP a proxy gets the whole request.
    let proxy = FakeHttp::start(|_, _| Reply::ok(""))?;
    let proxy_url = proxy.url();
    let environment =
        [("HTTP_PROXY", proxy_url.as_str()), ("http_proxy", &proxy_url), ("ALL_PROXY", &proxy_url)];
    let settings = [
        format!("metadata_url={}", metadata.url()),
        "endpoint_url=http://s3.example.invalid".into(),
        "path_style=true".into(),
    ];
    let said = put(&environment, &settings)?.stdout;
    assert_eq!(said, "stored\n");
    let asked = proxy.asked();
    assert_eq!(asked.len(), 1, "the proxy sees the upload and nothing else: {asked:#?}");
    let upload = asked.first().context("an upload")?;
    assert_eq!(upload.method, "PUT");
    assert!(
        upload.target.starts_with("http://s3.example.invalid/reports/patchd/v1/x.json.gz"),
        "{upload:#?}"
    );
    assert_eq!(upload.header("x-amz-security-token"), Some("role-token"));
    let authorization = upload.header("authorization").unwrap_or_default();
    assert!(authorization.contains("Credential=ASIAROLE/"), "{authorization}");
    let asked = metadata.asked();
    assert!(asked.iter().any(|request| request.method == "PUT"), "version 2: {asked:#?}");
    assert!(asked.iter().all(|request| !request.target.starts_with("http")), "asked directly: {asked:#?}");
    Ok(())
}

#[test]
fn the_region_comes_from_the_instance_where_nobody_set_one() -> Result<()> {
    let metadata = FakeHttp::start(|_, request| instance(request))?;
    let s3 = FakeHttp::start(|_, _| Reply::ok(""))?;
    let proxy_url = s3.url();
    // Without a custom endpoint the request goes to Amazon's own name, and here to a proxy that pretends to be it.
    let environment = [
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url()),
        ("HTTPS_PROXY", proxy_url),
        ("NO_PROXY", "127.0.0.1".into()),
    ];
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let said = put(&environment, &[])?.stdout;
    assert!(said.starts_with("later: "), "a proxy that can't tunnel is no S3: {said}");
    let asked = s3.asked();
    let tunnel = asked.first().context("a request to the proxy")?;
    assert_eq!(tunnel.method, "CONNECT");
    assert_eq!(tunnel.target, "reports.s3.eu-south-2.amazonaws.com:443");
    Ok(())
}

#[test]
fn an_upload_says_all_that_protects_it() -> Result<()> {
    let server = FakeHttp::start(|_, _| Reply::ok(""))?;
    let settings = ["region=eu-central-1", "kms_key_id=alias/patchd", "expected_bucket_owner=123456789012"];
    assert_eq!(put_to(&server, &settings)?, "stored\n");
    let asked = server.asked();
    let upload = asked.first().context("an upload")?;
    let expected = [
        ("if-none-match", "*"),
        ("content-length", "10"),
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "alias/patchd"),
        ("x-amz-expected-bucket-owner", "123456789012"),
        // printf 'the report' | openssl dgst -sha256 -binary | base64
        ("x-amz-checksum-sha256", "FOTM6GeISZ0DFE9wqyTKg9Gr6X1VFTxx7h31XFKWwfk="),
    ];
    for (name, value) in expected {
        assert_eq!(upload.header(name), Some(value), "{name} of {upload:#?}");
    }
    assert!(upload.header("x-amz-trailer").is_none() && upload.header("x-amz-acl").is_none(), "{upload:#?}");
    let agent = upload.header("user-agent").unwrap_or_default();
    assert!(agent.contains(concat!("app/patchd-", env!("CARGO_PKG_VERSION"))), "{agent}");
    let authorization = upload.header("authorization").unwrap_or_default();
    assert!(authorization.contains("/eu-central-1/s3/aws4_request"), "{authorization}");
    Ok(())
}

#[test]
fn an_answer_that_got_lost_is_found_out() -> Result<()> {
    // It stores the first upload, and the connection breaks before it can say so.
    let server = FakeHttp::start(|number, request| match (number, request.method.as_str()) {
        (0, "PUT") => Reply::Reset,
        (_, "PUT") => error(412, "PreconditionFailed"),
        _ => Reply::ok("the report"),
    })?;
    assert_eq!(put_to(&server, &[])?, "already stored\n");
    Ok(())
}

#[test]
fn what_s3_has_not_decided_is_asked_again() -> Result<()> {
    let server = FakeHttp::start(|number, request| match (number, request.method.as_str()) {
        (0, "PUT") => error(409, "ConditionalRequestConflict"),
        (1, "GET") => error(404, "NoSuchKey"),
        _ => Reply::ok(""),
    })?;
    assert_eq!(put_to(&server, &[])?, "stored\n");
    let methods: Vec<_> = server.asked().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, ["PUT", "GET", "PUT"]);
    Ok(())
}

#[test]
fn credentials_that_ran_out_are_fetched_again() -> Result<()> {
    let metadata = FakeHttp::start(|_, request| instance(request))?;
    let server =
        FakeHttp::start(|number, _| if number == 0 { error(400, "ExpiredToken") } else { Reply::ok("") })?;
    let settings = [
        format!("metadata_url={}", metadata.url()),
        format!("endpoint_url={}", server.url()),
        "path_style=true".into(),
    ];
    assert_eq!(put(&[], &settings)?.stdout, "stored\n");
    let tokens = metadata.asked().iter().filter(|request| request.method == "PUT").count();
    assert_eq!(tokens, 2, "once for each set of credentials");
    Ok(())
}

#[test]
fn a_bucket_elsewhere_and_a_busy_store_are_told_apart() -> Result<()> {
    let server = FakeHttp::start(|_, _| {
        error(301, "PermanentRedirect").with_header("x-amz-bucket-region", "eu-west-3")
    })?;
    let said = put_to(&server, &[])?;
    assert!(said.starts_with("configuration: ") && said.contains("`region = \"eu-west-3\"`"), "{said}");
    assert_eq!(server.asked().len(), 1);

    let server = FakeHttp::start(|_, _| error(503, "SlowDown"))?;
    let said = put_to(&server, &[])?;
    assert!(said.starts_with("later: ") && said.contains("503 SlowDown"), "{said}");
    assert_eq!(server.asked().len(), 3, "tried three times");
    Ok(())
}
