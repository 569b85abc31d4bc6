//! Which of the things that happened in a block somebody wants to hear of.
//!
//! Filters look at the events' JSON form, so they hold for every family there is and will be: a field `job`,
//! `provider` or `model` at any depth, an account as any value.
//!
//! Not here: when a block is told (`feed`).

use crate::errors::{RpcError, bad_params};
use crate::view::{EventSourceView, EventsParams, EventsView};
use chain_core::codec;
use chain_core::ledger::CommittedBlock;
use chain_core::tx::{Event, FAMILIES};
use serde_json::Value;

/// What is wanted; all of it must hold.
pub(crate) struct EventFilter {
    types: Option<Vec<String>>,
    /// The numbers of the families.
    families: Option<Vec<u8>>,
    account: Option<String>,
    /// Names of fields and the values they must have somewhere.
    fields: Vec<(&'static str, String)>,
}

impl EventFilter {
    /// What these parameters ask for.
    pub(crate) fn new(params: &EventsParams) -> Result<Self, RpcError> {
        let list = |text: &String| text.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>();
        let number = |name: &String| {
            let known = FAMILIES.iter().find(|family| family.name == name);
            known.map(|family| family.number).ok_or_else(|| bad_params(format_args!("no family is called '{name}'")))
        };
        let families = params.family.as_ref().map(|text| list(text).iter().map(number).collect()).transpose()?;
        let fields = [
            ("job", params.job.map(|job| job.to_string())),
            ("provider", params.provider.map(|provider| provider.to_string())),
            ("model", params.model.map(|model| model.to_string())),
        ];
        Ok(Self {
            types: params.types.as_ref().map(list),
            families,
            account: params.account.map(|account| account.to_string()),
            fields: fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        })
    }

    /// What happened in a block of that: by its transactions, and by itself.
    pub(crate) fn view(&self, block: &CommittedBlock) -> EventsView {
        let mut sources = Vec::new();
        for (index, (outcome, events)) in (0u32..).zip(block.results.outcomes.iter().zip(&block.results.events)) {
            let events: Vec<_> = events.iter().filter_map(|event| self.pass(event)).collect();
            let tx_id = block.tx_ids.get(index as usize).copied();
            let item_id = tx_id.is_none().then_some(outcome.wire_id);
            if !events.is_empty() {
                sources.push(EventSourceView { index, tx_id, item_id, events });
            }
        }
        EventsView { height: block.header.height, hash: block.id, timestamp: block.header.timestamp_ms, sources }
    }

    /// The JSON form of an event that is wanted.
    fn pass(&self, event: &Event) -> Option<Value> {
        let of_family = |families: &Vec<u8>| codec::encode(event).first().is_some_and(|own| families.contains(own));
        if !self.families.as_ref().is_none_or(of_family) {
            return None;
        }
        // No event holds a map with keys that are no text, so none is refused.
        let json = serde_json::to_value(event).unwrap_or_default();
        let kind = json.get("type").and_then(Value::as_str).unwrap_or_default();
        let is_meant = self.types.as_ref().is_none_or(|types| types.iter().any(|wanted| wanted == kind))
            && self.account.as_ref().is_none_or(|account| names(&json, None, account))
            && self.fields.iter().all(|(field, value)| names(&json, Some(field), value));
        is_meant.then_some(json)
    }
}

/// Whether a text stands anywhere in a value, or in a field of this name.
fn names(json: &Value, field: Option<&str>, text: &str) -> bool {
    match json {
        Value::String(own) => field.is_none() && own == text,
        Value::Array(items) => items.iter().any(|item| names(item, field, text)),
        Value::Object(fields) => fields.iter().any(|(name, value)| match field {
            Some(wanted) if wanted == name && value.as_str() == Some(text) => true,
            _ => names(value, field, text),
        }),
        _ => false,
    }
}
