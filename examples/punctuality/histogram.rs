//! Distributions as text: percentiles in a line, and a histogram of bars.

use std::fmt;

use hdrhistogram::Histogram;

/// Upper ends of the buckets, in microseconds: 1, 2, 5 and so on from 50 us to 100 s.
const ENDS_US: [u64; 20] = [
    50,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
];

/// The length of a bar that stands for everything.
const BAR_MAX: u64 = 50;

/// The heads of the columns of [`Percentiles`].
pub(crate) const HEADS: &str =
    "     count       p50       p90       p99     p99.9    p99.99       max";

/// A distribution of microseconds as a line, in milliseconds.
pub(crate) struct Percentiles<'a>(pub(crate) &'a Histogram<u64>);

impl fmt::Display for Percentiles<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10}", self.0.len())?;
        for quantile in [0.5, 0.9, 0.99, 0.999, 0.9999, 1.0] {
            let late_us = self.0.value_at_quantile(quantile).min(self.0.max());
            write!(f, "{:>10.2}", late_us as f64 / 1_000.0)?;
        }
        Ok(())
    }
}

/// A distribution of microseconds as bars, from its first bucket to its last.
pub(crate) struct Bars<'a>(pub(crate) &'a Histogram<u64>);

impl fmt::Display for Bars<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts = [0_u64; ENDS_US.len() + 1];
        for bucket in self.0.iter_recorded() {
            let late_us = bucket.value_iterated_to();
            counts[ENDS_US.partition_point(|&end| end < late_us)] += bucket.count_at_value();
        }
        let all = self.0.len();
        let is_used = |&count: &u64| count > 0;
        let (Some(first), Some(last)) = (
            counts.iter().position(is_used),
            counts.iter().rposition(is_used),
        ) else {
            return Ok(());
        };
        for (number, count) in counts.iter().enumerate().take(last + 1).skip(first) {
            let span = match ENDS_US.get(number) {
                Some(&end) => format!("up to {}", text(end)),
                None => "beyond".to_owned(),
            };
            let length = usize::try_from((count * BAR_MAX).div_ceil(all)).unwrap_or(0);
            let share = *count as f64 * 100.0 / all as f64;
            writeln!(
                f,
                "  {span:>14} {count:>10} {share:>7.3} % {}",
                "#".repeat(length)
            )?;
        }
        Ok(())
    }
}

fn text(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{} s", us / 1_000_000),
    }
}
