//! `chain job watch`: what happens to a job, as it happens, until its end.
//!
//! Not here: events in words (`market_told`).

use std::time::Duration;

use chain_core::types::{AssetId, Height, JobId};
use chain_rpc::view::{EventsParams, EventsView, JobState, Notice};
use serde_json::{Value, json};

use crate::{
    app::{App, Names},
    error::{Answer, CliError},
    market_told::{Words, line},
    node::Node,
    output::print_line,
};

/// Pause before a broken connection is made anew.
const RETRY: Duration = Duration::from_millis(500);
/// What a job ends with.
const ENDS: &[&str] = &["job_settled", "dispute_decided", "job_cancelled"];

/// Tells events until the job is settled, or a posted one is taken back. A connection that breaks is made anew, and
/// the blocks go on without a gap.
pub async fn watch(app: &App, mut node: Node, job: JobId, from: Option<Height>) -> Answer<()> {
    let answer = node.client.get_job(job).await?;
    let asset = answer.job.asset();
    let mut next = from.unwrap_or(answer.height.next());
    if from.is_none() && answer.job.state() == JobState::Settled {
        let why = format!("job {job} is settled; `chain job show {job}` shows how, --from-height tells the way there");
        return Err(CliError::Failed(why));
    }
    loop {
        match tell(app, &node, (job, asset), &mut next).await? {
            None => return Ok(()),
            Some(broken) => eprintln!("{broken}; goes on with block {next}"),
        }
        while let Err(error) = node.again().await.map(|anew| node = anew) {
            if !matches!(error, CliError::NoAnswer { .. }) {
                return Err(error);
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// `None`: it is settled. Otherwise why nothing more is told.
async fn tell(app: &App, node: &Node, (job, asset): (JobId, AssetId), next: &mut Height) -> Answer<Option<String>> {
    let asked = EventsParams { from_height: Some(*next), job: Some(job), ..EventsParams::default() };
    let mut feed = match node.client.events_of(&asked).await {
        Err(error) if error.refusal().is_none() => return Ok(Some(error.to_string())),
        subscribed => subscribed?,
    };
    // Events of a receipt name no asset.
    let words = Words::of(node, &[&json!({ "asset": asset })]).await?;
    let names = app.names();
    loop {
        match feed.next().await {
            Some(Ok(Notice::Item(told))) => {
                *next = told.height.next();
                if tell_block(app, &names, &words, &told)? {
                    return Ok(None);
                }
            }
            Some(Ok(Notice::Lagged { lagged })) => return Ok(Some(format!("too slow, {} behind", lagged.missed.0))),
            Some(Err(error)) => return Ok(Some(error.to_string())),
            None => return Ok(Some("the node closed the connection".into())),
        }
    }
}

/// Whether it says the end.
fn tell_block(app: &App, names: &Names, words: &Words, told: &EventsView) -> Answer<bool> {
    let events: Vec<&Value> = told.sources.iter().flat_map(|source| &source.events).collect();
    for event in &events {
        let document = json!({ "height": told.height, "event": event });
        print_line(app.json, &document, || match line(words, event) {
            Some((name, text)) => format!("{:>8}  {name}: {}", told.height, names.replace(&text)),
            None => format!("{:>8}  {event}", told.height),
        })?;
    }
    let kind = |event: &&Value| event.get("type").and_then(Value::as_str).map(str::to_owned);
    Ok(events.iter().filter_map(kind).any(|kind| ENDS.contains(&kind.as_str())))
}
