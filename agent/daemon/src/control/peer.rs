//! Who is at the other end of a connection: the kernel's word on it, and what the host's accounts add to that.
//!
//! It decides nothing. Accounts may live on a server in the network, so they are looked up off the loop, in bounded
//! time, and never for root or the daemon's own user.

use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{Gid, Group, User, getgrouplist, getuid};
use patchd_protocol::config::ControlSettings;
use tokio::net::unix::UCred;
use tokio::sync::Semaphore;

use super::access::{Identity, Rights, Rules, is_trusted, rights};

/// How long the host's accounts may take. After that the peer has the rights of its own two numbers.
const LOOKUP_LIMIT: Duration = Duration::from_secs(5);

/// A client, and what it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) uid: u32,
    /// For logs; it may be gone by the time that they are read.
    pub(super) pid: Option<i32>,
    pub(super) rights: Rights,
}

impl Peer {
    /// How the journal names who asked.
    pub(super) fn name(&self) -> String {
        match self.pid {
            Some(pid) => format!("uid {} (process {pid})", self.uid),
            None => format!("uid {}", self.uid),
        }
    }

    pub(super) fn is_trusted(credentials: &UCred) -> bool {
        is_trusted(credentials.uid(), getuid().as_raw())
    }

    /// Judges a peer by the settings and the accounts as they are now. `lookups` bounds the threads that it takes.
    pub(super) async fn of(credentials: &UCred, settings: ControlSettings, lookups: Arc<Semaphore>) -> Self {
        let (uid, gid, pid) = (credentials.uid(), credentials.gid(), credentials.pid());
        let rights = if Self::is_trusted(credentials) {
            Rights::ALL
        } else {
            let looked_up =
                tokio::time::timeout(LOOKUP_LIMIT, looked_up(uid, gid, settings.clone(), lookups));
            looked_up.await.ok().flatten().unwrap_or_else(|| {
                tracing::warn!(uid, "this host's accounts can't be looked up in time; only numbers count");
                let none = |_: &str| None;
                rights(&Identity { uid, gids: vec![gid] }, &rules(&settings, none, none))
            })
        };
        Self { uid, pid, rights }
    }
}

/// What the accounts make of a peer. A look-up that nobody waits for any more still counts until it ends.
async fn looked_up(uid: u32, gid: u32, settings: ControlSettings, lookups: Arc<Semaphore>) -> Option<Rights> {
    let turn = lookups.acquire_owned().await.ok()?;
    let lookup = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        rights(&Identity { uid, gids: groups_of(uid, gid) }, &rules(&settings, user_number, group_number))
    });
    lookup.await.ok()
}

/// The group that the process had, and those that its user is a member of.
fn groups_of(uid: u32, gid: u32) -> Vec<u32> {
    let mut gids = vec![gid];
    let user = User::from_uid(uid.into()).ok().flatten();
    let name = user.and_then(|user| CString::new(user.name).ok());
    if let Some(Ok(found)) = name.map(|name| getgrouplist(&name, Gid::from_raw(gid))) {
        gids.extend(found.into_iter().map(Gid::as_raw));
    }
    gids
}

/// What the settings name, as numbers. A name that this host doesn't know stands for nobody.
fn rules(
    settings: &ControlSettings,
    user: impl Fn(&str) -> Option<u32>,
    group: impl Fn(&str) -> Option<u32>,
) -> Rules {
    let number = |text: &str| text.parse::<u32>().ok();
    let user = |text: &String| number(text).or_else(|| user(text));
    let group = |text: &String| number(text).or_else(|| group(text));
    Rules {
        own_uid: getuid().as_raw(),
        read_gid: settings.read_group.as_ref().and_then(group),
        change_uids: settings.change_users.iter().filter_map(user).collect(),
        change_gids: settings.change_groups.iter().filter_map(group).collect(),
    }
}

fn user_number(name: &str) -> Option<u32> {
    User::from_name(name).ok().flatten().map(|user| user.uid.as_raw())
}

/// The number of a group that is named by its name or its number.
pub(super) fn group_number(name: &str) -> Option<u32> {
    name.parse().ok().or_else(|| Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_take_names_and_numbers() {
        let settings = ControlSettings {
            read_group: Some("readers".into()),
            change_users: vec!["alice".into(), "1002".into(), "nobody-at-all".into()],
            change_groups: vec!["60".into(), "admins".into()],
        };
        let user = |name: &str| (name == "alice").then_some(1001);
        let group = |name: &str| match name {
            "readers" => Some(50),
            "admins" => Some(61),
            _ => None,
        };
        let found = rules(&settings, user, group);
        assert_eq!(found.read_gid, Some(50));
        assert_eq!(found.change_uids, [1001, 1002]);
        assert_eq!(found.change_gids, [60, 61]);
    }

    #[test]
    fn a_user_is_in_the_groups_that_id_tells() {
        let users: Vec<User> = std::fs::read_to_string("/etc/passwd")
            .unwrap()
            .lines()
            .filter_map(|line| User::from_name(line.split(':').next()?).ok().flatten())
            .take(40)
            .collect();
        for user in users {
            #[expect(clippy::disallowed_methods, reason = "the oracle is a program")]
            let told = std::process::Command::new("/usr/bin/id").args(["-G", &user.name]).output().unwrap();
            let told = String::from_utf8(told.stdout).unwrap();
            let mut told: Vec<u32> = told.split_whitespace().map(|gid| gid.parse().unwrap()).collect();
            // Two names may share a number; it is then the first one that counts.
            if User::from_uid(user.uid).unwrap().unwrap().name != user.name {
                continue;
            }
            let mut found = groups_of(user.uid.as_raw(), user.gid.as_raw());
            for gids in [&mut told, &mut found] {
                gids.sort_unstable();
                gids.dedup();
            }
            assert_eq!(found, told, "{}", user.name);
        }
    }

    #[test]
    fn this_host_knows_root() {
        assert_eq!(user_number("root"), Some(0));
        assert_eq!(group_number("root"), Some(0));
        assert_eq!(group_number("4294967295000"), None);
        assert!(groups_of(0, 0).contains(&0));
        assert_eq!(groups_of(4_000_000_000, 7), [7]);
    }
}
