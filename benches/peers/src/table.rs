//! The table: medians and ranges, and how we stand beside the best peer of each kind.

use std::collections::HashMap;
use std::fmt;

use crate::peer::Kind;
use crate::peers::Entry;
use crate::workload::Figure;

/// Our own row.
pub(crate) const OURS: &str = "duewheel";

/// What was measured of each figure of each peer, a value a run.
#[derive(Default)]
pub(crate) struct Results {
    runs: HashMap<(&'static str, String), Vec<f64>>,
    failed: HashMap<(&'static str, String), ()>,
}

impl Results {
    pub(crate) fn add(&mut self, peer: &'static str, figure: &str, value: f64) {
        self.runs
            .entry((peer, figure.to_owned()))
            .or_default()
            .push(value);
    }

    pub(crate) fn fail(&mut self, peer: &'static str, figure: Figure) {
        self.failed.insert((peer, figure.to_string()), ());
    }

    pub(crate) fn any_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    fn spread(&self, peer: &'static str, figure: Figure) -> Option<Spread> {
        let key = (peer, figure.to_string());
        if self.failed.contains_key(&key) {
            return None;
        }
        Spread::of(self.runs.get(&key)?)
    }

    fn cell(&self, peer: &'static str, figure: Figure) -> String {
        if self.failed.contains_key(&(peer, figure.to_string())) {
            return "failed".to_owned();
        }
        self.spread(peer, figure)
            .map_or_else(|| "-".to_owned(), |spread| spread.to_string())
    }
}

/// Values of some runs.
pub(crate) struct Spread {
    pub(crate) median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    pub(crate) fn of(runs: &[f64]) -> Option<Self> {
        let mut runs = runs.to_vec();
        runs.sort_by(f64::total_cmp);
        let middle = runs.len() / 2;
        Some(Self {
            median: if runs.len().is_multiple_of(2) {
                f64::midpoint(*runs.get(middle.checked_sub(1)?)?, runs[middle])
            } else {
                runs[middle]
            },
            least: *runs.first()?,
            most: *runs.last()?,
        })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let round = |value| rounded(value, self.median);
        f.write_str(&round(self.median))?;
        let (least, most) = (round(self.least), round(self.most));
        if least != most {
            write!(f, " ({least}-{most})")?;
        }
        Ok(())
    }
}

/// A value to the digits that one of the size of `like` is worth.
pub(crate) fn rounded(value: f64, like: f64) -> String {
    let digits = match like {
        like if like < 9.95 => 2,
        like if like < 99.5 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}

/// The table, in Markdown.
pub(crate) fn render(peers: &[&'static Entry], figures: &[Figure], results: &Results) -> String {
    let mut rows = vec![heading(figures)];
    for peer in peers {
        let mut row = vec![
            peer.name.to_owned(),
            match peer.kind {
                Kind::Removing => "removes",
                Kind::Marking => "marks",
                Kind::Floor => "",
            }
            .to_owned(),
            peer.handle_bytes.to_string(),
        ];
        row.extend(
            figures
                .iter()
                .map(|&figure| results.cell(peer.name, figure)),
        );
        rows.push(row);
    }
    if peers.iter().any(|peer| peer.name == OURS) {
        for (kind, title) in [(Kind::Removing, "removing"), (Kind::Marking, "marking")] {
            let mut row = vec![
                format!("**{OURS} to the best {title} peer**"),
                String::new(),
                String::new(),
            ];
            row.extend(
                figures
                    .iter()
                    .map(|&figure| ratio(peers, kind, figure, results)),
            );
            rows.push(row);
        }
    }
    aligned(&rows)
}

fn heading(figures: &[Figure]) -> Vec<String> {
    let mut row = vec!["peer".to_owned(), "cancel".to_owned(), "handle".to_owned()];
    row.extend(figures.iter().map(Figure::to_string));
    row
}

/// Our median by that of the best peer of a kind that fires on time: below 1, we are ahead.
fn ratio(peers: &[&'static Entry], kind: Kind, figure: Figure, results: &Results) -> String {
    let best = peers
        .iter()
        .filter(|peer| peer.kind == kind && peer.is_exact && peer.name != OURS)
        .filter_map(|peer| Some((peer.name, results.spread(peer.name, figure)?.median)))
        .min_by(|(_, one), (_, other)| one.total_cmp(other));
    match (best, results.spread(OURS, figure)) {
        (Some((name, best)), Some(ours)) => {
            let ratio = ours.median / best;
            let verdict = if ratio > 1.0 { " LOSES" } else { "" };
            format!("{ratio:.2} {name}{verdict}")
        }
        _ => "-".to_owned(),
    }
}

/// Rows as a Markdown table that reads well as it is.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0))
        .collect();
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:<width$}"))
            .collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        text.push_str(&line(row));
        if number == 0 {
            text.push_str(&line(&rule));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers;
    use crate::workload::Workload;

    const W1: Figure = Figure::Time(Workload::W1);

    /// The row that begins with this, by its cells.
    fn row(results: &Results, title: &str) -> Vec<String> {
        let peers: Vec<&Entry> = peers::ALL.iter().collect();
        let table = render(&peers, &[W1], results);
        let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect();
        let rows = table.lines().map(cells);
        let mut rows = rows.filter(|cells: &Vec<String>| cells[1].contains(title));
        rows.next().expect("a row of that title")
    }

    #[test]
    fn no_ratio_is_taken_to_a_peer_that_fires_early() {
        let mut results = Results::default();
        for (peer, value) in [(OURS, 30.0), ("bitwheel", 10.0), ("nexus-timer", 40.0)] {
            results.add(peer, "W1", value);
        }
        assert_eq!(row(&results, "bitwheel")[4], "10.0");
        assert_eq!(row(&results, "best removing")[4], "0.75 nexus-timer");
        assert_eq!(row(&results, "best marking")[4], "-");
    }

    #[test]
    fn a_peer_that_failed_once_failed() {
        let mut results = Results::default();
        for (peer, value) in [(OURS, 30.0), ("slab-wheel", 20.0), ("nexus-timer", 25.0)] {
            results.add(peer, "W1", value);
        }
        results.fail("slab-wheel", W1);
        assert!(results.any_failed());
        assert_eq!(row(&results, "slab-wheel")[4], "failed");
        assert_eq!(row(&results, "best removing")[4], "1.20 nexus-timer LOSES");
    }
}
