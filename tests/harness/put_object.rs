//! Puts one file into a store as the daemon does, with the credentials that its environment gives it, and says what came
//! of it. A process of its own, so that scenarios can choose that environment.
//!
//! `put-object URL KEY FILE [NAME=VALUE ...]`, the names being those of the store's settings.

use anyhow::{Context, Result, bail};
use patchd_daemon::store::s3::{Encryption, S3Settings};
use patchd_daemon::store::{Remedy, Store, Stored};
use patchd_daemon::tls;

#[expect(clippy::print_stdout, reason = "the answer to the scenario that started it")]
fn main() -> Result<()> {
    tls::install_provider();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, key, file, settings @ ..] = arguments.as_slice() else {
        bail!("put-object URL KEY FILE [NAME=VALUE ...]");
    };
    let bytes = std::fs::read(file).with_context(|| format!("reading {file}"))?;
    let store = Store::new(&url.parse()?, parse(settings)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(store.put(key, bytes.into())) {
        Ok(Stored::Now) => println!("stored"),
        Ok(Stored::Already) => println!("already stored"),
        Err(error) => {
            let remedy = match error.remedy {
                Remedy::Later => "later",
                Remedy::Configuration => "configuration",
                Remedy::Never => "never",
            };
            println!("{remedy}: {error}\n{error:?}");
        }
    }
    Ok(())
}

fn parse(settings: &[String]) -> Result<S3Settings> {
    let mut parsed = S3Settings::default();
    for setting in settings {
        let (name, value) = setting.split_once('=').with_context(|| format!("reading {setting}"))?;
        let text = Some(value.to_owned());
        match name {
            "region" => parsed.region = text,
            "endpoint_url" => parsed.endpoint_url = text,
            "path_style" => parsed.path_style = value == "true",
            "encryption" => parsed.encryption = Encryption::S3Managed,
            "kms_key_id" => parsed.encryption = Encryption::Kms { key_id: value.into() },
            "expected_bucket_owner" => parsed.expected_bucket_owner = text,
            "metadata_url" => parsed.metadata_url = text,
            _ => bail!("{name} is no setting of a store"),
        }
    }
    Ok(parsed)
}
