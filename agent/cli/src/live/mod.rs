//! A run as it is watched: each move a line, and in between how far it is. What was changed is told afterwards, from what
//! was read back: nothing here is a verdict.

mod bars;
mod seldom;

use std::collections::BTreeSet;

use patchd_protocol::control::RunPhase;
use patchd_protocol::control::events::{PackageCounts, RunMoved, RunProgress};

use self::bars::Bars;
use self::seldom::{Seldom, Tenths};
use crate::output::Aside;
use crate::text::{Line, Style};
use crate::view::run::phase_words;
use crate::view::span;

/// As many packages are known by name, so that each is told once.
const MAX_NAMES: usize = 10_000;

/// How far in the lines are that stand below a move.
const INDENT: &str = "          ";

/// What is shown of a run, and where.
pub(crate) struct Live {
    screen: Screen,
    phase: Option<RunPhase>,
    packages: Option<PackageCounts>,
    named: BTreeSet<String>,
    tenths: Tenths,
    /// Whose lock is waited for.
    holder: String,
    waiting: Seldom,
    stalled: Seldom,
}

enum Screen {
    /// A terminal.
    Bars(Box<Bars>),
    /// Anything else: lines, and few of them.
    Lines(Aside),
    /// Only what a person must know.
    Quiet(Aside),
}

impl Live {
    /// For a run that changes the host: bars on a terminal, lines elsewhere.
    pub(crate) fn new(aside: Aside) -> Self {
        let screen =
            if aside.is_terminal() { Screen::Bars(Box::new(Bars::new(aside))) } else { Screen::Lines(aside) };
        Self::on(screen)
    }

    /// For a run that only looks: nothing that a log would be filled with.
    pub(crate) fn quiet(aside: Aside) -> Self {
        let screen =
            if aside.is_terminal() { Screen::Bars(Box::new(Bars::new(aside))) } else { Screen::Quiet(aside) };
        Self::on(screen)
    }

    fn on(screen: Screen) -> Self {
        Self {
            screen,
            phase: None,
            packages: None,
            named: BTreeSet::new(),
            tenths: Tenths::default(),
            holder: String::new(),
            waiting: Seldom::default(),
            stalled: Seldom::default(),
        }
    }

    /// The run moved.
    pub(crate) fn moved(&mut self, moved: &RunMoved) {
        let text = if moved.text.is_empty() { phase_words(moved.phase) } else { &moved.text };
        let lead = format!("{}  ", moved.at.strftime("%H:%M:%S"));
        let mut line = Line::plain(lead).then(Style::Plain, text);
        if let Some(packages) = moved.packages.filter(|packages| Some(*packages) != self.packages) {
            line = line.then(Style::Plain, format!(" ({})", counts_text(packages)));
        }
        self.enter(moved.phase);
        self.packages = moved.packages;
        self.line(line);
        self.place(None, "");
    }

    /// The run is in this phase, and nobody told how it came there.
    pub(crate) fn phase(&mut self, phase: RunPhase) {
        self.enter(phase);
        self.line(Line::plain(format!("{INDENT}{}", phase_words(phase))));
        self.place(None, "");
    }

    pub(crate) fn progress(&mut self, progress: &RunProgress) {
        match progress {
            RunProgress::Download { permille, item } => {
                self.place(Some(*permille), item);
            }
            RunProgress::Package { name, action, permille } => {
                self.stalled = Seldom::default();
                let is_new = self.named.len() < MAX_NAMES && self.named.insert(name.clone());
                let text = format!("{action} {name}");
                self.show(Some(*permille), &text, is_new);
            }
            RunProgress::Output { line } => {
                self.stalled = Seldom::default();
                if let Screen::Bars(bars) = &self.screen {
                    bars.output(line);
                }
            }
            RunProgress::Waiting { holder, seconds } => self.wait(holder, *seconds),
            RunProgress::Stalled { seconds, last } => self.stall(*seconds, last),
            RunProgress::Note { text } => self.line(Line::plain(format!("{INDENT}{text}"))),
        }
    }

    /// Something that must be seen.
    pub(crate) fn note(&mut self, sentence: &str) {
        let line = Line::styled(Style::Doubtful, format!("patchctl: {sentence}"));
        match &self.screen {
            Screen::Bars(bars) => bars.line(&line),
            Screen::Lines(aside) | Screen::Quiet(aside) => aside.lines(&[line]),
        }
    }

    /// Leaves the terminal as it was.
    pub(crate) fn end(&mut self) {
        if let Screen::Bars(bars) = &self.screen {
            bars.end();
        }
    }

    fn enter(&mut self, phase: RunPhase) {
        if self.phase.replace(phase) != Some(phase) {
            self.tenths = Tenths::default();
            self.named.clear();
            if let Screen::Bars(bars) = &self.screen {
                bars.phase(phase_words(phase));
            }
        }
    }

    fn wait(&mut self, holder: &str, seconds: u64) {
        if self.holder != holder {
            holder.clone_into(&mut self.holder);
            self.waiting = Seldom::default();
        }
        let text = format!("waiting for a lock: {holder} has held it for {}", span(seconds));
        if self.waiting.is_due(seconds) {
            self.line(Line::styled(Style::Doubtful, format!("{INDENT}{text}")));
        }
        self.place(None, &text);
    }

    fn stall(&mut self, seconds: u64, last: &str) {
        if !self.stalled.is_due(seconds) {
            return;
        }
        let last = if last.is_empty() { String::new() } else { format!("; its last words: {last}") };
        self.note(&format!(
            "STALLED: the package manager has said nothing for {}. It is left alone, because to cut it would do \
             harm: look at what it waits for{last}",
            span(seconds)
        ));
    }

    fn line(&self, line: Line) {
        match &self.screen {
            Screen::Bars(bars) => bars.line(&line),
            Screen::Lines(aside) => aside.lines(&[line]),
            Screen::Quiet(_) => {}
        }
    }

    /// How far it is, in thousandths if that can be told.
    fn place(&mut self, permille: Option<u16>, text: &str) {
        self.show(permille, text, false);
    }

    /// The same; `is_news` if lines are to have it whatever was told before.
    fn show(&mut self, permille: Option<u16>, text: &str, is_news: bool) {
        match &self.screen {
            Screen::Bars(bars) => bars.place(permille, text, self.packages.map(counts_text).as_deref()),
            Screen::Quiet(_) => {}
            Screen::Lines(aside) => {
                let Some(permille) = permille else { return };
                let is_due = self.tenths.is_due(permille);
                if is_due || is_news {
                    aside.lines(&[Line::plain(format!("{INDENT}{:>3} %  {text}", permille.min(1000) / 10))]);
                }
            }
        }
    }
}

/// `3 of 12 done, 1 failed`.
fn counts_text(packages: PackageCounts) -> String {
    let PackageCounts { done, failed, all } = packages;
    let failed = if 0 < failed { format!(", {failed} failed") } else { String::new() };
    format!("{done} of {all} done{failed}")
}

#[cfg(test)]
pub(crate) mod tests;
