//! The instance identity document as the metadata service sends it. Its signature is not checked: it says who this is,
//! and proves nothing.

use jiff::Timestamp;
use patchd_protocol::config::check_group;
use serde::Deserialize;

use super::{InstanceIdentity, Role};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DocumentWire {
    account_id: String,
    region: String,
    instance_id: String,
}

/// The identity in the bytes of a document, or why there is none. Other clouds answer at the same address.
pub(super) fn identity(document: &[u8]) -> Result<InstanceIdentity, String> {
    let document: DocumentWire = serde_json::from_slice(document)
        .map_err(|error| format!("its identity document can't be read: {error}"))?;
    // Real accounts have 12 digits; Amazon's own metadata mock has one of 10.
    let is_account = (1..=20).contains(&document.account_id.len())
        && document.account_id.bytes().all(|byte| byte.is_ascii_digit());
    let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_region = (1..=32).contains(&document.region.len()) && is_word(&document.region);
    let is_instance = document.instance_id.starts_with("i-")
        && (3..=32).contains(&document.instance_id.len())
        && is_word(&document.instance_id);
    if is_account && is_region && is_instance {
        Ok(InstanceIdentity {
            account: document.account_id,
            region: document.region,
            instance_id: document.instance_id,
        })
    } else {
        Err("its identity document names no account, region and instance of EC2".into())
    }
}

/// The value of a tag: EC2 allows 256 characters.
pub(super) fn tag(body: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the patch group's tag is not UTF-8".to_owned())?;
    check_group(text).map_err(|why| format!("the patch group's tag can't be used: {why}"))?;
    Ok(text.to_owned())
}

/// The name in the list of roles: an instance has one at most.
pub(super) fn role_name(body: &[u8]) -> Result<Option<String>, String> {
    let text =
        std::str::from_utf8(body).map_err(|_| "the name of the instance's role is not UTF-8".to_owned())?;
    let Some(name) = text.lines().map(str::trim).find(|name| !name.is_empty()) else { return Ok(None) };
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
    // It becomes a part of a path.
    match (1..=64).contains(&name.len()) && name.chars().all(is_allowed) && !name.starts_with('.') {
        true => Ok(Some(name.to_owned())),
        false => Err("what the metadata service calls the instance's role is no name of one".into()),
    }
}

/// What stands beside the credentials. They themselves are passed over.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleWire {
    code: String,
    #[serde(default)]
    expiration: Option<Timestamp>,
}

/// Whether the service could take on the role.
pub(super) fn role(name: String, document: &[u8]) -> Result<Role, String> {
    // The reason could have a secret in it.
    let RoleWire { code, expiration } = serde_json::from_slice(document)
        .map_err(|_| format!("what the metadata service tells of the role {name} can't be read"))?;
    let is_word = (1..=64).contains(&code.len()) && code.chars().all(|c| c.is_ascii_alphanumeric());
    let refused = match code.as_str() {
        "Success" => None,
        _ if is_word => Some(code),
        _ => Some("an answer that is no code".into()),
    };
    Ok(Role { name, refused, expires_at: expiration })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(document: &str, expected: Option<[&str; 3]>) {
        let found = identity(document.as_bytes()).ok();
        let found = found.as_ref().map(|found| [&*found.account, &found.region, &found.instance_id]);
        assert_eq!(found, expected, "{document}");
    }

    #[test]
    fn a_document_of_ec2_and_of_nobody_else() {
        check(
            r#"{"accountId":"123456789012","region":"eu-central-1","instanceId":"i-0a1","kernelId":null}"#,
            Some(["123456789012", "eu-central-1", "i-0a1"]),
        );
        check(r#"{"accountId":"","region":"eu-central-1","instanceId":"i-0a1"}"#, None);
        check(r#"{"accountId":"12345678901x","region":"eu-central-1","instanceId":"i-0a1"}"#, None);
        check(r#"{"accountId":"123456789012","region":"../..","instanceId":"i-0a1"}"#, None);
        check(r#"{"accountId":"123456789012","region":"eu-central-1","instanceId":"vm-1"}"#, None);
        check(r#"{"compute":{"azEnvironment":"AzurePublicCloud"}}"#, None);
        check("<html>", None);
    }
}
