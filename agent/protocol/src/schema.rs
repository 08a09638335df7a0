//! The JSON Schemas that we publish, made from the wire types. They are files in docs/schema, and a test holds the
//! files against the types. The OpenAPI document of the control API is made with the same words, by the daemon.
//!
//! Objects stay open on purpose: fields are added within version 1, and a reader ignores what it does not know.

use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, schema::Schema};

use crate::control::windows::WindowsDocument;
use crate::doctor::DoctorDocument;
use crate::explain::ExplanationDocument;
use crate::listing::{InventoryDocument, UpdatesDocument};
use crate::report::native::ReportDocument;

/// One published schema.
#[derive(Debug, Clone, Copy)]
pub struct PublishedSchema {
    /// The name of its file in docs/schema.
    pub file: &'static str,
    /// The document's name and version, as its `schema` field says it.
    pub document: &'static str,
    pub render: fn() -> Value,
}

/// Every document that others may rely on.
pub const PUBLISHED: [PublishedSchema; 6] = [
    PublishedSchema {
        file: "patchd.report.v1.schema.json",
        document: "patchd.report/1",
        render: || of::<ReportDocument>("patchd.report/1"),
    },
    PublishedSchema {
        file: "patchd.inventory.v1.schema.json",
        document: "patchd.inventory/1",
        render: || of::<InventoryDocument>("patchd.inventory/1"),
    },
    PublishedSchema {
        file: "patchd.updates.v1.schema.json",
        document: "patchd.updates/1",
        render: || of::<UpdatesDocument>("patchd.updates/1"),
    },
    PublishedSchema {
        file: "patchd.explanation.v1.schema.json",
        document: "patchd.explanation/1",
        render: || of::<ExplanationDocument>("patchd.explanation/1"),
    },
    PublishedSchema {
        file: "patchd.windows.v1.schema.json",
        document: "patchd.windows/1",
        render: || of::<WindowsDocument>("patchd.windows/1"),
    },
    PublishedSchema {
        file: "patchd.doctor.v1.schema.json",
        document: "patchd.doctor/1",
        render: || of::<DoctorDocument>("patchd.doctor/1"),
    },
];

/// The self-contained schema of one document type.
fn of<T: ToSchema>(document: &str) -> Value {
    let mut parts: Vec<(String, RefOr<Schema>)> = Vec::new();
    T::schemas(&mut parts);
    let definitions: Map<_, _> =
        parts.into_iter().map(|(name, schema)| (public(&name).to_owned(), plain(schema))).collect();
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("urn:{}", document.replace('/', ":").replacen('.', ":", 1)),
        "title": document,
        "$defs": definitions,
    });
    if let (Value::Object(schema), Value::Object(root)) = (&mut schema, plain(T::schema())) {
        schema.extend(root);
    }
    sorted(schema)
}

/// A part in the words of JSON Schema 2020-12.
fn plain(schema: RefOr<Schema>) -> Value {
    let mut value = by_public_names(schema);
    translate(&mut value);
    value
}

/// A part in OpenAPI's words, which says of other parts what they are called outside of this code.
pub fn by_public_names(schema: RefOr<Schema>) -> Value {
    let mut value = serde_json::to_value(schema).expect("a schema is a tree of strings, numbers and lists");
    each_object(&mut value, &|object| {
        if let Some(Value::String(target)) = object.get_mut("$ref") {
            *target = public(target).to_owned();
        }
    });
    value
}

/// What a type is called outside of this code, where nobody tells wire types from others.
pub fn public(name: &str) -> &str {
    name.strip_suffix("Wire").unwrap_or(name)
}

/// OpenAPI's own references and number formats become JSON Schema's.
fn translate(value: &mut Value) {
    each_object(value, &|object| {
        if let Some(Value::String(target)) = object.get_mut("$ref") {
            *target = target.replace("#/components/schemas/", "#/$defs/");
        }
        let is_width = |format: &Value| format.as_str().is_some_and(|format| format.starts_with("int"));
        if object.get("format").is_some_and(is_width) {
            object.remove("format");
        }
    });
}

/// Changes every object in a value, the outer ones first.
fn each_object(value: &mut Value, change: &impl Fn(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            change(object);
            object.values_mut().for_each(|value| each_object(value, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_object(item, change)),
        _ => {}
    }
}

/// The same value with the keys of every object in order, whatever order the JSON library keeps.
pub fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.into_iter().collect();
            entries.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(entries.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        scalar => scalar,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::report::sample;

    /// Set it to anything, run the tests of this crate once, and the files in docs/schema are written anew.
    const WRITE: &str = "PATCHD_WRITE_SCHEMAS";

    fn path(published: &PublishedSchema) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema").join(published.file)
    }

    fn validator(file: &str) -> jsonschema::Validator {
        let published = PUBLISHED.iter().find(|published| published.file == file).unwrap();
        let schema = (published.render)();
        jsonschema::draft202012::meta::validate(&schema).unwrap();
        jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap()
    }

    #[track_caller]
    fn check_valid(validator: &jsonschema::Validator, document: &Value) {
        let errors: Vec<_> = validator
            .iter_errors(document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }

    #[test]
    fn the_published_files_are_what_the_types_say() {
        for published in &PUBLISHED {
            let path = path(published);
            let expected = format!("{:#}\n", (published.render)());
            if std::env::var_os(WRITE).is_some() {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a developer's tool, in a source tree under git"
                )]
                std::fs::write(&path, &expected).unwrap();
            }
            let published = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                published == expected,
                "{} is stale: run `{WRITE}=1 cargo test -p patchd-protocol` and commit what it wrote",
                path.display()
            );
        }
    }

    #[test]
    fn a_report_with_every_field_is_valid_and_so_is_what_we_write_again() {
        let validator = validator("patchd.report.v1.schema.json");
        let sample: Value = serde_json::from_str(sample::JSON).unwrap();
        check_valid(&validator, &sample);
        let again = serde_json::to_value(sample::document()).unwrap();
        check_valid(&validator, &again);
        assert_eq!(again, sample, "nothing is lost and nothing is added");
    }

    #[test]
    fn what_is_no_report_is_not_valid() {
        let validator = validator("patchd.report.v1.schema.json");
        let sample: Value = serde_json::from_str(sample::JSON).unwrap();
        let changes: [(&str, Value); 8] = [
            ("/schema", json!("patchd.report/2")),
            ("/started_at", json!("yesterday")),
            ("/assessment", json!("perhaps")),
            ("/host/needs_reboot/answer", json!("maybe")),
            ("/items/0/state", json!("installed")),
            ("/items/0/level", json!("High")),
            ("/updates/0/reason", json!("because")),
            ("/summary/counts/missing_count", json!(-1)),
        ];
        for (place, value) in changes {
            let mut document = sample.clone();
            *document.pointer_mut(place).unwrap() = value;
            assert!(
                !validator.is_valid(&document),
                "{place} may not be {}",
                document.pointer(place).unwrap()
            );
        }
        let mut without = sample;
        without.as_object_mut().unwrap().remove("assessment_reasons");
        assert!(!validator.is_valid(&without), "a required field is missing");
    }

    #[test]
    fn lists_are_valid() {
        let report: Value = serde_json::from_str(sample::JSON).unwrap();
        let updates = json!({
            "schema": "patchd.updates/1",
            "updates": report["updates"],
            "new_packages": report["new_packages"],
            "problems": report["problems"],
        });
        check_valid(&validator("patchd.updates.v1.schema.json"), &updates);
        let document: UpdatesDocument = serde_json::from_value(updates.clone()).unwrap();
        assert_eq!(serde_json::to_value(document).unwrap(), updates);

        let inventory = json!({
            "schema": "patchd.inventory/1",
            "packages": [{
                "name": "bash", "version": "5.2.15-2+b7", "architecture": "amd64", "status": "installed",
                "want": "hold", "reinstall_required": false, "source": "bash", "source_version": "5.2.15-2",
                "held": true, "automatic": false, "priority": "required", "section": "shells",
                "installed_at": "2026-01-01T00:00:00Z", "origin": "Debian:12.9/oldstable",
            }],
            "residual": [{
                "name": "old", "version": "1", "architecture": "all", "status": "config-files", "want": "deinstall",
            }],
            "problems": [],
        });
        check_valid(&validator("patchd.inventory.v1.schema.json"), &inventory);
        let document: InventoryDocument = serde_json::from_value(inventory.clone()).unwrap();
        assert_eq!(serde_json::to_value(document).unwrap(), inventory);
    }
}
