//! The documents as scripts: every command that they show is run, every output compared, every configuration checked.
//!
//! What a fenced block is stands in its first line:
//!
//! - `console`: commands after `$ ` (any user) and `# ` (root), and below each what it prints. A line of `...` stands for
//!   any lines and `…` for any text in a line; where nothing is shown, what it prints does not matter. It has to succeed:
//!   one that is meant to fail shows its exit code, by `; echo $?`.
//! - `sh`: a script that root runs.
//! - `toml`, `json`, `yaml`: what goes into a file. With a path behind the word, it is put there. A configuration, a
//!   baseline or a list of overrides is checked by patchctl, a policy of AWS by the rules of `aws_policy`.
//! - `text`: a drawing, or what is no command.
//!
//! `<!-- setup: NAME -->` above a block brings the host into a state that `states` knows.

pub mod aws_policy;
pub mod blocks;
pub mod picture;
pub mod player;
mod states;
pub mod transcript;
