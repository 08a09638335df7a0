//! A plan in a file, as `patchctl plan --json` printed it: read and checked before anybody is asked for it. Whether it
//! still holds is for the daemon and the executor to say.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use patchd_core::plan::Plan;
use patchd_protocol::control::plan::{InvalidPlanRequest, PlanDocument, PlanRequest};
use serde_json::Value;

use crate::exit::{Exit, Failure};

/// The longest plan that is read, in bytes. One of 2,000 packages takes half a million.
const MAX_PLAN: u64 = 16 * 1024 * 1024;

/// Reads a plan from a file, from a pipe, or from standard input for `-`. What is wrong with it is one line that names
/// the file and the field.
pub(crate) fn read(path: &Path) -> Result<PlanDocument, Failure> {
    let bytes = if path == Path::new("-") {
        read_all(io::stdin().lock())
    } else {
        File::open(path).and_then(read_all)
    };
    let bytes = bytes.map_err(|error| {
        let exit = if error.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::BadInput };
        Failure::new(
            exit,
            anyhow::Error::new(error).context(format!("can't read the plan {}", path.display())),
        )
    })?;
    parse(&bytes).map_err(|what| bad(path, &what))
}

fn read_all(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_PLAN + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_PLAN) {
        return Ok(bytes);
    }
    let message = format!("it is longer than {MAX_PLAN} bytes");
    Err(io::Error::new(io::ErrorKind::FileTooLarge, message))
}

fn bad(path: &Path, what: &str) -> Failure {
    Failure::because(Exit::BadInput, format!("{}: {what}", path.display()))
}

fn parse(bytes: &[u8]) -> Result<PlanDocument, String> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| format!("it is no JSON: {error}"))?;
    match value.get("schema") {
        None => return Err("schema: there is none: this is no plan".into()),
        Some(Value::String(schema)) if schema == "patchd.plan/1" => {}
        Some(schema) => return Err(format!("schema: it is {schema}, and a plan has \"patchd.plan/1\"")),
    }
    let document: PlanDocument =
        serde_path_to_error::deserialize(value).map_err(|error| match error.path().to_string() {
            path if path == "." => error.inner().to_string(),
            path => format!("{path}: {}", error.inner()),
        })?;
    check(&document)?;
    Ok(document)
}

/// Whether the plan is one, and the one that its digest names.
fn check(document: &PlanDocument) -> Result<(), String> {
    match Plan::try_from(&PlanRequest::from(document)) {
        Ok(_) => Ok(()),
        Err(error @ InvalidPlanRequest::Digest { .. }) => Err(format!("digest: {error}")),
        Err(error @ InvalidPlanRequest::Removal(_)) => Err(format!("steps: removals: {error}")),
        Err(InvalidPlanRequest::Plan(error)) => Err(format!("steps: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::view::sample;

    fn plan() -> Value {
        serde_json::to_value(sample::plan()).unwrap()
    }

    #[track_caller]
    fn check_mistake(plan: &Value, expected: &str) {
        let error = parse(plan.to_string().as_bytes()).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }

    #[test]
    fn what_was_printed_is_read() {
        assert_eq!(parse(plan().to_string().as_bytes()).unwrap(), sample::plan());
        // A later version may say more.
        let mut more = plan();
        more["steps"][0]["risk"] = json!("low");
        assert_eq!(parse(more.to_string().as_bytes()).unwrap(), sample::plan());
    }

    #[test]
    fn a_file_that_is_no_plan_is_told_from_one_that_is_wrong() {
        assert!(parse(b"").unwrap_err().starts_with("it is no JSON: "));
        assert!(parse(&[0xff; 16]).unwrap_err().starts_with("it is no JSON: "));
        assert!(parse(&b"[".repeat(100_000)).unwrap_err().starts_with("it is no JSON: "));
        check_mistake(&json!([]), "schema: there is none");
        check_mistake(&json!({"schema": "patchd.run/1"}), "schema: it is \"patchd.run/1\"");
        check_mistake(&json!({"schema": 1}), "schema: it is 1,");
    }

    #[test]
    fn each_mistake_names_its_field() {
        let with = |change: fn(&mut Value)| {
            let mut plan = plan();
            change(&mut plan);
            plan
        };
        check_mistake(
            &with(|plan| drop(plan.as_object_mut().unwrap().remove("digest"))),
            "missing field `digest`",
        );
        check_mistake(&with(|plan| plan["digest"] = json!(1)), "digest: invalid type");
        check_mistake(
            &with(|plan| plan["steps"][0]["changes"][0]["to"] = json!(null)),
            "steps[0].changes[0].to: ",
        );
        check_mistake(
            &with(|plan| plan["steps"][0]["changes"][0]["to"] = json!("9.9")),
            "digest: its digest is ",
        );
        check_mistake(
            &with(|plan| plan["steps"][0]["changes"][0]["name"] = json!("--x")),
            "steps: name \"--x\"",
        );
        check_mistake(&with(|plan| plan["steps"][0]["removals"] = json!(["x"])), "steps: removals: \"x\"");
        check_mistake(&with(|plan| plan["steps"] = json!([])), "steps: the plan changes nothing");
    }
}
