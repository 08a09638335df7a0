//! The os-release files of many distributions against what their shell says, and the files that stand in for none.

use std::os::unix::fs::symlink;
use std::path::Path;

use patchd_host::os::{parse, read_os_release};
use patchd_host::problem_list::ProblemList;

use crate::support::{content, data, is_incomplete, put, root_with_status};

#[test]
fn every_distribution_says_what_the_index_says() {
    let (Some(directory), Some(index)) = (data("os-release"), data("os-release/INDEX.tsv")) else {
        return;
    };
    let index = String::from_utf8(content(&index)).unwrap();
    let mut count = 0;
    for line in index.lines().skip(1) {
        let fields: Vec<_> = line.split('\t').map(|field| if field == "-" { "" } else { field }).collect();
        let [file, id, version_id, id_like, pretty_name] = fields.as_slice() else {
            panic!("{line}");
        };
        let (os, bad_lines) = parse(&content(&directory.join(file)));
        assert_eq!(bad_lines, [], "{file}");
        assert_eq!((os.id.as_str(), os.version_id.as_str()), (*id, *version_id), "{file}");
        assert_eq!(
            (os.id_like.join(" ").as_str(), os.pretty_name.as_str()),
            (*id_like, *pretty_name),
            "{file}"
        );
        count += 1;
    }
    assert_eq!(count, 78);
    for name in ["7", "8", "9"] {
        let (os, bad_lines) = parse(&content(&directory.join(format!("claircore/{name}-os-release"))));
        assert_eq!((os.id.as_str(), bad_lines.as_slice()), ("rhel", &[][..]));
        assert_eq!(os.version_id.split('.').next(), Some(name));
    }
}

#[test]
fn the_vendors_file_stands_in_for_the_administrators() {
    let (_directory, root) = root_with_status("");
    let read = || {
        let mut problems = ProblemList::new("os-release");
        (read_os_release(&root, &mut problems), problems.into_problems())
    };
    assert!(is_incomplete(&read().1));
    put(&root, "usr/lib/os-release", "ID=debian\nVERSION_ID=12\n");
    assert_eq!((read().0.version_id.as_str(), read().1), ("12", vec![]));
    std::fs::create_dir_all(root.path("etc")).unwrap();
    symlink("../usr/lib/os-release", root.path("etc/os-release")).unwrap();
    assert_eq!((read().0.version_id.as_str(), read().1), ("12", vec![]));
    std::fs::remove_file(root.path("etc/os-release")).unwrap();
    std::fs::create_dir(root.path("etc/os-release")).unwrap();
    let (os, problems) = read();
    assert_eq!((os.id.as_str(), problems.len(), is_incomplete(&problems)), ("debian", 1, false));
    std::fs::remove_dir(root.path("etc/os-release")).unwrap();
    put(&root, "etc/os-release", "NAME=\"Something\"\nnonsense\n");
    let (_, problems) = read();
    assert_eq!(problems[0].line, Some(2));
    assert!(is_incomplete(&problems) && Path::new(&problems[1].place).ends_with("etc/os-release"));
}
