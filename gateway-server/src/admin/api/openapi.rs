//! The answer to `GET /openapi.json`: the description of all operations, for programs.

use serde_json::{Map, Value, json};

use super::arguments::{ArgumentKind, LONGEST_WAIT, Parameter};
use super::batch::MAX_CALLS;
use super::results::Shape;
use super::table::{OPERATIONS, Operation};

pub(in crate::admin) fn describe() -> Value {
    let mut paths: Map<_, _> = OPERATIONS
        .iter()
        .map(|operation| (format!("/api/{}", operation.name), operation.describe()))
        .collect();
    paths.insert("/api/batch".to_owned(), batch());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "gateway-server",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Each operation does what the method of that name of PHP's class Gateway does.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        // A relative address is resolved against the port from which the description was read, and that is the port that it
        // describes.
        "servers": [{"url": "/", "description": "the operations port, as http://127.0.0.1:1239"}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "operations_token, if one is set"}},
            "schemas": {"Error": {
                "type": "object",
                "required": ["error"],
                "properties": {"error": {
                    "type": "object",
                    "required": ["code", "message"],
                    "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
                }},
            }},
        },
        "security": [{"token": []}, {}],
    })
}

impl Operation {
    fn describe(&self) -> Value {
        let properties: Map<_, _> =
            self.parameters.iter().map(|one| (one.name.to_owned(), one.describe())).collect();
        let required: Vec<_> =
            self.parameters.iter().filter(|one| one.is_required).map(|one| one.name).collect();
        let result = json!({
            "type": "object",
            "required": ["result"],
            "properties": {"result": self.result.describe()},
        });
        let arguments = json!({
            "type": "object",
            "additionalProperties": false,
            "properties": properties,
            "required": required,
        });
        post(self.name, self.help, !required.is_empty(), &arguments, &result)
    }
}

fn batch() -> Value {
    let operations = OPERATIONS.iter().filter(|operation| !operation.waits_for_pages());
    let operations: Vec<_> = operations.map(|operation| operation.name).collect();
    let calls = json!({
        "type": "array",
        "maxItems": MAX_CALLS,
        "items": {
            "type": "object",
            "required": ["operation"],
            "properties": {
                "operation": {"enum": operations},
                "arguments": {"type": "object"},
            },
        },
    });
    let item = json!({"oneOf": [
        {"type": "object", "required": ["result"], "properties": {"result": {"description": "as of the operation alone"}}},
        {"$ref": "#/components/schemas/Error"},
    ]});
    let results = json!({
        "type": "object",
        "required": ["results"],
        "properties": {"results": {"type": "array", "items": item}},
    });
    post(
        "batch",
        "Several operations, one after the other; each has its result or error",
        true,
        &calls,
        &results,
    )
}

fn post(name: &str, help: &str, is_required: bool, body: &Value, result: &Value) -> Value {
    let content = |schema: &Value| json!({"application/json": {"schema": schema}});
    let not_done = |description: &str| {
        let error = json!({"$ref": "#/components/schemas/Error"});
        json!({"description": description, "content": content(&error)})
    };
    json!({"post": {
        "operationId": name,
        "summary": help,
        "requestBody": {"required": is_required, "content": content(body)},
        "responses": {
            "200": {"description": "It is done.", "content": content(result)},
            "4XX": not_done("It is not done: the request is wrong, or not allowed."),
            "default": not_done("It is not done."),
        },
    }})
}

impl Parameter {
    fn describe(&self) -> Value {
        let client = json!({"type": "string", "pattern": "^[0-9a-fA-F]{20}$"});
        let name = json!({"type": ["string", "integer"]});
        let or_list = |one: Value| json!({"oneOf": [one, {"type": "array", "items": one}]});
        let mut schema = match self.kind {
            ArgumentKind::Client => client,
            ArgumentKind::Clients => or_list(client),
            ArgumentKind::Text => json!({"type": "string"}),
            ArgumentKind::Name => name,
            ArgumentKind::Names => or_list(name),
            ArgumentKind::Flag => json!({"type": "boolean", "default": false}),
            ArgumentKind::FlagOrUnset => json!({"type": "boolean"}),
            ArgumentKind::Session => json!({"type": ["object", "array"]}),
            ArgumentKind::Count => json!({"type": "integer", "minimum": 0}),
            ArgumentKind::Time => {
                json!({"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_WAIT.as_secs()})
            }
            ArgumentKind::Choice(words) => json!({"enum": words}),
        };
        schema["description"] = self.help.into();
        schema
    }
}

impl Shape {
    fn describe(&self) -> Value {
        match self {
            Self::Nothing => json!({"type": "null"}),
            Self::Flag => json!({"type": "boolean"}),
            Self::Count => json!({"type": "integer"}),
            Self::Text => json!({"type": ["string", "null"]}),
            Self::Fields => json!({"type": ["object", "null"]}),
            Self::ListOfFields => json!({"type": "array", "items": {"type": "object"}}),
            Self::Session => json!({"type": ["object", "array", "null"]}),
            Self::Answers => {
                json!({"type": "object", "additionalProperties": {"type": ["string", "null"]}})
            }
            Self::Clients | Self::Names => json!({"type": "array", "items": {"type": "string"}}),
            Self::OfEach(_, shape) | Self::OfGroups(shape) | Self::OfClients(shape) => {
                json!({"type": "object", "additionalProperties": shape.describe()})
            }
        }
    }
}
