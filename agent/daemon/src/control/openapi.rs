//! The OpenAPI document: made from the table of endpoints and the wire types, published as docs/openapi.json, and held
//! to it by a test. The daemon serves the published file; it makes nothing at run time.

use patchd_protocol::control::events::EVENT_STREAM;
use patchd_protocol::control::{PROBLEM_MEDIA_TYPE, ProblemDocument, ProblemType};
use patchd_protocol::report::gzip;
use patchd_protocol::schema::{by_public_names, public, sorted};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, schema::Schema};

use super::endpoint::{COMMON_PROBLEMS, ENDPOINTS, Endpoint, Reply, Verb};

/// The document as it is published.
pub(super) const PUBLISHED: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json"));

/// One type: its schema, and those of the types that it is made of.
pub(super) struct Content {
    media_type: &'static str,
    schema: Value,
    parts: Vec<(String, RefOr<Schema>)>,
}

pub(super) fn of<T: ToSchema>() -> Content {
    let mut parts = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut parts);
    let schema = json!({"$ref": format!("#/components/schemas/{}", public(&T::name()))});
    Content { media_type: gzip::CONTENT_TYPE, schema, parts }
}

/// A stream of events, each with one document of this type.
pub(super) fn events_of<T: ToSchema>() -> Content {
    Content { media_type: EVENT_STREAM, ..of::<T>() }
}

/// An object that is described elsewhere.
pub(super) fn json_object() -> Content {
    Content { media_type: gzip::CONTENT_TYPE, schema: json!({"type": "object"}), parts: Vec::new() }
}

/// What the document must be.
pub fn document() -> Value {
    let mut schemas = Map::new();
    let mut paths = Map::new();
    for endpoint in &ENDPOINTS {
        let verb = match endpoint.verb {
            Verb::Get => "get",
            Verb::Post => "post",
        };
        let operation = operation(endpoint, &mut schemas);
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        if let Value::Object(path) = path {
            path.insert(verb.into(), operation);
        }
    }
    sorted(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "patchd control API",
            "version": "1",
            "description": "HTTP/1.1 and JSON over the Unix socket /run/patchd/patchd.sock. Who asks is told by the \
                kernel: members of control.read_group may read, root and those in control.change_users and \
                control.change_groups may change. Objects grow new fields within version 1; ignore those that you \
                don't know.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://patchd", "description": "Any host name will do over the socket"}],
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

fn operation(endpoint: &Endpoint, schemas: &mut Map<String, Value>) -> Value {
    let mut content = |make: fn() -> Content| {
        let Content { media_type, schema, parts } = make();
        schemas.extend(
            parts.into_iter().map(|(name, schema)| (public(&name).to_owned(), by_public_names(schema))),
        );
        (media_type, schema)
    };
    let mut operation = json!({"summary": endpoint.summary, "operationId": operation_id(endpoint)});
    if let Some(make) = endpoint.request {
        let (media_type, schema) = content(make);
        let body = json!({"required": true, "content": {media_type: {"schema": schema}}});
        insert(&mut operation, "requestBody", body);
    }
    if endpoint.path.contains("{id}") {
        let mut parameters =
            vec![json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string"}})];
        if endpoint.path.ends_with("/events") {
            parameters.push(json!({
                "name": "Last-Event-ID",
                "in": "header",
                "description": "The id of the last event that the client had: it is told what came after",
                "schema": {"type": "integer", "minimum": 0},
            }));
        }
        insert(&mut operation, "parameters", json!(parameters));
    }
    let mut responses = json!({});
    for problem in COMMON_PROBLEMS.iter().chain(endpoint.problems) {
        let response = problem_response(*problem, &content(of::<ProblemDocument>).1);
        insert(&mut responses, &problem.status().to_string(), response);
    }
    for Reply(status, description, make) in endpoint.answers {
        let (media_type, schema) = content(*make);
        let mut response = json!({"description": description, "content": {media_type: {"schema": schema}}});
        let status = status.to_string();
        // The same status may also be a problem.
        if let Some(problem) = responses.pointer(&format!("/{status}/content/application~1problem+json")) {
            let problem = problem.clone();
            if let Some(types) = response.get_mut("content") {
                insert(types, PROBLEM_MEDIA_TYPE, problem);
            }
        }
        insert(&mut responses, &status, response);
    }
    insert(&mut operation, "responses", responses);
    operation
}

fn problem_response(problem: ProblemType, schema: &Value) -> Value {
    json!({
        "description": format!("{}: {}", problem.title(), problem.uri()),
        "content": {PROBLEM_MEDIA_TYPE: {"schema": schema}},
    })
}

/// `POST /v1/runs/{id}/stop` is `post_runs_id_stop`.
fn operation_id(endpoint: &Endpoint) -> String {
    let verb = match endpoint.verb {
        Verb::Get => "get",
        Verb::Post => "post",
    };
    let words = endpoint.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.skip(1).fold(verb.to_owned(), |id, word| format!("{id}_{word}"))
}

fn insert(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(object) = object {
        object.insert(key.into(), value);
    }
}
