//! The table: a row a figure, a column a peer; medians and ranges, and how we stand beside the best.

use std::collections::{HashMap, HashSet};

use crate::peers::Entry;
use crate::workload::Figure;

/// Our own column.
pub(crate) const OURS: &str = "duewheel";

/// What was measured of each figure of each peer, a value a run.
#[derive(Default)]
pub(crate) struct Results {
    runs: HashMap<(&'static str, String), Vec<f64>>,
    failed: HashSet<(&'static str, String)>,
}

impl Results {
    pub(crate) fn add(&mut self, peer: &'static str, figure: &str, value: f64) {
        let key = (peer, figure.to_owned());
        self.runs.entry(key).or_default().push(value);
    }

    pub(crate) fn fail(&mut self, peer: &'static str, figure: Figure) {
        self.failed.insert((peer, figure.to_string()));
    }

    pub(crate) fn any_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Median, minimum and maximum, where it was measured and never failed.
    fn spread(&self, peer: &'static str, figure: Figure) -> Option<[f64; 3]> {
        let key = (peer, figure.to_string());
        if self.failed.contains(&key) {
            return None;
        }
        let mut runs = self.runs.get(&key)?.clone();
        runs.sort_by(f64::total_cmp);
        // Their number is odd.
        Some([*runs.get(runs.len() / 2)?, *runs.first()?, *runs.last()?])
    }

    fn cell(&self, peer: &'static str, figure: Figure) -> String {
        if self.failed.contains(&(peer, figure.to_string())) {
            return "failed".to_owned();
        }
        let Some(spread) = self.spread(peer, figure) else {
            return "-".to_owned();
        };
        let [median, least, most] = spread.map(|value| rounded(value, spread[0]));
        if least == most {
            median
        } else {
            format!("{median} ({least}-{most})")
        }
    }

    /// Our median by that of the best peer: below 1, we are ahead.
    fn ratio(&self, peers: &[&'static Entry], figure: Figure) -> String {
        let best = peers
            .iter()
            .filter(|peer| !peer.is_floor && peer.name != OURS)
            .filter_map(|peer| Some((peer.name, self.spread(peer.name, figure)?[0])))
            .min_by(|(_, one), (_, other)| one.total_cmp(other));
        match (best, self.spread(OURS, figure)) {
            (Some((name, best)), Some([ours, ..])) => {
                let verdict = if ours > best { " LOSES" } else { "" };
                format!("{:.2} {name}{verdict}", ours / best)
            }
            _ => "-".to_owned(),
        }
    }
}

/// A value to the digits that one of the size of `like` is worth.
fn rounded(value: f64, like: f64) -> String {
    let digits = match like {
        like if like < 9.95 => 2,
        like if like < 99.5 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}

/// The table, in Markdown that reads well as it is.
pub(crate) fn render(peers: &[&'static Entry], figures: &[Figure], results: &Results) -> String {
    let is_ours_there = peers.iter().any(|peer| peer.name == OURS);
    let mut heading = vec!["figure".to_owned(), "unit".to_owned()];
    heading.extend(peers.iter().map(|peer| peer.name.to_owned()));
    if is_ours_there {
        heading.push(format!("**{OURS} to the best peer**"));
    }
    let mut rows = vec![heading];
    for &figure in figures {
        let mut row = vec![figure.to_string(), figure.unit().to_owned()];
        row.extend(peers.iter().map(|peer| results.cell(peer.name, figure)));
        if is_ours_there {
            row.push(results.ratio(peers, figure));
        }
        rows.push(row);
    }
    aligned(&rows)
}

fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (cell, &width) in row.iter().zip(&widths) {
            text.push_str(&format!("| {cell:<width$} "));
        }
        text.push_str("|\n");
        if number == 0 {
            for &width in &widths {
                text.push_str(&format!("| {} ", "-".repeat(width)));
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers;

    /// The cells of the row of S2, between what is left and right of all of them.
    fn cells(results: &Results) -> Vec<String> {
        let peers: Vec<&Entry> = peers::ALL.iter().collect();
        let table = render(&peers, &[Figure::Release], results);
        let row = table.lines().nth(2).expect("a row");
        row.split('|').map(|cell| cell.trim().to_owned()).collect()
    }

    #[test]
    fn a_cell_shows_the_median_and_the_range() {
        let mut results = Results::default();
        for value in [30.0, 10.0, 20.0] {
            results.add(peers::ALL[0].name, "S2", value);
        }
        assert_eq!(cells(&results)[3], "20.0 (10.0-30.0)");
        assert_eq!(cells(&results)[4], "-");
    }

    #[test]
    fn a_peer_that_failed_once_failed() {
        let mut results = Results::default();
        results.add(peers::ALL[0].name, "S2", 20.0);
        results.fail(peers::ALL[0].name, Figure::Release);
        assert!(results.any_failed());
        assert_eq!(cells(&results)[3], "failed");
    }
}
