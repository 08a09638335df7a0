//! Who may do what over the control socket: a decision on numbers that the kernel gave, and nothing else.
//!
//! It looks up no name and reads no configuration; what names stand for is `peer`'s to find out.

use hyper::Method;

/// What a request wants of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Change,
}

impl Access {
    /// A method that is not known to be harmless counts as a change.
    pub(super) fn of(method: &Method) -> Self {
        if method == Method::GET || method == Method::HEAD { Self::Read } else { Self::Change }
    }
}

/// Who is at the other end, as numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: u32,
    /// Every group that it is in.
    pub(super) gids: Vec<u32>,
}

/// The configured rules, as numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) own_uid: u32,
    pub(super) read_gid: Option<u32>,
    pub(super) change_uids: Vec<u32>,
    pub(super) change_gids: Vec<u32>,
}

/// What a peer may do. Who may change may read, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rights {
    pub(super) may_read: bool,
    pub(super) may_change: bool,
}

impl Rights {
    pub(super) const ALL: Self = Self { may_read: true, may_change: true };

    pub(super) fn allow(self, access: Access) -> bool {
        match access {
            Access::Read => self.may_read,
            Access::Change => self.may_change,
        }
    }
}

/// Root and the daemon's own user are never locked out.
pub(super) fn is_trusted(uid: u32, own_uid: u32) -> bool {
    uid == 0 || uid == own_uid
}

pub(super) fn rights(identity: &Identity, rules: &Rules) -> Rights {
    let is_in = |gid: &u32| identity.gids.contains(gid);
    let may_change = is_trusted(identity.uid, rules.own_uid)
        || rules.change_uids.contains(&identity.uid)
        || rules.change_gids.iter().any(is_in);
    Rights { may_read: may_change || rules.read_gid.as_ref().is_some_and(is_in), may_change }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(uid: u32, gids: &[u32], rules: &Rules, may_read: bool, may_change: bool) {
        let found = rights(&Identity { uid, gids: gids.into() }, rules);
        assert_eq!(found, Rights { may_read, may_change }, "uid {uid} in {gids:?}");
    }

    #[test]
    fn each_kind_of_peer_has_its_rights() {
        let closed = Rules { own_uid: 990, ..Rules::default() };
        check(0, &[0], &closed, true, true);
        check(990, &[990], &closed, true, true);
        check(1000, &[1000, 990, 0], &closed, false, false);

        let rules =
            Rules { own_uid: 990, read_gid: Some(50), change_uids: vec![1001], change_gids: vec![60, 61] };
        check(1000, &[1000], &rules, false, false);
        check(1000, &[], &rules, false, false);
        check(1000, &[50], &rules, true, false);
        check(1000, &[1000, 50], &rules, true, false);
        check(1001, &[1001], &rules, true, true);
        check(1000, &[1000, 61], &rules, true, true);
        // The number of a user is no number of a group.
        check(50, &[1000], &rules, false, false);
        check(1000, &[1001], &rules, false, false);
    }

    #[test]
    fn only_known_reads_are_reads() {
        for method in [Method::GET, Method::HEAD] {
            assert_eq!(Access::of(&method), Access::Read);
        }
        for method in
            [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH, Method::TRACE]
        {
            assert_eq!(Access::of(&method), Access::Change);
        }
        assert_eq!(Access::of(&Method::from_bytes(b"FETCH").unwrap()), Access::Change);
    }
}
