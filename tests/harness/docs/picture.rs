//! A picture of a terminal: what a program printed, with its colours, as an SVG file.
//!
//! It is text all the same: it can be searched, scales, and is read on a light page as well as on a dark one.

use std::fmt::Write;

/// The width of a character and the height of a line, in pixels, of the fonts that are asked for.
const CELL: (f64, f64) = (8.0, 18.0);
const MARGIN: f64 = 16.0;
const TITLE: f64 = 30.0;

const HEAD: &str = "<style>
.window{fill:#f6f8fa;stroke:#d0d7de}.title{fill:#59636e}
text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#1f2328;white-space:pre}
.typed,.heading{font-weight:700}.good{fill:#116329;font-weight:700}.bad{fill:#cf222e;font-weight:700}
.doubtful{fill:#7d4e00;font-weight:700}.prompt{fill:#0550ae;font-weight:700}
@media(prefers-color-scheme:dark){.window{fill:#0d1117;stroke:#3d444d}.title{fill:#9198a1}text{fill:#e6edf3}
.good{fill:#56d364}.bad{fill:#ff7b72}.doubtful{fill:#e3b341}.prompt{fill:#79c0ff}}
</style>
";

/// Draws a command and what it printed, escape sequences and all.
pub fn terminal(title: &str, command: &str, printed: &str) -> String {
    let lines: Vec<_> = printed.lines().map(pieces).collect();
    let width_of =
        |pieces: &Vec<(&str, String)>| pieces.iter().map(|(_, text)| text.chars().count()).sum::<usize>();
    let columns = lines.iter().map(width_of).chain([command.chars().count() + 2]).max().unwrap_or(0);
    let width = count(columns) * CELL.0 + 2.0 * MARGIN;
    let height = TITLE + count(lines.len() + 1) * CELL.1 + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{}\">\n{HEAD}",
        escaped(title)
    );
    let _ = writeln!(
        svg,
        "<rect class=\"window\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>",
        width - 1.0,
        height - 1.0
    );
    let _ = writeln!(svg, "<text class=\"title\" x=\"{MARGIN}\" y=\"22\">{}</text>", escaped(title));
    let typed = vec![("prompt", "$ ".to_owned()), ("typed", command.to_owned())];
    for (number, line) in [typed].iter().chain(&lines).enumerate() {
        let y = TITLE + MARGIN + count(number) * CELL.1 + 4.0;
        let mut column = 0;
        for (class, text) in line {
            let x = MARGIN + count(column) * CELL.0;
            let length = count(text.chars().count()) * CELL.0;
            column += text.chars().count();
            if !text.trim().is_empty() {
                let _ = writeln!(
                    svg,
                    "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" textLength=\"{length}\" xml:space=\"preserve\">{}</text>",
                    escaped(text)
                );
            }
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// The pieces of a line, each with its class. It knows the escape sequences that patchctl writes.
fn pieces(line: &str) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let mut class = "plain";
    for (number, part) in line.trim_end_matches('\r').split("\u{1b}[").enumerate() {
        let text = match (number, part.split_once('m')) {
            (0, _) | (_, None) => part,
            (_, Some((code, text))) => {
                class = match code {
                    "1" => "heading",
                    "1;32" => "good",
                    "1;31" => "bad",
                    "1;33" => "doubtful",
                    _ => "plain",
                };
                text
            }
        };
        if !text.is_empty() {
            found.push((class, text.to_owned()));
        }
    }
    found
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
