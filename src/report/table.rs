//! A report as a readable table.

use std::fmt;

use super::{Lateness, Report};
use crate::lifecycle::{Outcome, RequestState};

/// Forecast lines shown at most; the serde form has all of them.
const FORECAST_LINES: usize = 24;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "duewheel at {}", self.now)?;
        write!(f, "pending {}", self.pending)?;
        for (state, count) in self.states.iter().filter(|(_, count)| **count > 0) {
            write!(f, "  {state} {count}")?;
        }
        writeln!(f)?;
        write!(f, "ended {}", self.outcomes.values().sum::<u64>())?;
        for line in &self.reasons {
            write!(f, "  {}", line.outcome)?;
            if let Some(reason) = &line.reason {
                write!(f, " ({reason})")?;
            }
            write!(f, " {}", line.count)?;
        }
        writeln!(f)?;
        writeln!(f, "lateness {}", self.lateness)?;
        match &self.oldest_overdue {
            Some(overdue) => writeln!(
                f,
                "oldest overdue: request {} at {}, due {}, {} ms late",
                overdue.id, overdue.location, overdue.due, overdue.late_ms
            )?,
            None => writeln!(f, "nothing overdue")?,
        }
        if self.router_panics > 0 {
            writeln!(f, "router panics {}", self.router_panics)?;
        }
        self.fmt_locations(f)?;
        self.fmt_forecast(f)
    }
}

impl Report {
    fn fmt_locations(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .locations
            .iter()
            .map(|l| l.location.chars().count())
            .max()
            .unwrap_or(0)
            .max(8);
        write!(f, "\n{:width$}", "location")?;
        for state in &RequestState::ALL[..RequestState::PENDING] {
            write!(f, " {state:>9}")?;
        }
        for outcome in Outcome::ALL {
            write!(f, " {outcome:>13}")?;
        }
        writeln!(f, " {:>9} {:>9}  pace", "p50 ms", "p99 ms")?;
        for line in &self.locations {
            write!(f, "{:width$}", line.location)?;
            for state in &RequestState::ALL[..RequestState::PENDING] {
                write!(f, " {:>9}", line.states.get(state).copied().unwrap_or(0))?;
            }
            for outcome in Outcome::ALL {
                write!(
                    f,
                    " {:>13}",
                    line.outcomes.get(&outcome).copied().unwrap_or(0)
                )?;
            }
            write!(
                f,
                " {:>9} {:>9}",
                line.lateness.p50_ms, line.lateness.p99_ms
            )?;
            match (line.held, line.pace) {
                (true, _) => writeln!(f, "  on hold")?,
                (false, Some(pace)) => writeln!(f, "  {pace}/s")?,
                (false, None) => writeln!(f, "  -")?,
            }
        }
        Ok(())
    }

    fn fmt_forecast(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forecast = &self.forecast;
        writeln!(
            f,
            "\nforecast: {} overdue, {} beyond",
            forecast.overdue, forecast.beyond
        )?;
        let coming = forecast
            .intervals
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0);
        let mut left = 0_usize;
        for (line, (interval, count)) in coming.enumerate() {
            if line >= FORECAST_LINES {
                left += 1;
                continue;
            }
            let ahead_ms = forecast.interval_ms.saturating_mul(interval as u64);
            let from = self
                .now
                .saturating_add(std::time::Duration::from_millis(ahead_ms));
            writeln!(f, "  from {from}  {count}")?;
        }
        if left > 0 {
            writeln!(f, "  and {left} more intervals")?;
        }
        Ok(())
    }
}

impl fmt::Display for Lateness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "of {} releases: p50 {} ms, p90 {} ms, p99 {} ms, p99.9 {} ms, max {} ms",
            self.count, self.p50_ms, self.p90_ms, self.p99_ms, self.p999_ms, self.max_ms
        )
    }
}
