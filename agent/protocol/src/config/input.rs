//! What all configuration files say together. A later file wins key by key, and window by window of the same name.

use super::fragment::{Fragment, WindowFragment};

/// The merged files. `sections.windows` is empty: windows are kept file by file, so that a name that one file has
/// twice is told apart from a name that a later file replaces.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) sections: Fragment,
    pub(super) windows: Vec<Vec<WindowFragment>>,
}

impl Input {
    pub(super) fn overlay(&mut self, mut later: Fragment) {
        self.windows.push(std::mem::take(&mut later.windows));
        let earlier = std::mem::take(&mut self.sections);
        self.sections = Fragment {
            host_id: later.host_id.or(earlier.host_id),
            scan_interval: later.scan_interval.or(earlier.scan_interval),
            scan_refresh: later.scan_refresh.or(earlier.scan_refresh),
            scan_max_list_age: later.scan_max_list_age.or(earlier.scan_max_list_age),
            store_url: later.store_url.or(earlier.store_url),
            store_endpoint: later.store_endpoint.or(earlier.store_endpoint),
            store_path_style: later.store_path_style.or(earlier.store_path_style),
            store_region: later.store_region.or(earlier.store_region),
            store_kms_key_id: later.store_kms_key_id.or(earlier.store_kms_key_id),
            store_expected_bucket_owner: later
                .store_expected_bucket_owner
                .or(earlier.store_expected_bucket_owner),
            control_read_group: later.control_read_group.or(earlier.control_read_group),
            control_change_users: later.control_change_users.or(earlier.control_change_users),
            control_change_groups: later.control_change_groups.or(earlier.control_change_groups),
            log_level: later.log_level.or(earlier.log_level),
            windows: Vec::new(),
        };
    }
}
