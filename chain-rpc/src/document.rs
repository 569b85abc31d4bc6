//! The documents of the interface, written from the entries in `api`: OpenRPC 1.3, OpenAPI 3.1
//! and a page for people. Nothing is documented that does not answer.

use crate::api::{Method, SUBSCRIPTIONS, Verb, methods};
use crate::errors::KINDS;
use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12();
    settings.with(|settings| settings.definitions_path = "/components/schemas".into()).into_generator()
}

/// The parameters of a schema in the order of the names: name, whether it must be given, schema.
fn parameters(names: &[&'static str], schema: &Schema) -> Vec<(&'static str, bool, Value)> {
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let parameter = |name: &&'static str| {
        let own = schema.pointer(&format!("/properties/{name}")).cloned().unwrap_or(json!({}));
        (*name, required.iter().any(|r| r == name), own)
    };
    names.iter().map(parameter).collect()
}

fn content(parameters: Vec<(&'static str, bool, Value)>) -> Vec<Value> {
    let one = |(name, required, schema)| json!({ "name": name, "required": required, "schema": schema });
    parameters.into_iter().map(one).collect()
}

fn rpc_method(method: &Method, generator: &mut SchemaGenerator) -> Value {
    let schema = (method.params_schema)(generator);
    json!({
        "name": method.name,
        "summary": method.summary,
        "tags": [{ "name": method.namespace }],
        "paramStructure": "either",
        "params": content(parameters((method.params)(), &schema)),
        "result": { "name": "result", "schema": (method.result_schema)(generator) },
        "x-cost": method.cost,
    })
}

/// The interface as an OpenRPC document.
pub fn openrpc(version: &str) -> Value {
    let mut generator = generator();
    let mut all: Vec<Value> = methods().map(|method| rpc_method(method, &mut generator)).collect();
    for subscription in SUBSCRIPTIONS {
        let schema = (subscription.params_schema)(&mut generator);
        let item = (subscription.item_schema)(&mut generator);
        let id = json!({ "name": "subscription", "schema": { "type": ["integer", "string"] } });
        all.push(json!({
            "name": subscription.subscribe, "summary": subscription.summary,
            "tags": [{ "name": "subscriptions" }], "paramStructure": "either",
            "params": content(parameters((subscription.params)(), &schema)), "result": id,
            "x-notification": { "method": subscription.name, "schema": item }, "x-cost": subscription.cost,
        }));
        all.push(json!({
            "name": subscription.unsubscribe, "summary": format!("Ends a subscription to {}.", subscription.name),
            "tags": [{ "name": "subscriptions" }], "paramStructure": "by-position",
            "params": [{ "name": "subscription", "required": true, "schema": { "type": ["integer", "string"] } }],
            "result": { "name": "ended", "schema": { "type": "boolean" } },
        }));
    }
    let errors: Map<String, Value> = KINDS
        .iter()
        .map(|kind| (kind.name.to_owned(), json!({ "code": kind.code, "message": kind.message })))
        .collect();
    json!({
        "openrpc": "1.3.2",
        "info": { "title": "AI compute settlement chain", "version": version },
        "methods": all,
        "components": { "schemas": generator.take_definitions(true), "errors": errors },
    })
}

/// The REST routes as an OpenAPI document.
pub fn openapi(version: &str) -> Value {
    let mut generator = generator();
    let mut paths = Map::new();
    for method in methods() {
        for (verb, path) in method.routes {
            let name = if *verb == Verb::Get { "get" } else { "post" };
            let operation = operation(method, *verb, path, &mut generator);
            let entry = paths.entry((*path).to_owned()).or_insert_with(|| json!({}));
            entry[name] = operation;
        }
    }
    for (path, verb, summary) in OTHER_PATHS {
        let responses = json!({ "200": { "description": "See the summary." } });
        paths.insert((*path).to_owned(), json!({ *verb: { "summary": summary, "responses": responses } }));
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "AI compute settlement chain", "version": version },
        "paths": paths,
        "components": { "schemas": generator.take_definitions(true) },
    })
}

/// Paths that are no method's.
const OTHER_PATHS: &[(&str, &str, &str)] = &[
    ("/rpc/send_txs", "post", "Up to 1000 signed transactions, each u32 little-endian length and bytes."),
    ("/health", "get", "200 if caught up and agreeing, else 503."),
    ("/livez", "get", "200 while the process answers."),
    ("/readyz", "get", "As /health in words; ?verbose lists the checks."),
    ("/openapi.json", "get", "This document."),
    ("/ws/new_blocks", "get", "WebSocket: final blocks."),
    ("/ws/events", "get", "WebSocket: what happened in final blocks."),
    ("/ws/new_transactions", "get", "WebSocket: pooled transactions."),
    ("/ws/consensus_events", "get", "WebSocket: steps of the agreement."),
    ("/ws/watch_tx", "get", "WebSocket: one transaction's way."),
];

fn operation(method: &Method, verb: Verb, path: &str, generator: &mut SchemaGenerator) -> Value {
    let schema = (method.params_schema)(generator);
    let result = (method.result_schema)(generator);
    let mut operation = json!({
        "summary": method.summary,
        "tags": [method.namespace],
        "responses": {
            "200": { "description": "The answer.", "content": { "application/json": { "schema": result } } },
            "default": { "description": "error {code, message, data}; see the table of errors." },
        },
    });
    if verb == Verb::Post {
        operation["requestBody"] = json!({ "content": { "application/json": { "schema": schema } } });
        return operation;
    }
    let parameters = parameters((method.params)(), &schema).into_iter().map(|(name, required, schema)| {
        let in_path = path.contains(&format!("{{{name}}}"));
        let place = if in_path { "path" } else { "query" };
        json!({ "name": name, "in": place, "required": required || in_path, "schema": schema })
    });
    operation["parameters"] = parameters.collect();
    operation
}

/// The interface as a page for people, in Markdown.
pub fn markdown() -> String {
    let mut generator = generator();
    let mut page = String::from(
        "# RPC\n\nWritten from the code by `make doc`; do not edit.\n\n\
         JSON-RPC 2.0 over HTTP (`POST /`) and WebSocket on one port; parameters by name or by position. \
         Amounts and 64-bit numbers are decimal strings, hashes `0x` and lower-case hex, times unix ms.\n",
    );
    let mut namespace = "";
    for method in methods() {
        if namespace != method.namespace {
            namespace = method.namespace;
            page += &format!("\n## {namespace}\n");
        }
        let schema = (method.params_schema)(&mut generator);
        page += &format!("\n### `{}`\n\n{} Cost {}.\n", method.name, method.summary, method.cost);
        page += &table(parameters((method.params)(), &schema));
        let routes = method
            .routes
            .iter()
            .map(|(verb, path)| format!("`{} {path}`", if *verb == Verb::Get { "GET" } else { "POST" }));
        let routes = routes.collect::<Vec<_>>().join(", ");
        if !routes.is_empty() {
            page += &format!("\nREST: {routes}\n");
        }
    }
    page + &subscriptions_markdown(&mut generator) + &errors_markdown()
}

fn table(parameters: Vec<(&'static str, bool, Value)>) -> String {
    if parameters.is_empty() {
        return String::new();
    }
    let mut table = String::from("\n| parameter | | |\n|---|---|---|\n");
    for (name, required, schema) in parameters {
        let said = schema.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
        table += &format!("| `{name}` | {} | {said} |\n", if required { "required" } else { "optional" });
    }
    table
}

fn subscriptions_markdown(generator: &mut SchemaGenerator) -> String {
    let mut page = String::from(
        "\n## Subscriptions\n\nOver WebSocket, or as plain sockets with parameters in the query. A subscriber that \
         can't keep up gets `{\"lagged\": {missed, resume_from}}` as the last item.\n",
    );
    for subscription in SUBSCRIPTIONS {
        let schema = (subscription.params_schema)(generator);
        page += &format!(
            "\n### `{}` / `{}`\n\n{} Plain socket: `{}`.\n",
            subscription.subscribe, subscription.unsubscribe, subscription.summary, subscription.path
        );
        page += &table(parameters((subscription.params)(), &schema));
    }
    page
}

fn errors_markdown() -> String {
    let mut page = String::from("\n## Errors\n\n| code | HTTP | reason | |\n|---|---|---|---|\n");
    for kind in KINDS {
        page += &format!("| {} | {} | `{}` | {} |\n", kind.code, kind.http, kind.name, kind.message);
    }
    for rejection in chain_core::tx::all_rejections() {
        let code = crate::errors::REJECTION_CODES + i32::from(rejection.number);
        let http = crate::errors::rejection_http(rejection);
        page += &format!("| {code} | {http} | `{}` | {} |\n", rejection.name, rejection.message);
    }
    page
}
