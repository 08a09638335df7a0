//! The checks of what AWS is needed for: who this is, the region, the credentials, the store, and proxies between.

use std::path::Path;
use std::time::Duration;

use patchd_protocol::config::Settings;
use patchd_protocol::doctor::{CheckName, CheckWire};
use patchd_protocol::store_url::StoreUrl;

use super::delivery::Delivered;
use super::{Doctor, Environment};
use crate::deliver::store_of;
use crate::store::s3::Probe;
use crate::store::{Remedy, Store};

const METADATA: &str = "169.254.169.254";
/// Where containers get credentials from.
const CONTAINER_CREDENTIALS: [&str; 2] = ["169.254.170.2", "169.254.170.23"];

pub(super) async fn identity(doctor: &Doctor, settings: &Settings) -> CheckWire {
    const NAME: CheckName = CheckName::Identity;
    let name_it = "set instance_id, account and region in [agent] of /etc/patchd/patchd.toml, or host_id";
    let host = settings.agent.host_id.as_deref();
    let (cloud, problem) = doctor.identities.cloud(settings.agent.instance.as_ref()).await;
    match (cloud, problem, host) {
        (Some(cloud), _, _) => {
            let id = host.unwrap_or(&cloud.instance_id);
            let by = if settings.agent.instance.is_some() {
                "as configured"
            } else {
                "as its metadata service says"
            };
            let detail = format!(
                "reports call it {id}: {} of account {} in {}, {by}",
                cloud.instance_id, cloud.account, cloud.region
            );
            CheckWire::ok(NAME, detail)
        }
        (None, None, _)
            if doctor.environment.value("AWS_EC2_METADATA_DISABLED").is_some() && host.is_none() =>
        {
            CheckWire::warning(
                NAME,
                "AWS_EC2_METADATA_DISABLED keeps it from asking who this instance is",
                name_it,
            )
        }
        (None, None, _) => {
            let id = doctor.identities.host(&settings.agent).await;
            CheckWire::ok(NAME, format!("this is no EC2 instance; reports call it {id}"))
        }
        (None, Some(problem), Some(id)) => CheckWire::warning(
            NAME,
            format!("reports call it {id}, without account and region: {}", problem.message),
            name_it,
        ),
        (None, Some(problem), None) => CheckWire::failing(
            NAME,
            format!("nobody says which instance this is: {}", problem.message),
            name_it,
        ),
    }
}

/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What to do where the way to the store is in doubt.
const WAY: &str =
    "look at DNS (getent hosts), routes, security groups, a VPC endpoint and its policy, and proxies";

/// Whether AWS is needed at all for where reports go.
fn needs_aws(settings: &Settings) -> bool {
    matches!(settings.store.location, StoreUrl::S3 { .. })
}

pub(super) async fn region(doctor: &Doctor, settings: &Settings) -> CheckWire {
    const NAME: CheckName = CheckName::Region;
    if !needs_aws(settings) {
        return CheckWire::ok(NAME, "none is needed: reports go to a folder");
    }
    if let Some(region) = &settings.store.s3.region {
        return CheckWire::ok(NAME, format!("{region}, as configured"));
    }
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        if let Some(region) = doctor.environment.value(name) {
            return CheckWire::ok(NAME, format!("{region}, by {name}"));
        }
    }
    let has_endpoint =
        settings.store.s3.endpoint.is_some() || doctor.environment.value("AWS_ENDPOINT_URL_S3").is_some();
    match doctor.identities.cloud(settings.agent.instance.as_ref()).await.0 {
        _ if has_endpoint => CheckWire::ok(NAME, "the default of the endpoint that is configured"),
        Some(cloud) => CheckWire::ok(NAME, format!("{}, the instance's own", cloud.region)),
        None => CheckWire::failing(
            NAME,
            "nobody says in which region the bucket is",
            "set region in [store] of /etc/patchd/patchd.toml, or AWS_REGION in the unit",
        ),
    }
}

pub(super) async fn credentials(doctor: &Doctor, settings: &Settings) -> CheckWire {
    const NAME: CheckName = CheckName::Credentials;
    if !needs_aws(settings) {
        return CheckWire::ok(NAME, "none are needed: reports go to a folder");
    }
    for (name, what) in [
        ("AWS_ACCESS_KEY_ID", "the environment has some"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "they come with a web identity"),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "they come from the container's service"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "they come from the container's service"),
        ("AWS_PROFILE", "they come from a profile"),
    ] {
        if doctor.environment.value(name).is_some() {
            return CheckWire::ok(NAME, format!("{what} ({name})"));
        }
    }
    if matches!(doctor.deliveries.last(), Some(Delivered::Stored { .. })) {
        return CheckWire::ok(NAME, "the store took the last report with them");
    }
    let home = doctor.environment.value("HOME").unwrap_or_default();
    if [".aws/credentials", ".aws/config"].iter().any(|file| Path::new(&home).join(file).exists()) {
        return CheckWire::ok(NAME, format!("they come from the profiles in {home}/.aws"));
    }
    let attach = "attach an instance profile whose role may s3:PutObject below the store's prefix (packaging has the policy)";
    match doctor.identities.role().await {
        None => CheckWire::cannot_tell(
            NAME,
            "no metadata service may be asked for a role",
            "look at the store's check",
        ),
        Some(Ok(None)) => CheckWire::failing(NAME, "the instance has no role", attach),
        Some(Ok(Some(role))) => match (&role.refused, role.expires_at) {
            (Some(code), _) => CheckWire::failing(
                NAME,
                format!("the role {} can't be taken on: {code}", role.name),
                "let the service ec2.amazonaws.com assume the role in its trust policy",
            ),
            (None, Some(until)) => {
                CheckWire::ok(NAME, format!("those of the role {} hold until {until}", role.name))
            }
            (None, None) => CheckWire::ok(NAME, format!("those of the role {}", role.name)),
        },
        Some(Err(why)) => CheckWire::failing(NAME, why, attach),
    }
}

/// Whether the store answers. Nothing is written: what a write comes to is told by the last delivery.
pub(super) async fn store(settings: &Settings) -> CheckWire {
    const NAME: CheckName = CheckName::Store;
    let store = store_of(&settings.store);
    let shown = store.to_string();
    match &store {
        Store::File(files) => {
            let directory = files.directory();
            let is_usable = match directory.metadata() {
                Ok(data) if data.is_dir() => {
                    nix::unistd::access(directory, nix::unistd::AccessFlags::W_OK).is_ok()
                }
                Ok(_) => false,
                // It is made with the first report, where its parent lets it.
                Err(_) => directory.parent().is_some_and(|parent| {
                    nix::unistd::access(parent, nix::unistd::AccessFlags::W_OK).is_ok()
                }),
            };
            match is_usable {
                true => CheckWire::ok(NAME, format!("reports go to {shown}")),
                false => CheckWire::failing(
                    NAME,
                    format!("{shown} can't be written"),
                    format!(
                        "install -d -o patchd -g patchd -m 0750 {}; the unit's sandbox needs ReadWritePaths= for it",
                        directory.display()
                    ),
                ),
            }
        }
        Store::S3(bucket) => match tokio::time::timeout(PATIENCE, bucket.probe()).await {
            Ok(Ok(Probe::Answers)) => CheckWire::ok(NAME, format!("{shown} answers")),
            Ok(Ok(Probe::MayNotRead)) => CheckWire::ok(
                NAME,
                format!(
                    "{shown} answers, and lets this role read nothing: the delivery tells whether it may write"
                ),
            ),
            Ok(Err(error)) => {
                let remedy = match error.remedy {
                    Remedy::Later => WAY,
                    Remedy::Configuration | Remedy::Never => {
                        "mend [store] in /etc/patchd/patchd.toml, the role or the bucket's policy"
                    }
                };
                CheckWire::failing(NAME, format!("{shown}: {}", error.sentence), remedy)
            }
            Err(_) => CheckWire::failing(
                NAME,
                format!("{shown} did not answer within {} seconds", PATIENCE.as_secs()),
                WAY,
            ),
        },
    }
}

/// A proxy that would be sent what is for this host alone. patchd itself goes past every proxy to the metadata service.
pub(super) fn proxy(environment: &Environment) -> CheckWire {
    const NAME: CheckName = CheckName::Proxy;
    let names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let set: Vec<_> = names.into_iter().filter(|name| environment.value(name).is_some()).collect();
    if set.is_empty() {
        return CheckWire::ok(NAME, "none is set");
    }
    let none = environment.value("NO_PROXY").or_else(|| environment.value("no_proxy")).unwrap_or_default();
    let spared: Vec<_> = none.split(',').map(str::trim).collect();
    let is_spared = |host: &str| spared.contains(&host) || spared.contains(&"*");
    // The proxy for HTTPS is never asked for what is plain HTTP.
    let takes_http = set.iter().any(|name| !name.eq_ignore_ascii_case("HTTPS_PROXY"));
    let uses_container = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"]
        .into_iter()
        .any(|name| environment.value(name).is_some());
    let shown = set.join(", ");
    if takes_http && uses_container && !CONTAINER_CREDENTIALS.into_iter().any(is_spared) {
        return CheckWire::failing(
            NAME,
            format!("{shown} would be asked for the container's credentials"),
            format!(
                "Environment=NO_PROXY={METADATA},{} in the unit of patchd",
                CONTAINER_CREDENTIALS.join(",")
            ),
        );
    }
    if takes_http && !is_spared(METADATA) {
        return CheckWire::warning(
            NAME,
            format!(
                "{shown} would get the tokens of the metadata service from AWS's own tools; patchd goes past it"
            ),
            format!("Environment=NO_PROXY={METADATA},fd00:ec2::254 in the unit of patchd"),
        );
    }
    CheckWire::ok(NAME, format!("the store is reached by way of {shown}"))
}
