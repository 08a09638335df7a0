//! The bars on a terminal: how far the phase is, and below it the last line that somebody printed. Moves scroll above.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Aside;
use crate::text::{Line, clean};

/// A whole, in thousandths.
const WHOLE: u64 = 1000;

/// How often the spinner turns.
const TURN: Duration = Duration::from_millis(200);

pub(super) struct Bars {
    aside: Aside,
    all: MultiProgress,
    bar: ProgressBar,
    words: ProgressBar,
    known: ProgressStyle,
    unknown: ProgressStyle,
}

impl Bars {
    pub(super) fn new(aside: Aside) -> Self {
        let [known, unknown] = if aside.is_coloured() {
            ["{spinner} {prefix} {bar:20.green} {percent:>3} %  {wide_msg}", "{spinner} {prefix}  {wide_msg}"]
        } else {
            ["{spinner} {prefix} [{bar:20}] {percent:>3} %  {wide_msg}", "{spinner} {prefix}  {wide_msg}"]
        };
        let style = |template| {
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            if aside.is_coloured() { style } else { style.progress_chars("=> ") }
        };
        let (known, unknown) = (style(known), style(unknown));
        let words = style("  {wide_msg}");
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let bar = all.add(ProgressBar::new(WHOLE).with_style(unknown.clone()));
        let words = all.add(ProgressBar::new(WHOLE).with_style(words));
        bar.enable_steady_tick(TURN);
        Self { aside, all, bar, words, known, unknown }
    }

    /// Another phase: what was printed in the last one is over.
    pub(super) fn phase(&self, words: &'static str) {
        self.place(None, "", None);
        self.words.set_message("");
        self.bar.set_prefix(words);
    }

    pub(super) fn place(&self, permille: Option<u16>, text: &str, counts: Option<&str>) {
        let style = if permille.is_some() { &self.known } else { &self.unknown };
        self.bar.set_style(style.clone());
        self.bar.set_position(permille.map_or(0, u64::from).min(WHOLE));
        let text = [counts.unwrap_or_default(), text];
        let text = text.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
        self.bar.set_message(clean(&text).into_owned());
    }

    pub(super) fn output(&self, line: &str) {
        self.words.set_message(clean(line).into_owned());
    }

    /// A line that stays.
    pub(super) fn line(&self, line: &Line) {
        self.all.suspend(|| self.aside.lines(std::slice::from_ref(line)));
    }

    pub(super) fn end(&self) {
        self.words.finish_and_clear();
        self.bar.finish_and_clear();
    }
}
