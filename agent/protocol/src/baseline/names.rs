//! What each form of a baseline calls its keys. The shape differs too: the API wraps lists in tables, our own form
//! doesn't.

use patchd_core::baseline::filter::FilterKey;

/// The keys of one form. `None` where it has no such key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) shape: Shape,
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) system: &'static str,
    pub(super) description: &'static str,
    pub(super) patch_groups: &'static str,
    pub(super) created: Option<&'static str>,
    pub(super) modified: Option<&'static str>,
    pub(super) global_filters: &'static str,
    pub(super) rules: &'static str,
    pub(super) approved: &'static str,
    pub(super) approved_level: &'static str,
    pub(super) approved_non_security: &'static str,
    pub(super) rejected: &'static str,
    pub(super) rejected_action: &'static str,
    pub(super) sources: Option<Sources>,
    /// What Windows alone has.
    pub(super) windows_status: Option<&'static str>,
    /// An extension of ours, in every form.
    pub(super) delays_by_first_seen: &'static str,
    pub(super) rule: RuleNames,
    /// Known, and without a meaning for a baseline that is on a host.
    pub(super) ignored: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RuleNames {
    pub(super) level: &'static str,
    pub(super) after_days: &'static str,
    pub(super) until_date: &'static str,
    pub(super) non_security: &'static str,
    pub(super) filter_key: &'static str,
    pub(super) filter_values: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sources {
    pub(super) list: &'static str,
    pub(super) name: &'static str,
    pub(super) products: &'static str,
    pub(super) configuration: &'static str,
}

/// Where filters and rules lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// In lists of these names, each in a table.
    Wrapped { filters: &'static str, rules: &'static str, filter_group: &'static str },
    /// In the list itself; a rule has its filters under their own names, and under `filters` in full.
    Flat { filters: &'static str },
}

/// What `aws ssm get-patch-baseline` prints, and what `create-patch-baseline --cli-input-json` takes.
pub(super) const PASCAL: Names = Names {
    shape: Shape::Wrapped { filters: "PatchFilters", rules: "PatchRules", filter_group: "PatchFilterGroup" },
    id: "BaselineId",
    name: "Name",
    system: "OperatingSystem",
    description: "Description",
    patch_groups: "PatchGroups",
    created: Some("CreatedDate"),
    modified: Some("ModifiedDate"),
    global_filters: "GlobalFilters",
    rules: "ApprovalRules",
    approved: "ApprovedPatches",
    approved_level: "ApprovedPatchesComplianceLevel",
    approved_non_security: "ApprovedPatchesEnableNonSecurity",
    rejected: "RejectedPatches",
    rejected_action: "RejectedPatchesAction",
    sources: Some(Sources {
        list: "Sources",
        name: "Name",
        products: "Products",
        configuration: "Configuration",
    }),
    windows_status: Some("AvailableSecurityUpdatesComplianceStatus"),
    delays_by_first_seen: "DelaysByFirstSeen",
    rule: RuleNames {
        level: "ComplianceLevel",
        after_days: "ApproveAfterDays",
        until_date: "ApproveUntilDate",
        non_security: "EnableNonSecurity",
        filter_key: "Key",
        filter_values: "Values",
    },
    ignored: &["ClientToken", "Tags", "Replace", "ResponseMetadata"],
};

/// The baseline in a snapshot.
pub(super) const CAMEL: Names = Names {
    shape: Shape::Wrapped { filters: "filters", rules: "rules", filter_group: "filterGroup" },
    id: "baselineId",
    name: "name",
    system: "operatingSystem",
    description: "description",
    patch_groups: "patchGroups",
    created: Some("createdTime"),
    modified: Some("modifiedTime"),
    global_filters: "globalFilters",
    rules: "approvalRules",
    approved: "approvedPatches",
    approved_level: "approvedPatchesComplianceLevel",
    approved_non_security: "approvedPatchesEnableNonSecurity",
    rejected: "rejectedPatches",
    rejected_action: "rejectedPatchesAction",
    sources: Some(Sources {
        list: "sources",
        name: "name",
        products: "products",
        configuration: "configuration",
    }),
    windows_status: Some("availableSecurityUpdatesComplianceStatus"),
    delays_by_first_seen: "delaysByFirstSeen",
    rule: RuleNames {
        level: "complianceLevel",
        after_days: "approveAfterDays",
        until_date: "approveUntilDate",
        non_security: "enableNonSecurity",
        filter_key: "key",
        filter_values: "values",
    },
    ignored: &["accountId", "createdDate", "modifiedDate"],
};

/// Our own form: packaging/baseline.toml shows all of it, and a test holds the two together.
pub(super) const TOML: Names = Names {
    shape: Shape::Flat { filters: "filter" },
    id: "id",
    name: "name",
    system: "operating_system",
    description: "description",
    patch_groups: "patch_groups",
    created: None,
    modified: None,
    global_filters: "global_filter",
    rules: "rule",
    approved: "approved",
    approved_level: "approved_level",
    approved_non_security: "approved_non_security",
    rejected: "rejected",
    rejected_action: "rejected_action",
    sources: None,
    windows_status: None,
    delays_by_first_seen: "delays_by_first_seen",
    rule: RuleNames {
        level: "level",
        after_days: "approve_after_days",
        until_date: "approve_until_date",
        non_security: "non_security",
        filter_key: "key",
        filter_values: "values",
    },
    ignored: &[],
};

/// What our own form calls a filter within a rule.
pub(super) fn short_name(key: FilterKey) -> &'static str {
    match key {
        FilterKey::Product => "product",
        FilterKey::Classification => "classification",
        FilterKey::Severity => "severity",
        FilterKey::Priority => "priority",
        FilterKey::Section => "section",
    }
}
