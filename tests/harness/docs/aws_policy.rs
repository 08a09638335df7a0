//! Policies of AWS that documents show: read as IAM reads them, and held to what the documents promise of them.
//!
//! It is no IAM: it knows the shape of the policies here, and refuses any other.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

/// What patchd asks of AWS. More in a policy of ours is more than a host needs.
const NEEDED: [&str; 4] = ["s3:PutObject", "s3:GetObject", "kms:GenerateDataKey", "kms:Decrypt"];

/// Whether a document is a policy.
pub fn is_policy(document: &Value) -> bool {
    document.get("Statement").is_some()
}

/// Refuses a policy that is none, that gives more than is needed or to more than what it names.
pub fn check(document: &Value) -> Result<()> {
    let policy = document.as_object().context("a policy is an object")?;
    keys(policy, &["Version", "Statement"])?;
    ensure!(policy.get("Version") == Some(&"2012-10-17".into()), "the policy's Version is no longer current");
    let statements = policy.get("Statement").and_then(Value::as_array).context("Statement is no list")?;
    ensure!(!statements.is_empty(), "the policy says nothing");
    let mut names = BTreeSet::new();
    for statement in statements {
        let statement = statement.as_object().context("a statement is an object")?;
        let name = text(statement, "Sid")?;
        ensure!(names.insert(name), "two statements are called {name}");
        statement_is_narrow(statement).with_context(|| format!("in the statement {name}"))?;
    }
    Ok(())
}

fn statement_is_narrow(statement: &Map<String, Value>) -> Result<()> {
    keys(statement, &["Sid", "Effect", "Principal", "Action", "Resource", "Condition"])?;
    let actions = texts(statement.get("Action").context("no Action")?)?;
    let resources = texts(statement.get("Resource").context("no Resource")?)?;
    ensure!(resources.iter().all(|resource| resource.starts_with("arn:aws:")), "{resources:?}");
    match text(statement, "Effect")? {
        "Allow" => {
            let strange: Vec<_> = actions.iter().filter(|action| !NEEDED.contains(action)).collect();
            ensure!(strange.is_empty(), "patchd does not need {strange:?}");
            let wide = resources.iter().find(|resource| resource.ends_with(":::*") || **resource == "*");
            ensure!(wide.is_none(), "{wide:?} is everything");
            ensure!(statement.get("Principal") != Some(&"*".into()), "it allows everybody");
            Ok(())
        }
        "Deny" => {
            ensure!(statement.get("Principal").is_some(), "only the bucket's own policy has to deny");
            Ok(())
        }
        other => bail!("the effect {other}"),
    }
}

fn keys(object: &Map<String, Value>, known: &[&str]) -> Result<()> {
    let strange: Vec<_> = object.keys().filter(|key| !known.contains(&key.as_str())).collect();
    ensure!(strange.is_empty(), "IAM knows no {strange:?}");
    Ok(())
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Result<&'a str> {
    object.get(key).and_then(Value::as_str).with_context(|| format!("no {key}"))
}

fn texts(value: &Value) -> Result<Vec<&str>> {
    match value {
        Value::String(one) => Ok(vec![one]),
        Value::Array(many) => many.iter().map(|one| one.as_str().context("no text in a list")).collect(),
        _ => bail!("neither a text nor a list: {value}"),
    }
}
