//! The settings of how the host is changed: `[apply]`, `[[conffile]]`, `[reboot]` and `[clock]`, with their judging.

use std::time::Duration;

use patchd_core::glob::Glob;

use super::fragment::{ConffileFragment, Located};
use super::input::Input;
use super::mistake::suggest;
use super::settings::{Judge, duration_within};

/// The most rules and globs that are looked through for each package.
const MAX_GLOBS: usize = 1_000;

/// How packages are changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplySettings {
    /// What becomes of a configuration file that was edited here and is shipped anew. Default: it is kept.
    pub conffiles: ConffileRule,
    /// Exceptions from that: the first whose packages match counts.
    pub conffile_choices: Vec<ConffileChoice>,
    /// What is kept of the window for a reboot. Default: 5 minutes.
    pub reboot_reserve: Duration,
    /// How long one transaction may be meant to take, so that a stop is honoured in time. Default: 30 minutes.
    pub longest_transaction: Duration,
    /// How far the hosts of a fleet are spread over the first part of a window. Default: 15 minutes.
    pub splay: Duration,
    /// The packages that may be removed, and those that may go down to an earlier version. Default: none.
    pub allow_removal: Vec<Glob>,
    pub allow_downgrade: Vec<Glob>,
}

/// What becomes of a configuration file that was edited here and is shipped anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConffileRule {
    /// The edited one stays in use; the new one lies beside it.
    Keep,
    /// The new one is used; the edited one lies beside it.
    Replace,
    /// The package is not upgraded.
    Hold,
}

impl ConffileRule {
    const ALL: [Self; 3] = [Self::Keep, Self::Replace, Self::Hold];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Replace => "replace",
            Self::Hold => "hold",
        }
    }
}

/// A rule for some packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConffileChoice {
    pub packages: Glob,
    pub rule: ConffileRule,
}

/// Whether the host is rebooted at the end of an apply. Outside of a window it never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RebootSettings {
    /// Default: if the host asks for it.
    pub policy: RebootPolicy,
}

/// Systems Manager's `RebootOption`, but that `if-needed` goes by what the host says, where `RebootIfNeeded` goes by
/// whether anything was installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RebootPolicy {
    IfNeeded,
    Never,
}

impl RebootPolicy {
    const ALL: [Self; 2] = [Self::IfNeeded, Self::Never];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::IfNeeded => "if-needed",
            Self::Never => "never",
        }
    }
}

impl Default for RebootSettings {
    fn default() -> Self {
        Self { policy: RebootPolicy::IfNeeded }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockSettings {
    /// Whether nothing is changed while the kernel's clock is not synchronised. Default: yes.
    pub require_synchronised: bool,
}

impl Default for ApplySettings {
    fn default() -> Self {
        Self {
            conffiles: ConffileRule::Keep,
            conffile_choices: Vec::new(),
            reboot_reserve: Duration::from_secs(5 * 60),
            longest_transaction: Duration::from_secs(30 * 60),
            splay: Duration::from_secs(15 * 60),
            allow_removal: Vec::new(),
            allow_downgrade: Vec::new(),
        }
    }
}

impl Default for ClockSettings {
    fn default() -> Self {
        Self { require_synchronised: true }
    }
}

impl ApplySettings {
    /// The rule for the configuration files of a package.
    pub fn conffile_rule(&self, package: &str) -> ConffileRule {
        let choice = self.conffile_choices.iter().find(|choice| choice.packages.matches(package));
        choice.map_or(self.conffiles, |choice| choice.rule)
    }

    pub fn allows_removal(&self, package: &str) -> bool {
        self.allow_removal.iter().any(|glob| glob.matches(package))
    }

    pub fn allows_downgrade(&self, package: &str) -> bool {
        self.allow_downgrade.iter().any(|glob| glob.matches(package))
    }
}

impl Judge<'_> {
    pub(super) fn apply(&mut self, input: &Input) -> ApplySettings {
        let ApplySettings {
            conffiles, conffile_choices: _, reboot_reserve, longest_transaction, splay, ..
        } = ApplySettings::default();
        let said = &input.sections;
        let reserve = |text: &String| duration_within(text, "0s", "2h");
        let longest = |text: &String| duration_within(text, "1m", "12h");
        ApplySettings {
            conffiles: self
                .or_default("apply.conffiles", said.apply_conffiles.clone(), conffiles, |text| rule(text)),
            conffile_choices: self.conffile_choices(&input.conffiles),
            reboot_reserve: self.or_default(
                "apply.reboot_reserve",
                said.apply_reboot_reserve.clone(),
                reboot_reserve,
                reserve,
            ),
            longest_transaction: self.or_default(
                "apply.longest_transaction",
                said.apply_longest_transaction.clone(),
                longest_transaction,
                longest,
            ),
            splay: self.or_default("apply.splay", said.apply_splay.clone(), splay, |text| {
                duration_within(text, "0s", "12h")
            }),
            allow_removal: self.globs("apply.allow_removal", said.apply_allow_removal.clone()),
            allow_downgrade: self.globs("apply.allow_downgrade", said.apply_allow_downgrade.clone()),
        }
    }

    pub(super) fn reboot(&mut self, input: &Input) -> RebootSettings {
        let said = input.sections.reboot_policy.clone();
        let RebootSettings { policy } = RebootSettings::default();
        RebootSettings { policy: self.or_default("reboot.policy", said, policy, |text| reboot_policy(text)) }
    }

    fn globs(&mut self, key: &str, said: Option<Located<Vec<String>>>) -> Vec<Glob> {
        self.or_default(key, said, Vec::new(), |list| {
            if MAX_GLOBS < list.len() {
                return Err(format!("it has more than {MAX_GLOBS} globs"));
            }
            list.iter().map(|text| glob(text)).collect()
        })
    }

    /// Later files come first, so that a drop-in can make an exception from what an earlier file says of many packages.
    fn conffile_choices(&mut self, files: &[Vec<ConffileFragment>]) -> Vec<ConffileChoice> {
        let mut choices = Vec::new();
        for said in files.iter().rev().flatten() {
            let keys = [("packages", said.packages.as_ref()), ("rule", said.rule.as_ref())];
            let example = "write packages = \"nginx*\" and rule = \"replace\"";
            let [Some(packages), Some(chosen)] = self.all_or_none("conffile", &said.place, keys, example)
            else {
                continue;
            };
            let packages = self.judged("conffile.packages", packages, |text| glob(text));
            let rule = self.judged("conffile.rule", chosen, |text| rule(text));
            if let (Some(packages), Some(rule)) = (packages, rule) {
                choices.push(ConffileChoice { packages, rule });
            }
            if MAX_GLOBS < choices.len() {
                self.mistake(&said.place, "conffile", format!("there are more than {MAX_GLOBS} of them"));
                return choices;
            }
        }
        choices
    }
}

fn rule(text: &str) -> Result<ConffileRule, String> {
    let known = ConffileRule::ALL.map(ConffileRule::as_str);
    let found = ConffileRule::ALL.into_iter().find(|rule| rule.as_str() == text);
    found.ok_or_else(|| format!("{text:?} is no rule; {}", suggest(text, &known)))
}

fn reboot_policy(text: &str) -> Result<RebootPolicy, String> {
    let known = RebootPolicy::ALL.map(RebootPolicy::as_str);
    let found = RebootPolicy::ALL.into_iter().find(|policy| policy.as_str() == text);
    found.ok_or_else(|| format!("{text:?} is no policy; {}", suggest(text, &known)))
}

fn glob(text: &str) -> Result<Glob, String> {
    Glob::parse(text).map_err(|error| format!("{text:?} is no package name with `*` and `?` in it: {error}"))
}
