//! What root allows, from root's own files, at this clock: read anew for each change, and never taken from a client.
//!
//! A change rests on an open window or on a grant. It says nothing of what is installed, and waits for nothing.

use jiff::{SignedDuration, Timestamp};
use patchd_core::gate::{self, Freeze, Permission};
use patchd_core::plan::Plan;
use patchd_core::window::{Occurrence, Verdict, closing, verdict};
use patchd_host::clock::Synchronisation;
use patchd_host::config_files;
use patchd_host::root::Root;
use patchd_protocol::config::{ApplySettings, RebootPolicy, Settings};
use patchd_protocol::executor::RefusalCode;

use crate::grant::Grant;
use crate::refusal::Stop;

/// Where policy is read, and whose word it must be.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    root: Root,
    owner: u32,
}

impl Policy {
    pub(crate) fn new(root: Root, owner: u32) -> Self {
        Self { root, owner }
    }

    /// The host whose policy it is.
    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    /// Whose files count.
    pub(crate) fn owner(&self) -> u32 {
        self.owner
    }

    /// What root's files say now.
    pub(crate) fn read(&self) -> Result<Rules, Stop> {
        let policy = |message| Stop::refused(RefusalCode::Policy, message);
        let foreign = config_files::ownership_mistakes(&self.root, self.owner);
        if !foreign.is_empty() {
            let lines: Vec<_> = foreign.iter().map(ToString::to_string).collect();
            return Err(policy(format!("others may have written the policy: {}", lines.join("; "))));
        }
        let settings = config_files::load(&self.root)
            .map_err(|mistakes| policy(format!("the policy has mistakes: {mistakes}")))?;
        Ok(Rules { settings })
    }
}

/// Root's rules as they were read for one change.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    settings: Settings,
}

impl Rules {
    /// Whose word `plan` may be carried out on at `now`: a grant's that covers it, else that of an open window.
    ///
    /// A freeze holds for both. The clock is asked for windows only: root, present, knows what time it is.
    pub(crate) fn permission(
        &self,
        now: Timestamp,
        clock: &Synchronisation,
        plan: &Plan,
        grant: Option<&Grant>,
    ) -> Result<Permission, Stop> {
        let Some(grant) = grant else { return self.window(now, clock).map(Permission::Window) };
        self.check_freeze(now)?;
        let refusal = if grant.until <= now {
            format!("the grant ended at {:.0}", grant.until)
        } else if let Some(package) = grant.uncovered(plan) {
            format!("the grant is for another plan: it does not have this change of {package}")
        } else {
            return Ok(Permission::Grant(gate::Grant { reason: grant.reason.clone(), until: grant.until }));
        };
        // A window that has opened meanwhile is as good.
        let no_grant = |_| Stop::refused(RefusalCode::NoGrant, refusal);
        self.window(now, clock).map(Permission::Window).map_err(no_grant)
    }

    /// The window that is open at `now`, or why nothing may be changed.
    pub(crate) fn window(&self, now: Timestamp, clock: &Synchronisation) -> Result<Occurrence, Stop> {
        let occurrence = self.open_window(now)?;
        self.check_freeze(now)?;
        self.check_clock(clock)?;
        Ok(occurrence)
    }

    /// The window in which the host may be rebooted at `now`, with what a reboot takes left of it. No grant counts.
    ///
    /// What was begun before the cutoff, at `begun_at`, may be ended by one after it.
    pub(crate) fn reboot(
        &self,
        now: Timestamp,
        clock: &Synchronisation,
        begun_at: Option<Timestamp>,
    ) -> Result<Occurrence, Stop> {
        if self.settings.reboot.policy == RebootPolicy::Never {
            let message = "reboot.policy is never: patchd reboots nothing here";
            return Err(Stop::refused(RefusalCode::NeverRebooted, message));
        }
        let is_of = |one: &Occurrence| begun_at.is_some_and(|at| one.start <= at && at < one.cutoff);
        let closing = || closing(&self.settings.windows, now).filter(is_of);
        let occurrence = self.open_window(now).or_else(|stop| closing().ok_or(stop))?;
        self.check_freeze(now)?;
        self.check_clock(clock)?;
        let left = occurrence.end.duration_since(now);
        let reserve =
            SignedDuration::try_from(self.settings.apply.reboot_reserve).unwrap_or(SignedDuration::MAX);
        if left <= SignedDuration::ZERO || left < reserve {
            let message = format!(
                "the window {:?} ends at {:.0}, and a reboot wants {} s (apply.reboot_reserve) before that",
                occurrence.name,
                occurrence.end,
                reserve.as_secs()
            );
            return Err(Stop::refused(RefusalCode::OutsideWindow, message));
        }
        Ok(occurrence)
    }

    fn open_window(&self, now: Timestamp) -> Result<Occurrence, Stop> {
        match verdict(&self.settings.windows, now) {
            Verdict::Open(occurrence) => Ok(occurrence),
            Verdict::NoneConfigured => Err(Stop::refused(
                RefusalCode::NoWindow,
                "no window is configured; a [[window]] in /etc/patchd/patchd.toml is what allows changes",
            )),
            Verdict::Shut { next: None } => {
                Err(Stop::refused(RefusalCode::OutsideWindow, "no window is open, and none will be"))
            }
            Verdict::Shut { next: Some(Occurrence { start, cutoff, name, .. }) } => {
                let message = format!(
                    "no window is open at {now:.0}; the next is {name:?} from {start} until its cutoff at {cutoff}"
                );
                Err(Stop::refused(RefusalCode::OutsideWindow, message))
            }
        }
    }

    pub(crate) fn check_freeze(&self, now: Timestamp) -> Result<(), Stop> {
        match self.settings.frozen(now) {
            None => Ok(()),
            Some(Freeze { until, reason }) => {
                let message = format!("changes are frozen until {until:.0}: {reason}");
                Err(Stop::refused(RefusalCode::Frozen, message))
            }
        }
    }

    /// Whose word lifts a freeze that would be in force, if one does.
    pub(crate) fn lifted(&self, now: Timestamp) -> Option<String> {
        self.settings.lifted(now)
    }

    fn check_clock(&self, clock: &Synchronisation) -> Result<(), Stop> {
        let detail = match clock {
            _ if !self.settings.clock.require_synchronised => return Ok(()),
            Synchronisation::Synchronised => return Ok(()),
            Synchronisation::Unsynchronised => "it is not synchronised".to_owned(),
            Synchronisation::Unknown { detail } => {
                format!("whether it is synchronised can't be told: {detail}")
            }
        };
        let message = format!(
            "windows can't be told by this clock: {detail}; start a time service, or set \
             clock.require_synchronised = false"
        );
        Err(Stop::refused(RefusalCode::Clock, message))
    }

    /// What may be done on the way, and what becomes of configuration files.
    pub(crate) fn apply(&self) -> &ApplySettings {
        &self.settings.apply
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use patchd_host::durable::{atomic_write, create_directories};
    use patchd_protocol::executor::RefusalWire;
    use patchd_protocol::executor::{PlanWire, PlannedChangeWire};

    use super::*;

    struct Site {
        directory: tempfile::TempDir,
        policy: Policy,
    }

    impl Site {
        fn new(config: &str) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(config_files::MAIN_FILE);
            create_directories(path.parent().unwrap(), 0o755).unwrap();
            atomic_write(&path, config.as_bytes(), 0o644).unwrap();
            let owner = nix::unistd::Uid::effective().as_raw();
            let policy = Policy::new(Root::at(directory.path()), owner);
            Self { directory, policy }
        }

        fn window(&self, now: &str, clock: &Synchronisation) -> Result<Occurrence, Stop> {
            self.policy.read()?.window(now.parse().unwrap(), clock)
        }

        fn permission(&self, now: &str, plan: &Plan, grant: &Grant) -> Result<Permission, Stop> {
            let clock = Synchronisation::Unsynchronised;
            self.policy.read()?.permission(now.parse().unwrap(), &clock, plan, Some(grant))
        }

        #[track_caller]
        fn check(&self, now: &str, expected: Result<&str, (RefusalCode, &str)>) {
            let verdict = self.window(now, &Synchronisation::Synchronised);
            let verdict = verdict.map(|open| open.name);
            let expected =
                expected.map(str::to_owned).map_err(|(code, message)| Stop::refused(code, message));
            assert_eq!(verdict, expected);
        }
    }

    const WEEKLY: &str = "[[window]]\nname = \"weekly\"\nschedule = \"Sun 02:00 +3h\"\ncutoff = \"1h\"\n";

    #[test]
    fn a_change_needs_an_open_window() {
        let site = Site::new(WEEKLY);
        let shut = "no window is open at 2026-11-29T04:00:00Z; the next is \"weekly\" from 2026-12-06T02:00:00Z \
                    until its cutoff at 2026-12-06T04:00:00Z";
        site.check("2026-11-29T02:00:00Z", Ok("weekly"));
        site.check("2026-11-29T04:00:00.5Z", Err((RefusalCode::OutsideWindow, shut)));
    }

    #[test]
    fn without_a_window_nothing_changes() {
        let none = "no window is configured; a [[window]] in /etc/patchd/patchd.toml is what allows changes";
        Site::new("").check("2026-11-29T02:00:00Z", Err((RefusalCode::NoWindow, none)));
    }

    #[test]
    fn policy_that_others_may_write_or_with_mistakes_allows_nothing() {
        let site = Site::new(WEEKLY);
        let path = site.directory.path().join(config_files::MAIN_FILE);
        std::fs::set_permissions(&path, Permissions::from_mode(0o646)).unwrap();
        let refused = site.policy.read().unwrap_err();
        assert!(matches!(&refused, Stop::Refused(refusal) if refusal.code == RefusalCode::Policy
                && refusal.message.contains("chmod go-w")));
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let foreign = Policy::new(site.policy.root.clone(), site.policy.owner + 1);
        let is_policy = |refusal: &RefusalWire| refusal.code == RefusalCode::Policy;
        assert!(matches!(foreign.read(), Err(Stop::Refused(refusal)) if is_policy(&refusal)));
        atomic_write(&path, b"[[window]]\nnam = \"x\"\n", 0o644).unwrap();
        assert!(matches!(site.policy.read(), Err(Stop::Refused(refusal)) if is_policy(&refusal)));
    }

    #[track_caller]
    fn check_refused<T: std::fmt::Debug>(result: Result<T, Stop>, expected: RefusalCode, part: &str) {
        let refused = result.unwrap_err();
        let Stop::Refused(refusal) = &refused else { panic!("{refused:?}") };
        assert_eq!(refusal.code, expected, "{}", refusal.message);
        assert!(refusal.message.contains(part), "{}", refusal.message);
    }

    #[test]
    fn a_reboot_needs_a_window_and_its_reserve_of_it() {
        let reboot = |config: &str, now: &str, begun_at: Option<&str>| {
            let begun_at = begun_at.map(|at| at.parse().unwrap());
            let rules = Site::new(config).policy.read()?;
            rules.reboot(now.parse().unwrap(), &Synchronisation::Synchronised, begun_at).map(|open| open.name)
        };
        // From 02:00 to 05:00, with its cutoff at 04:00.
        assert_eq!(reboot(WEEKLY, "2026-11-29T02:00:00Z", None).as_deref(), Ok("weekly"));
        let late = "2026-11-29T04:30:00Z";
        check_refused(reboot(WEEKLY, late, None), RefusalCode::OutsideWindow, "no window is open");
        assert_eq!(reboot(WEEKLY, late, Some("2026-11-29T03:59:59Z")).as_deref(), Ok("weekly"));
        for at in ["2026-11-29T04:00:00Z", "2026-11-29T01:59:59Z", "2026-11-22T03:00:00Z"] {
            check_refused(reboot(WEEKLY, late, Some(at)), RefusalCode::OutsideWindow, "no window is open");
        }
        let begun = Some("2026-11-29T03:00:00Z");
        assert_eq!(reboot(WEEKLY, "2026-11-29T04:55:00Z", begun).as_deref(), Ok("weekly"));
        let wants = "ends at 2026-11-29T05:00:00Z, and a reboot wants 300 s";
        check_refused(reboot(WEEKLY, "2026-11-29T04:55:01Z", begun), RefusalCode::OutsideWindow, wants);
        check_refused(
            reboot(WEEKLY, "2026-11-29T05:00:00Z", begun),
            RefusalCode::OutsideWindow,
            "no window is open",
        );
        check_refused(reboot("", IN_WINDOW, begun), RefusalCode::NoWindow, "no window is configured");
        let never = format!("[reboot]\npolicy = \"never\"\n{WEEKLY}");
        check_refused(reboot(&never, IN_WINDOW, begun), RefusalCode::NeverRebooted, "reboot.policy is never");
        let freeze = "[[freeze]]\nname = \"f\"\nfrom = 2026-11-28T00:00:00Z\nuntil = 2026-11-29T03:00:00Z\n\
                      reason = \"trade fair\"\n";
        check_refused(
            reboot(&format!("{WEEKLY}{freeze}"), IN_WINDOW, begun),
            RefusalCode::Frozen,
            "trade fair",
        );
        let rules = Site::new(WEEKLY).policy.read().unwrap();
        let unsure = rules.reboot(IN_WINDOW.parse().unwrap(), &Synchronisation::Unsynchronised, None);
        check_refused(unsure, RefusalCode::Clock, "not synchronised");
    }

    const IN_WINDOW: &str = "2026-11-29T02:00:00Z";
    const OUTSIDE: &str = "2026-11-28T02:00:00Z";

    #[test]
    fn a_clock_that_nobody_keeps_opens_no_window_unless_root_says_so() {
        let site = Site::new(WEEKLY);
        let unsynchronised = Synchronisation::Unsynchronised;
        check_refused(site.window(IN_WINDOW, &unsynchronised), RefusalCode::Clock, "not synchronised");
        let unknown = Synchronisation::Unknown { detail: "adjtimex: denied".into() };
        check_refused(site.window(IN_WINDOW, &unknown), RefusalCode::Clock, "adjtimex: denied");
        let lenient = Site::new(&format!("[clock]\nrequire_synchronised = false\n{WEEKLY}"));
        assert_eq!(lenient.window(IN_WINDOW, &unsynchronised).unwrap().name, "weekly");
    }

    #[test]
    fn a_freeze_shuts_windows_and_grants() {
        let freeze = "[[freeze]]\nname = \"f\"\nfrom = 2026-11-28T00:00:00Z\nuntil = 2026-11-29T03:00:00Z\n\
                      reason = \"trade fair\"\n";
        let site = Site::new(&format!("{WEEKLY}{freeze}"));
        let told = "frozen until 2026-11-29T03:00:00Z: trade fair";
        check_refused(site.window(IN_WINDOW, &Synchronisation::Synchronised), RefusalCode::Frozen, told);
        let granted = grant(&plan(&[("app", "2")]), OUTSIDE, "2026-11-28T03:00:00Z");
        check_refused(site.permission(OUTSIDE, &granted.plan, &granted), RefusalCode::Frozen, told);
        assert!(site.window("2026-11-29T03:00:00Z", &Synchronisation::Synchronised).is_ok());
    }

    #[test]
    fn an_emergency_of_roots_lifts_the_freeze_that_it_names_and_is_told() {
        let freezes = "[[freeze]]\nname = \"fair\"\nschedule = \"11-20..12-10\"\nreason = \"trade fair\"\n\
                       [[emergency]]\nname = \"CVE-1\"\nfreezes = [\"fair\"]\nby = \"Ada Lovelace\"\n\
                       reason = \"it is exploited\"\nuntil = 2026-11-29T02:30:00Z\n";
        let site = Site::new(&format!("{WEEKLY}{freezes}"));
        assert_eq!(site.window(IN_WINDOW, &Synchronisation::Synchronised).unwrap().name, "weekly");
        let lifted = site.policy.read().unwrap().lifted(IN_WINDOW.parse().unwrap());
        let told =
            "the freeze \"fair\" is lifted until 2026-11-29T02:30:00Z by Ada Lovelace: it is exploited";
        assert_eq!(lifted.as_deref(), Some(told));
        let later = site.window("2026-11-29T02:30:00Z", &Synchronisation::Synchronised);
        check_refused(later, RefusalCode::Frozen, "frozen until 2026-12-11T00:00:00Z: trade fair");
    }

    fn plan(changes: &[(&str, &str)]) -> Plan {
        let change = |(name, to): &(&str, &str)| PlannedChangeWire {
            name: (*name).into(),
            architecture: "amd64".into(),
            from: Some("1".into()),
            to: (*to).into(),
        };
        let changes = changes.iter().map(change).collect();
        Plan::try_from(&PlanWire { changes, removals: vec![] }).unwrap()
    }

    fn grant(plan: &Plan, from: &str, until: &str) -> Grant {
        Grant {
            plan: plan.clone(),
            reason: "now".into(),
            granted_at: from.parse().unwrap(),
            until: until.parse().unwrap(),
        }
    }

    #[test]
    fn a_grant_allows_its_plan_and_parts_of_it_until_it_ends() {
        let site = Site::new(WEEKLY);
        let both = plan(&[("app", "2"), ("lib", "2")]);
        let granted = grant(&both, OUTSIDE, "2026-11-28T03:00:00Z");
        for part in [&both, &plan(&[("lib", "2")])] {
            let permission = site.permission(OUTSIDE, part, &granted).unwrap();
            assert_eq!(permission.name(), "granted by root: now");
        }
        for other in [plan(&[("lib", "3")]), plan(&[("app", "2"), ("new", "1~")])] {
            let refused = site.permission(OUTSIDE, &other, &granted);
            check_refused(refused, RefusalCode::NoGrant, "the grant is for another plan");
        }
        let late = site.permission("2026-11-28T03:00:00Z", &both, &granted);
        check_refused(late, RefusalCode::NoGrant, "the grant ended at 2026-11-28T03:00:00Z");
    }

    #[test]
    fn a_grant_that_is_over_takes_nothing_from_a_window() {
        let site = Site::new(&format!("[clock]\nrequire_synchronised = false\n{WEEKLY}"));
        let granted = grant(&plan(&[("app", "2")]), OUTSIDE, "2026-11-28T03:00:00Z");
        let permission = site.permission(IN_WINDOW, &granted.plan, &granted).unwrap();
        assert_eq!(permission.name(), "weekly");
    }
}
