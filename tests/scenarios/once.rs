//! One run without a daemon, as an image build or a CI job starts it: everything comes from the environment.

use anyhow::{Context, Result};
use patchd_tests::binaries::Binaries;
use patchd_tests::command;
use patchd_tests::place;
use patchd_tests::s3::{BUCKET, HOST, S3Server};

/// As AWS's own tools are told of another S3 server: an address and a key pair, no region, no path style.
#[test]
fn a_scan_into_s3_needs_nothing_but_the_environment() -> Result<()> {
    let Some(server) = S3Server::start_or_skipped()? else { return Ok(()) };
    let scratch = place::scratch("once")?;
    let nowhere = scratch.path().join("config");
    std::fs::create_dir_all(&nowhere)?;
    let mut scan = command::command(Binaries::find()?.patchd);
    scan.args(["once", "--no-refresh", "--store"])
        .arg(format!("s3://{BUCKET}/images"))
        .arg("--config-root")
        .arg(&nowhere)
        .arg("--state")
        .arg(scratch.path().join("state"))
        .arg("scan")
        .env("AWS_ENDPOINT_URL", server.url().replace("127.0.0.1", "localhost"))
        .env("AWS_ACCESS_KEY_ID", HOST.access_key)
        .env("AWS_SECRET_ACCESS_KEY", HOST.secret_key)
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let told = command::finish(&mut scan)?.success()?.stdout;
    let keys = server.keys(BUCKET)?;
    let reports = keys.iter().filter(|key| key.starts_with("images/v1/reports/")).collect::<Vec<_>>();
    let [key] = reports.as_slice() else { anyhow::bail!("one report was expected: {keys:?}") };
    assert!(told.contains(&format!("s3://{BUCKET}/{key}")), "{told}");
    let (bytes, _) = server.object(BUCKET, key)?;
    let report = patchd_protocol::report::gzip::decode(&bytes, 64 << 20).context("reading the report")?;
    assert_eq!(report.id, key.rsplit_once("Z-scan-").context("its key")?.1.trim_end_matches(".json.gz"));
    assert!(!report.items.is_empty());
    Ok(())
}
