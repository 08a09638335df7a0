//! Samples of contenders that ran in turns, and the table that is made of them.

use std::time::Duration;

use super::measure::Sample;

/// One contender with its samples.
#[derive(Debug)]
pub(super) struct Contender {
    pub(super) title: String,
    pub(super) line: Vec<String>,
    pub(super) samples: Vec<Sample>,
}

impl Contender {
    pub(super) fn new(title: &str, line: &[&str]) -> Self {
        let line = line.iter().map(|word| (*word).to_owned()).collect();
        Self { title: title.into(), line, samples: Vec::new() }
    }

    pub(super) fn median(&self) -> Duration {
        middle(self.samples.iter().map(|sample| sample.wall)).unwrap_or_default()
    }

    fn processor(&self) -> Duration {
        middle(self.samples.iter().map(|sample| sample.processor)).unwrap_or_default()
    }

    /// The worst peak of all runs, in MB of 1,000,000 bytes.
    pub(super) fn peak(&self) -> f64 {
        let kib = self.samples.iter().map(|sample| sample.peak_kib).max().unwrap_or(0);
        megabytes(kib * 1024)
    }

    fn row(&self) -> String {
        let walls = || self.samples.iter().map(|sample| sample.wall);
        let [median, low, high, processor] = [
            self.median(),
            walls().min().unwrap_or_default(),
            walls().max().unwrap_or_default(),
            self.processor(),
        ]
        .map(milliseconds);
        let Self { title, .. } = self;
        format!("  {title:<46}{median:>10.1}{low:>10.1}{high:>10.1}{processor:>10.1}{:>10.1}", self.peak())
    }
}

pub(super) fn print(title: &str, contenders: &[Contender]) {
    let rounds = contenders.first().map_or(0, |contender| contender.samples.len());
    println!("\n{title}; {rounds} runs each, in turns");
    let head = ["median ms", "min", "max", "CPU ms", "peak MB"].map(|word| format!("{word:>10}")).concat();
    println!("  {:<46}{head}", "");
    for contender in contenders {
        println!("{}", contender.row());
    }
}

/// One line on whether a reach is kept.
pub(super) fn reach(what: &str, measured: f64, at_most: f64, unit: &str) {
    let verdict = if measured <= at_most { "kept" } else { "MISSED" };
    println!("  reach: {what}: {measured:.2}{unit}, at most {at_most}{unit}: {verdict}");
}

/// How many times as long as the peer.
pub(super) fn ratio(ours: &Contender, peer: &Contender) -> f64 {
    ours.median().as_secs_f64() / peer.median().as_secs_f64()
}

/// The same of processor time, which a busy machine blurs less.
pub(super) fn print_processor_ratio(ours: &Contender, peer: &Contender) {
    let ratio = ours.processor().as_secs_f64() / peer.processor().as_secs_f64();
    println!("         of processor time: {ratio:.2} times {}", peer.title);
}

pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "sizes for people")]
pub(super) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The median; of an even number the upper of the two.
fn middle(values: impl Iterator<Item = Duration>) -> Option<Duration> {
    let mut values: Vec<_> = values.collect();
    values.sort();
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let of = |list: &[u64]| middle(list.iter().map(|value| Duration::from_millis(*value)));
        assert_eq!(of(&[5, 1, 9]), Some(Duration::from_millis(5)));
        assert_eq!(of(&[]), None);
    }
}
