//! Pages of plans as they are printed, each read by a person before it was kept.

use insta::assert_snapshot;
use patchd_protocol::control::plan::LeftOutWire;

use super::*;
use crate::view::sample;
use crate::view::tests::{shown, view};

#[test]
fn a_plan_is_a_table_by_step_and_what_keeps_it_back() {
    let plan = sample::plan();
    let mut page = lines(&plan, &view(Some(100)));
    page.extend(next_steps(&plan, &view(Some(100))));
    assert_snapshot!(shown(&page), @r"
    Plan       20261123T092900Z-plan of 2026-11-23 09:29 UTC (60 seconds ago)
    Host       i-0123456789abcdef0
    Packages   2 packages to change, 1 new, in 2 steps
    Download   3.3 MiB
    Time       about 40 seconds
    Window     none is configured, so patchd changes nothing
    Digest     d3e9723418b4e4dff19ce634ceb04c0c602a6f10de291c2050f8d41ebf728e03

    STEP  PACKAGE  FROM              TO                DOWNLOAD   AFTER STEP
    1     libssl3  3.0.14-1~deb12u1  3.0.15-1~deb12u1  1.9 MiB
          libnew1  (new)             1.0-1             900 bytes
    2     openssl  3.0.14-1~deb12u1  3.0.15-1~deb12u1  1.3 MiB    1

    FILE SYSTEM  NEEDS      FREE     FOR
    /            200.0 MiB  4.0 GiB  downloads, installed files

    It can't be applied now, because
      - no window is configured, so patchd changes nothing

    What next
      - have patchd apply it: add a [[window]] to /etc/patchd/patchd.toml, check it:
          patchctl config check
      - keep a plan, read it, and apply exactly that or nothing:
          patchctl plan --json > plan.json
          patchctl apply --plan plan.json
      - if it can't wait, as root:
          patchctl apply --now --reason 'why it can not wait'
    ");
}

#[test]
fn removals_shortages_and_what_is_left_out_are_loud() {
    let mut plan = sample::plan();
    plan.steps[1].removals = vec!["old-openssl:amd64".into(), "libold0:amd64".into()];
    plan.filesystems[0].shortage = Some("/ has 4 GiB free, and 5 GiB are needed".into());
    plan.left_out = vec![LeftOutWire {
        packages: vec!["curl:amd64".into()],
        why: "libcurl4 (= 8) can't be installed".into(),
    }];
    plan.gates.clear();
    let mut page = lines(&plan, &view(Some(100)));
    page.extend(next_steps(&plan, &view(Some(100))));
    assert_snapshot!(shown(&page), @r"
    Plan       20261123T092900Z-plan of 2026-11-23 09:29 UTC (60 seconds ago)
    Host       i-0123456789abcdef0
    Packages   2 packages to change, 1 new, 2 to REMOVE, in 2 steps
    Download   3.3 MiB
    Time       about 40 seconds
    Window     none is configured, so patchd changes nothing
    Digest     d3e9723418b4e4dff19ce634ceb04c0c602a6f10de291c2050f8d41ebf728e03

    STEP  PACKAGE            FROM              TO                DOWNLOAD   AFTER STEP
    1     libssl3            3.0.14-1~deb12u1  3.0.15-1~deb12u1  1.9 MiB
          libnew1            (new)             1.0-1             900 bytes
    2     openssl            3.0.14-1~deb12u1  3.0.15-1~deb12u1  1.3 MiB    1
          old-openssl:amd64  installed         REMOVED
          libold0:amd64      installed         REMOVED

    THIS PLAN REMOVES 2 PACKAGES
      - old-openssl:amd64, libold0:amd64

    FILE SYSTEM  NEEDS      FREE     FOR
    /            200.0 MiB  4.0 GiB  downloads, installed files
    NOT ENOUGH ROOM: / has 4 GiB free, and 5 GiB are needed

    Left out, although due
      - curl:amd64: libcurl4 (= 8) can't be installed

    Nothing stands in the way of applying it now

    What next
      - apply what is due now:
          patchctl apply
      - or keep a plan, read it, and apply exactly that or nothing:
          patchctl plan --json > plan.json
          patchctl apply --plan plan.json
    ");
}

#[test]
fn a_narrow_terminal_keeps_the_versions() {
    assert_snapshot!(shown(&steps(&sample::plan(), &view(Some(60)))[1..]), @r"
    STEP  PACKAGE  FROM              TO
    1     libssl3  3.0.14-1~deb12u1  3.0.15-1~deb12u1
          libnew1  (new)             1.0-1
    2     openssl  3.0.14-1~deb12u1  3.0.15-1~deb12u1
    ");
}

#[test]
fn another_gate_than_a_window_is_not_to_be_walked_around() {
    let mut plan = sample::plan();
    plan.gates[0].code = "disk".into();
    assert!(!shown(&next_steps(&plan, &view(None))).contains("--now"));
}
