//! What all configuration files say together. A later file wins key by key, and window by window and freeze by
//! freeze of the same name.

use super::fragment::{
    ConffileFragment, EmergencyFragment, Fragment, FreezeFragment, PatchGroupFragment, WindowFragment,
};

/// The merged files. The lists in `sections` are empty: they are kept file by file, so that a name that one file has
/// twice is told apart from a name that a later file replaces.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) sections: Fragment,
    pub(super) windows: Vec<Vec<WindowFragment>>,
    pub(super) freezes: Vec<Vec<FreezeFragment>>,
    pub(super) emergencies: Vec<Vec<EmergencyFragment>>,
    pub(super) conffiles: Vec<Vec<ConffileFragment>>,
    pub(super) patch_groups: Vec<Vec<PatchGroupFragment>>,
}

impl Input {
    pub(super) fn overlay(&mut self, mut later: Fragment) {
        self.windows.push(std::mem::take(&mut later.windows));
        self.freezes.push(std::mem::take(&mut later.freezes));
        self.emergencies.push(std::mem::take(&mut later.emergencies));
        self.conffiles.push(std::mem::take(&mut later.conffiles));
        self.patch_groups.push(std::mem::take(&mut later.patch_groups));
        let earlier = std::mem::take(&mut self.sections);
        self.sections = Fragment {
            host_id: later.host_id.or(earlier.host_id),
            patch_group: later.patch_group.or(earlier.patch_group),
            instance_id: later.instance_id.or(earlier.instance_id),
            account: later.account.or(earlier.account),
            region: later.region.or(earlier.region),
            baseline_source: later.baseline_source.or(earlier.baseline_source),
            baseline_install_override_list: later
                .baseline_install_override_list
                .or(earlier.baseline_install_override_list),
            baseline_region: later.baseline_region.or(earlier.baseline_region),
            baseline_expected_bucket_owner: later
                .baseline_expected_bucket_owner
                .or(earlier.baseline_expected_bucket_owner),
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
            apply_conffiles: later.apply_conffiles.or(earlier.apply_conffiles),
            apply_reboot_reserve: later.apply_reboot_reserve.or(earlier.apply_reboot_reserve),
            apply_longest_transaction: later.apply_longest_transaction.or(earlier.apply_longest_transaction),
            apply_splay: later.apply_splay.or(earlier.apply_splay),
            apply_allow_removal: later.apply_allow_removal.or(earlier.apply_allow_removal),
            apply_allow_downgrade: later.apply_allow_downgrade.or(earlier.apply_allow_downgrade),
            reboot_policy: later.reboot_policy.or(earlier.reboot_policy),
            clock_require_synchronised: later
                .clock_require_synchronised
                .or(earlier.clock_require_synchronised),
            control_read_group: later.control_read_group.or(earlier.control_read_group),
            control_change_users: later.control_change_users.or(earlier.control_change_users),
            control_change_groups: later.control_change_groups.or(earlier.control_change_groups),
            log_level: later.log_level.or(earlier.log_level),
            windows: Vec::new(),
            freezes: Vec::new(),
            emergencies: Vec::new(),
            conffiles: Vec::new(),
            patch_groups: Vec::new(),
        };
    }
}
