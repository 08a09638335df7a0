//! What a plan's changes take, from the lists of prepared roots.

use patchd_core::plan::Plan;
use patchd_core::plan::need::Footprint;
use patchd_host::footprint::footprints;

use crate::apt_lab::{Lab, Repo};
use crate::apt_ties::whole_plan;

#[test]
fn sizes_come_from_the_lists_and_the_database() {
    let lab = Lab::new()
        .installed("a 1; Installed-Size: 100\nlinux-image-6.1.0-1-amd64 1; Installed-Size: 400000\nm 1")
        .repo(&Repo::new(
            "stable",
            "a 2; Installed-Size: 120; Size: 5000\nlinux-image-6.1.0-1-amd64 2; Installed-Size: 400001; Size: 6000\n\
             m 2; Depends: n; Installed-Size: 11; Size: 7\nn 3; Installed-Size: 70; Size: 8000",
        ))
        .file("boot/initrd.img-6.1.0-1-amd64", vec![0; 4000])
        .file("boot/vmlinuz-6.1.0-1-amd64", vec![0; 1000])
        .file("boot/a.bin", vec![0; 300])
        .file("var/lib/dpkg/info/a.list", "/.\n/boot\n/boot/a.bin\n/boot/gone\n/usr/bootless\n/etc/a\n")
        .file("var/lib/dpkg/info/m.list", "/.\n/usr\n/usr/boot/m\n");
    let offers = lab.offers(false);
    let plan = whole_plan(&lab.inventory(), &offers).unwrap();
    let told = footprints(&lab.root, &plan, &offers);
    let some = Plan::try_new(plan.changes()[..1].to_vec()).unwrap();
    assert_eq!(footprints(&lab.root, &some, &offers), told);
    let row = |one: &Footprint| {
        (
            one.package.name.to_string(),
            one.download_bytes,
            one.installed_bytes,
            one.replaced_bytes,
            one.boot_bytes,
        )
    };
    let expected = [
        ("a", 5000, 120 << 10, 100 << 10, 301),
        ("linux-image-6.1.0-1-amd64", 6000, 400_001 << 10, 400_000 << 10, 7000),
        ("m", 7, 11 << 10, 10 << 10, 0),
        ("n", 8000, 70 << 10, 0, 0),
    ];
    let expected =
        expected.map(|(name, download, new, old, boot)| (name.to_owned(), download, new, old, boot));
    assert_eq!(told.iter().map(row).collect::<Vec<_>>(), expected);
    assert!(told.iter().all(|one| one.time.is_zero()));
}

#[test]
fn what_apt_had_to_be_asked_for_has_sizes_too() {
    let lab = Lab::new().installed("a 1\nold 1").repo(&Repo::new(
        "stable",
        "a 2; Depends: v\nn1 1; Provides: v; Size: 11\nn2 1; Provides: v; Size: 22",
    ));
    let offers = lab.offers(true);
    let [new] = offers.new_packages.as_slice() else {
        eprintln!("left out: what apt would bring in, since there is no apt to ask");
        return;
    };
    assert_eq!((new.download_bytes == 11, new.installed_kib), (new.id.name.as_str() == "n1", 10));
    assert_eq!(offers.ties.len(), 2, "{:?}", offers.ties);
}
