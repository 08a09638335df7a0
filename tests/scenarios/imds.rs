//! Who this machine is, asked of services that behave, that refuse, and that are something else.

use anyhow::{Context, Result};
use patchd_daemon::identity::Identities;
use patchd_daemon::imds::{Hardware, Identity, InstanceIdentity, MetadataService, Role};
use patchd_host::durable;
use patchd_host::root::Root;
use patchd_protocol::config::{AgentSettings, InstanceSettings, Settings};
use patchd_tests::fake_http::{FakeHttp, Reply, Request};
use patchd_tests::outcome::left_out;
use patchd_tests::place::shared_data;

const DOCUMENT: &str = r#"{"accountId":"123456789012","region":"eu-central-1","instanceId":"i-0123456789abcdef0",
    "availabilityZone":"eu-central-1a","kernelId":null,"version":"2017-09-30"}"#;

fn identity_of(server: &FakeHttp, hardware: Hardware) -> Result<Identity> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let service = MetadataService::new(&server.url()).context("making a client")?;
    Ok(runtime.block_on(service.identity(hardware)))
}

fn expected() -> Identity {
    Identity::Ec2(InstanceIdentity {
        account: "123456789012".into(),
        region: "eu-central-1".into(),
        instance_id: "i-0123456789abcdef0".into(),
    })
}

/// The service as it should be.
fn honest(request: &Request) -> Reply {
    match (request.method.as_str(), request.target.as_str()) {
        ("PUT", "/latest/api/token") => match request.header("x-aws-ec2-metadata-token-ttl-seconds") {
            Some(_) => Reply::ok("TOKEN==").with_header("x-aws-ec2-metadata-token-ttl-seconds", "60"),
            None => Reply::status(400),
        },
        ("GET", "/latest/dynamic/instance-identity/document") => {
            match request.header("x-aws-ec2-metadata-token") {
                Some("TOKEN==") => Reply::ok(DOCUMENT),
                _ => Reply::status(401),
            }
        }
        _ => Reply::status(404),
    }
}

#[track_caller]
fn check_unavailable(identity: &Identity, says: &str) {
    let is_said = matches!(identity, Identity::Unavailable { because } if because.contains(says));
    assert!(is_said, "{identity:?} does not say {says:?}");
}

#[test]
fn an_instance_is_known_by_token_and_document() -> Result<()> {
    let server = FakeHttp::start(|_, request| honest(request))?;
    assert_eq!(identity_of(&server, Hardware::Ec2)?, expected());
    let asked = server.asked();
    assert_eq!(asked.len(), 2, "{asked:#?}");
    assert!(asked.iter().all(|request| request.header("x-forwarded-for").is_none()));
    Ok(())
}

#[test]
fn the_documented_default_values_are_understood() -> Result<()> {
    let Some(data) = shared_data() else {
        left_out("the instance identity document of Amazon's metadata mock");
        return Ok(());
    };
    let values = std::fs::read(data.join("aws/imds-default-values.json"))?;
    let values: serde_json::Value = serde_json::from_slice(&values)?;
    let document = values
        .pointer("/dynamic/values/instance-identity-document")
        .context("the document among the default values")?
        .clone();
    let text = document.to_string();
    let server = FakeHttp::start(move |_, request| match request.method.as_str() {
        "GET" => Reply::ok(text.clone()),
        _ => honest(request),
    })?;
    let Identity::Ec2(identity) = identity_of(&server, Hardware::Ec2)? else {
        anyhow::bail!("no identity from {document}");
    };
    assert_eq!(Some(identity.account.as_str()), document["accountId"].as_str());
    assert_eq!(Some(identity.region.as_str()), document["region"].as_str());
    assert_eq!(Some(identity.instance_id.as_str()), document["instanceId"].as_str());
    Ok(())
}

#[test]
fn a_token_that_died_is_fetched_again_once() -> Result<()> {
    let server =
        FakeHttp::start(|number, request| if number == 1 { Reply::status(401) } else { honest(request) })?;
    assert_eq!(identity_of(&server, Hardware::Ec2)?, expected());
    assert_eq!(server.asked().len(), 4);
    let server = FakeHttp::start(|_, request| match request.method.as_str() {
        "GET" => Reply::status(401),
        _ => honest(request),
    })?;
    check_unavailable(&identity_of(&server, Hardware::Ec2)?, "401");
    assert_eq!(server.asked().len(), 4, "and no more than once");
    Ok(())
}

#[test]
fn a_hiccup_is_waited_out() -> Result<()> {
    for hiccup in [Reply::status(503), Reply::Reset, Reply::Silence] {
        let server = FakeHttp::start(
            move |number, request| if number < 2 { hiccup.clone() } else { honest(request) },
        )?;
        assert_eq!(identity_of(&server, Hardware::Ec2)?, expected());
    }
    let server = FakeHttp::start(|_, _| Reply::status(503))?;
    check_unavailable(&identity_of(&server, Hardware::Ec2)?, "503");
    assert_eq!(server.asked().len(), 3, "three tries and no more");
    Ok(())
}

#[test]
fn a_refusal_is_told_and_there_is_no_way_round_it() -> Result<()> {
    let server = FakeHttp::start(|_, _| Reply::status(403))?;
    check_unavailable(&identity_of(&server, Hardware::Ec2)?, "--http-endpoint enabled");
    let asked = server.asked();
    assert_eq!(asked.len(), 1, "no version 1: {asked:#?}");
    Ok(())
}

#[test]
fn silence_is_a_hop_limit_on_ec2_and_nothing_elsewhere() -> Result<()> {
    let server = FakeHttp::start(|_, _| Reply::Silence)?;
    check_unavailable(&identity_of(&server, Hardware::Ec2)?, "hop limit");
    assert_eq!(server.asked().len(), 3, "three tries and no more");
    assert_eq!(identity_of(&server, Hardware::Other)?, Identity::NotEc2);
    assert_eq!(server.asked().len(), 1, "elsewhere it is looked once");
    Ok(())
}

#[test]
fn what_is_no_metadata_service_makes_no_instance() -> Result<()> {
    let replies = [
        Reply::status(404),
        Reply::status(405),
        Reply::Reset,
        Reply::ok("<html>welcome</html>"),
        Reply::ok(""),
        Reply::ok(vec![b'x'; 1 << 20]),
        Reply::status(302).with_header("location", "http://example.invalid/"),
    ];
    for reply in replies {
        let shown = format!("{reply:?}");
        let server = FakeHttp::start(move |_, _| reply.clone())?;
        assert_eq!(identity_of(&server, Hardware::Other)?, Identity::NotEc2, "{shown:.80}");
        assert!(matches!(identity_of(&server, Hardware::Ec2)?, Identity::Unavailable { .. }), "{shown:.80}");
    }
    Ok(())
}

/// What an instance tells of its tags, under both names that the patch group's may have.
#[test]
fn the_patch_group_is_what_the_instances_tag_says() -> Result<()> {
    let group_of = |tags: fn(&str) -> Option<Reply>| -> Result<Result<Option<String>, String>> {
        let server = FakeHttp::start(move |_, request| {
            let name = request.target.strip_prefix("/latest/meta-data/tags/instance/");
            match name {
                Some(_) if request.header("x-aws-ec2-metadata-token") != Some("TOKEN==") => {
                    Reply::status(401)
                }
                Some(name) => tags(name).unwrap_or_else(|| Reply::status(404)),
                None => honest(request),
            }
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let service = MetadataService::new(&server.url()).context("making a client")?;
        Ok(runtime.block_on(service.patch_group()))
    };
    assert_eq!(group_of(|name| (name == "PatchGroup").then(|| Reply::ok("web")))?, Ok(Some("web".into())));
    let spaced = group_of(|name| (name == "Patch%20Group").then(|| Reply::ok("data base")))?;
    assert_eq!(spaced, Ok(Some("data base".into())));
    // An instance without the tag, or one that may not tell its tags: both answer that there is no such thing.
    assert_eq!(group_of(|_| None)?, Ok(None));
    let refused = group_of(|_| Some(Reply::status(500)))?.expect_err("a failure is no group");
    assert!(refused.contains("does not tell tags"), "{refused}");
    let odd = group_of(|_| Some(Reply::ok("a\nb")))?.expect_err("a line break is in no group");
    assert!(odd.contains("can't be used"), "{odd}");
    Ok(())
}

/// The role of an instance, whose credentials may not be had.
#[test]
fn a_role_is_there_or_not_or_may_not_be_taken_on() -> Result<()> {
    let role_of = |tell: fn(&str) -> Option<Reply>| -> Result<Result<Option<Role>, String>> {
        let server = FakeHttp::start(move |_, request| {
            let name = request.target.strip_prefix("/latest/meta-data/iam/security-credentials/");
            match name {
                Some(_) if request.header("x-aws-ec2-metadata-token") != Some("TOKEN==") => {
                    Reply::status(401)
                }
                Some(name) => tell(name).unwrap_or_else(|| Reply::status(404)),
                None => honest(request),
            }
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let service = MetadataService::new(&server.url()).context("making a client")?;
        Ok(runtime.block_on(service.role()))
    };
    assert_eq!(role_of(|_| None)?, Ok(None));
    let works = role_of(|name| match name {
        "" => Some(Reply::ok("patchd-host")),
        "patchd-host" => Some(Reply::ok(
            r#"{"Code":"Success","LastUpdated":"2026-11-23T00:00:00Z","Type":"AWS-HMAC","AccessKeyId":"ASIA1",
                "SecretAccessKey":"s3cret","Token":"t","Expiration":"2026-11-23T06:00:00Z"}"#,
        )),
        _ => None,
    })?;
    let expires_at = Some("2026-11-23T06:00:00Z".parse()?);
    assert_eq!(works, Ok(Some(Role { name: "patchd-host".into(), refused: None, expires_at })));
    let refused = role_of(|name| match name {
        "" => Some(Reply::ok("patchd-host\n")),
        _ => {
            Some(Reply::ok(r#"{"Code":"AssumeRoleUnauthorizedAccess","Message":"trust","LastUpdated":"x"}"#))
        }
    })?;
    let code = refused.ok().flatten().and_then(|role| role.refused);
    assert_eq!(code.as_deref(), Some("AssumeRoleUnauthorizedAccess"));
    let hostile = role_of(|_| Some(Reply::ok("../../../../etc")))?.expect_err("a path is no name");
    assert!(hostile.contains("no name of one"), "{hostile}");
    let leaky = role_of(|name| (!name.is_empty()).then(|| Reply::ok("s3cret")).or(Some(Reply::ok("r"))))?;
    assert!(!leaky.expect_err("no document").contains("s3cret"));
    Ok(())
}

/// A root whose firmware says that it is an instance.
fn instance_root() -> Result<(tempfile::TempDir, Root)> {
    let place = tempfile::tempdir()?;
    let vendor = place.path().join("sys/class/dmi/id");
    durable::create_directories(&vendor, 0o755)?;
    durable::atomic_write(&vendor.join("sys_vendor"), b"Amazon EC2\n", 0o444)?;
    let root = Root::at(place.path());
    Ok((place, root))
}

#[test]
fn an_instance_whose_network_comes_late_is_asked_on_until_it_is_known() -> Result<()> {
    // As long as three tries of the first question, and one more.
    let server = FakeHttp::start(|number, request| if number < 4 { Reply::Reset } else { honest(request) })?;
    let (_place, root) = instance_root()?;
    let identities = Identities::new(&root, Some(MetadataService::new(&server.url())?));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let nothing_said = Settings::default().agent;
    runtime.block_on(async {
        let own = identities.host(&nothing_said).await;
        assert!(!own.starts_with("i-"), "{own}");
        let (unknown, problem) = identities.cloud(None).await;
        assert!(unknown.is_some() || problem.is_some(), "it is never no instance");
        identities.settle().await;
        assert!(identities.is_settled());
        assert_eq!(identities.host(&nothing_said).await, "i-0123456789abcdef0");
    });
    Ok(())
}

#[test]
fn an_instance_without_a_metadata_service_is_who_the_operator_says() -> Result<()> {
    let server = FakeHttp::start(|_, _| Reply::status(403))?;
    let (_place, root) = instance_root()?;
    let identities = Identities::new(&root, Some(MetadataService::new(&server.url())?));
    let instance = InstanceSettings {
        instance_id: "i-0feedfacecafebeef".into(),
        account: "123456789012".into(),
        region: "eu-west-1".into(),
    };
    let settings = AgentSettings { instance: Some(instance.clone()), ..Settings::default().agent };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        assert_eq!(identities.host(&settings).await, "i-0feedfacecafebeef");
        let (cloud, problem) = identities.cloud(Some(&instance)).await;
        assert_eq!(cloud.map(|cloud| cloud.region).as_deref(), Some("eu-west-1"));
        assert_eq!(problem, None);
    });
    assert_eq!(server.asked().len(), 0, "nobody needs to be asked");
    Ok(())
}
