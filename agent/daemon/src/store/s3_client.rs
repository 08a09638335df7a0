//! Builds the S3 client: whose credentials, which region, how long to wait, how often to try. It makes no S3 call.
//!
//! The credential chain is AWS's own (environment, profile, web identity, container, instance role), without the parts
//! that start processes or open browsers.

use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::imds;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region};
use aws_sdk_s3::Client;

use super::s3::S3Settings;

/// One try, from the connection to the last byte of the answer.
const ATTEMPT: Duration = Duration::from_secs(30);
/// All tries together.
const OPERATION: Duration = Duration::from_secs(120);
const ATTEMPTS: u32 = 3;
/// A small host stands still for that long while dpkg writes.
const STALL: Duration = Duration::from_secs(30);
/// Where a custom endpoint has no regions, requests are still signed for one.
const REGION_OF_CUSTOM_ENDPOINTS: &str = "us-east-1";
/// The name under which AWS's profiles ask for the instance role.
const INSTANCE_ROLE: &str = "Ec2InstanceMetadata";

/// Defaults of the SDK move with this date and never with an upgrade.
fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// A client for these settings, or the sentence that says what is missing.
pub(super) async fn build(settings: &S3Settings) -> Result<Client, String> {
    let metadata = metadata_client(settings)?;
    let endpoint = settings.endpoint_url.clone().or_else(endpoint_of_environment);
    let region = region(settings, endpoint.is_some(), &metadata).await?;
    let credentials = DefaultCredentialsChain::builder()
        .configure(ProviderConfig::without_region().with_behavior_version(Some(behavior())))
        .region(region.clone())
        .imds_client(metadata.clone())
        // A profile that borrows the instance role gets it from the same client, past every proxy.
        .with_custom_credential_source(
            INSTANCE_ROLE,
            ImdsCredentialsProvider::builder().imds_client(metadata).build(),
        )
        .build()
        .await;
    let name = AppName::new(concat!("patchd-", env!("CARGO_PKG_VERSION")))
        .expect("the version holds letters, digits, dots and hyphens only");
    let mut loader = aws_config::defaults(behavior())
        .region(region)
        .credentials_provider(credentials)
        .app_name(name)
        // Set here, so that no odd AWS_MAX_ATTEMPTS in the environment can stop the process.
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(
            TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).operation_timeout(OPERATION).build(),
        )
        .stalled_stream_protection(StalledStreamProtectionConfig::enabled().grace_period(STALL).build());
    let path_style = settings.path_style || endpoint.as_deref().is_some_and(has_no_buckets_as_hosts);
    if let Some(url) = endpoint {
        loader = loader.endpoint_url(url);
    }
    let shared = loader.load().await;
    let config = aws_sdk_s3::config::Builder::from(&shared).force_path_style(path_style).build();
    Ok(Client::from_conf(config))
}

/// The SDK's own client of the metadata service, without the proxies that the environment names: they would be handed
/// the token, and the service refuses what comes through them.
fn metadata_client(settings: &S3Settings) -> Result<imds::Client, String> {
    let config = ProviderConfig::without_region()
        .with_behavior_version(Some(behavior()))
        .with_http_client(aws_smithy_http_client::Builder::new().build_http());
    let mut builder = imds::Client::builder().configure(&config);
    if let Some(url) = &settings.metadata_url {
        builder = builder
            .endpoint(url)
            .map_err(|error| format!("{url:?} is no address of a metadata service: {error}"))?;
    }
    Ok(builder.build())
}

/// The S3 server that the environment names, as every AWS tool reads it.
fn endpoint_of_environment() -> Option<String> {
    let is_ignored = std::env::var("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
        .is_ok_and(|word| word.eq_ignore_ascii_case("true"));
    let named = |name| std::env::var(name).ok().filter(|url| !url.is_empty());
    if is_ignored { None } else { named("AWS_ENDPOINT_URL_S3").or_else(|| named("AWS_ENDPOINT_URL")) }
}

/// Whether a server's name can't have a bucket's name in front of it: `localhost`, `minio`, an address.
fn has_no_buckets_as_hosts(endpoint: &str) -> bool {
    let authority = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let authority = authority.split(['/', '?']).next().unwrap_or_default();
    if authority.starts_with('[') {
        return true;
    }
    let host = authority.split(':').next().unwrap_or_default();
    !host.contains('.') || host.parse::<std::net::Ipv4Addr>().is_ok()
}

async fn region(
    settings: &S3Settings,
    has_custom_endpoint: bool,
    metadata: &imds::Client,
) -> Result<Region, String> {
    if let Some(region) = &settings.region {
        return Ok(Region::new(region.clone()));
    }
    let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new());
    let found = if has_custom_endpoint {
        chain.or_else(Region::new(REGION_OF_CUSTOM_ENDPOINTS)).region().await
    } else {
        chain.or_else(ImdsRegionProvider::builder().imds_client(metadata.clone()).build()).region().await
    };
    found.ok_or_else(|| {
        "the region of the bucket is not known: set `region` of the store, or AWS_REGION".into()
    })
}

#[cfg(test)]
mod tests {
    use super::has_no_buckets_as_hosts;

    #[test]
    fn buckets_are_paths_where_they_can_not_be_hosts() {
        for endpoint in
            ["http://localhost:8333", "http://127.0.0.1:8333/x", "http://[::1]:8333", "http://minio"]
        {
            assert!(has_no_buckets_as_hosts(endpoint), "{endpoint}");
        }
        for endpoint in ["https://s3.eu-west-1.amazonaws.com", "https://s3.example.org:8333/"] {
            assert!(!has_no_buckets_as_hosts(endpoint), "{endpoint}");
        }
    }
}
