//! Which of the things that happened in a block somebody wants to hear of.
//!
//! Whom an event is about, which job and which provider, the families say themselves (`About`). What they don't say is
//! looked for in the event's JSON form, so it holds for every family there is and will be: a field `job`, `provider`
//! or `model` at any depth.
//!
//! Not here: when a block is told (`feed`).

use crate::errors::{RpcError, bad_params};
use crate::view::{EventSourceView, EventsParams, EventsView};
use chain_core::ledger::CommittedBlock;
use chain_core::tx::{Event, FAMILIES};
use chain_core::types::{Address, JobId};
use serde_json::Value;

/// What is wanted; all of it must hold.
pub(crate) struct EventFilter {
    types: Option<Vec<String>>,
    families: Option<Vec<String>>,
    account: Option<Address>,
    job: Option<JobId>,
    provider: Option<Address>,
    /// As JSON has it.
    model: Option<String>,
}

impl EventFilter {
    /// What these parameters ask for.
    pub(crate) fn new(params: &EventsParams) -> Result<Self, RpcError> {
        let list = |text: &String| text.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>();
        let families = params.family.as_ref().map(list);
        let is_known = |name: &String| FAMILIES.iter().any(|family| family.name == name);
        if let Some(name) = families.iter().flatten().find(|name| !is_known(name)) {
            return Err(bad_params(format_args!("no family is called '{name}'")));
        }
        Ok(Self {
            types: params.types.as_ref().map(list),
            families,
            account: params.account,
            job: params.job,
            provider: params.provider,
            model: params.model.map(|model| model.to_string()),
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

    /// The JSON form of an event that is wanted; most are found out without it.
    fn pass(&self, event: &Event) -> Option<Value> {
        let listed = event.listed();
        let may = |wanted: bool, said: Option<bool>| !wanted || said.unwrap_or_else(|| may_name(event));
        let job = self.job.and_then(|job| Some(listed.job? == job));
        let provider = self.provider.and_then(|provider| Some(listed.provider? == provider));
        let can_be = self.families.as_ref().is_none_or(|families| families.iter().any(|name| name == family(event)))
            && may(self.job.is_some(), job)
            && may(self.provider.is_some(), provider)
            && may(self.model.is_some(), None)
            && self.account.is_none_or(|account| event.accounts().contains(&account));
        if !can_be {
            return None;
        }
        // No event holds a map with keys that are no text, so none is refused.
        let json = serde_json::to_value(event).unwrap_or_default();
        let kind = json.get("type").and_then(Value::as_str).unwrap_or_default();
        let names = |field: &str, text: String| names(&json, field, &text);
        let is_meant = self.types.as_ref().is_none_or(|types| types.iter().any(|wanted| wanted == kind))
            && job.unwrap_or_else(|| self.job.is_none_or(|job| names("job", job.to_string())))
            && provider.unwrap_or_else(|| self.provider.is_none_or(|own| names("provider", own.to_string())))
            && self.model.as_ref().is_none_or(|model| names("model", model.clone()));
        is_meant.then_some(json)
    }
}

/// The name of an event's family.
fn family(event: &Event) -> &'static str {
    match event {
        Event::Transfer(_) => "transfer",
        Event::Account(_) => "account",
        Event::Asset(_) => "asset",
        Event::Anchor(_) => "anchor",
        Event::Authority(_) => "authority",
        Event::Staking(_) => "staking",
        Event::Model(_) => "model",
        Event::Provider(_) => "provider",
        Event::Market(_) => "market",
        Event::Job(_) => "job",
        Event::Receipt(_) => "receipt",
        Event::Dispute(_) => "dispute",
    }
}

/// Whether there are events of its family that name a job, a provider or a model.
fn may_name(event: &Event) -> bool {
    !matches!(event, Event::Transfer(_) | Event::Asset(_) | Event::Anchor(_) | Event::Staking(_))
}

/// Whether a text stands in a field of this name.
fn names(json: &Value, field: &str, text: &str) -> bool {
    match json {
        Value::Array(items) => items.iter().any(|item| names(item, field, text)),
        Value::Object(fields) => fields.iter().any(|(name, value)| match value {
            Value::String(own) => name == field && own == text,
            _ => names(value, field, text),
        }),
        _ => false,
    }
}
