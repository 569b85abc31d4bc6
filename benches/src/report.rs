//! Figures as people and programs read them: medians of the runs, the ratio to the yardstick of
//! the same run, and whether the run was disturbed.

use serde::Serialize;
use std::collections::BTreeMap;

/// Below this share of all cores used by those who take part, a run is noisy: something else ran,
/// or something else than the processor was the bound.
const QUIET: f64 = 0.90;

/// One run of a figure.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// The figure, in the figure's unit.
    pub value: f64,
    /// The yardstick, in the same unit: the mean of just before and just after.
    pub baseline: f64,
    /// Share of all cores that those who take part used.
    pub utilisation: Option<f64>,
    /// Share of all cores that anybody used.
    pub machine: Option<f64>,
    /// Further figures by name.
    pub notes: BTreeMap<String, f64>,
}

/// A figure with all its runs.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Its number in the list of goals.
    pub id: &'static str,
    /// What is measured.
    pub what: String,
    /// The unit of value and yardstick.
    pub unit: &'static str,
    /// What the yardstick is.
    pub yardstick: &'static str,
    /// The ratio has to reach this (or stay below it).
    pub floor: f64,
    /// The ratio we want.
    pub goal: f64,
    /// Repeats it.
    pub command: String,
    /// The runs, in order.
    pub runs: Vec<Run>,
    /// Said beside the figure.
    pub remarks: Vec<String>,
}

/// The middle one; of an even number the mean of both. 0 of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.len() % 2, values.get(middle.wrapping_sub(1)), values.get(middle)) {
        (1, _, Some(middle)) => *middle,
        (_, Some(low), Some(high)) => (low + high) / 2.0,
        _ => 0.0,
    }
}

impl Figure {
    /// Median of the runs' values.
    pub fn value(&self) -> f64 {
        median(self.runs.iter().map(|run| run.value))
    }

    /// Median of the yardstick.
    pub fn baseline(&self) -> f64 {
        median(self.runs.iter().map(|run| run.baseline))
    }

    /// Median of the runs' own ratios.
    pub fn ratio(&self) -> f64 {
        median(self.runs.iter().map(|run| run.value / run.baseline))
    }

    /// Median of a note, over the runs that have it.
    pub fn note(&self, name: &str) -> Option<f64> {
        let noted: Vec<f64> = self.runs.iter().filter_map(|run| run.notes.get(name).copied()).collect();
        (!noted.is_empty()).then(|| median(noted))
    }

    /// Whether any run was disturbed or bound by something else than the processor.
    pub fn is_noisy(&self) -> bool {
        self.runs.iter().any(|run| run.utilisation.is_some_and(|share| share < QUIET))
    }

    /// The head of the table.
    pub fn head() -> String {
        "| | figure | median | yardstick | ratio | floor | goal | besides | cores used | repeat with |\n\
         |---|---|---|---|---|---|---|---|---|---|"
            .into()
    }

    /// One row of the table.
    pub fn row(&self) -> String {
        let percent = |share: Option<f64>| share.map_or("–".into(), |share| format!("{:.0} %", share * 100.0));
        let some = |of: fn(&Run) -> Option<f64>| {
            let shares: Vec<f64> = self.runs.iter().filter_map(of).collect();
            (!shares.is_empty()).then(|| median(shares))
        };
        let used = match some(|run| run.utilisation) {
            None => "–".into(),
            ours => {
                let noisy = if self.is_noisy() { ", **noisy**" } else { "" };
                format!("{} (machine {}){noisy}", percent(ours), percent(some(|run| run.machine)))
            }
        };
        let names: std::collections::BTreeSet<&String> = self.runs.iter().flat_map(|run| run.notes.keys()).collect();
        let noted = names.into_iter().filter_map(|name| Some(format!("{name} {}", short(self.note(name)?))));
        let besides: Vec<String> = noted.chain(self.remarks.iter().cloned()).collect();
        format!(
            "| {} | {} | {} {} | {} {} | **{:.2}** | {} | {} | {} | {used} | `{}` |",
            self.id,
            self.what,
            short(self.value()),
            self.unit,
            self.yardstick,
            short(self.baseline()),
            self.ratio(),
            self.floor,
            self.goal,
            besides.join("; "),
            self.command,
        )
    }
}

/// A number with about three digits that matter.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 10_000.0 => format!("{:.1} k", value / 1000.0),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median([]), 0.0);
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn the_ratio_is_the_median_of_the_runs_own_ratios_and_one_disturbed_run_makes_it_noisy() {
        let run = |value, baseline, utilisation| Run {
            value,
            baseline,
            utilisation: Some(utilisation),
            machine: Some(1.0),
            notes: BTreeMap::from([("c_rest µs".into(), value)]),
        };
        let mut figure = Figure {
            id: "P0",
            what: "test".into(),
            unit: "/s",
            yardstick: "B_sig",
            floor: 0.5,
            goal: 0.7,
            command: "load test".into(),
            runs: vec![run(10.0, 20.0, 0.95), run(30.0, 100.0, 0.96), run(40.0, 100.0, 0.97)],
            remarks: vec![],
        };
        assert_eq!((figure.ratio(), figure.is_noisy()), (0.4, false));
        figure.runs[1].utilisation = Some(0.5);
        assert!(figure.is_noisy() && figure.row().contains("noisy") && figure.row().contains("c_rest µs 30.0"));
    }
}
