//! The rpm, by rpmbuild from a spec that is written here. It builds nothing: the tree is what was laid out.
//!
//! It has to be readable by the rpm 4.11 of Amazon Linux 2 and RHEL 7: xz, SHA-256, no rich dependencies.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::dist::contents::{Entry, Source};
use crate::dist::deb::wrapped;
use crate::dist::stage::Tree;
use crate::dist::{DESCRIPTION, MAINTAINER, REVISION, Recipe, SUMMARY, date};

/// The scriptlets, as far as there are any.
const SCRIPTS: [&str; 5] = ["pre", "post", "preun", "postun", "posttrans"];

/// Everything that rpmbuild would take from the machine that it runs on.
const FIXED: [&str; 13] = [
    "_buildhost localhost",
    "use_source_date_epoch_as_buildtime 1",
    "clamp_mtime_to_source_date_epoch 1",
    "source_date_epoch_from_changelog 0",
    "_binary_filedigest_algorithm 8",
    "_source_filedigest_algorithm 8",
    "_build_id_links none",
    "debug_package %{nil}",
    "__os_install_post %{nil}",
    "_build_pkgcheck %{nil}",
    "_unpackaged_files_terminate_build 1",
    "_docdir_fmt %%{NAME}",
    "_rpmfilename package.rpm",
];

pub(crate) fn make(shell: &Shell, recipe: &Recipe, tree: &Tree, scratch: &Path) -> Result<PathBuf> {
    let top = scratch.join("rpmbuild");
    let spec = top.join("patchd.spec");
    shell.write_file(&spec, spec_text(shell, recipe, tree)?)?;
    let mut defines = vec![
        format!("_topdir {}", top.display()),
        // Where macros and databases of users would be looked for.
        format!("_dbpath {}", top.join("db").display()),
        format!("_binary_payload w{}.xzdio", recipe.compression),
        format!("staged {}", tree.root.display()),
    ];
    defines.extend(FIXED.map(str::to_owned));
    let defines: Vec<String> = defines.into_iter().flat_map(|define| ["--define".into(), define]).collect();
    let target = format!("{}-linux", recipe.architecture.rpm());
    let build = cmd!(shell, "rpmbuild -bb --quiet --target {target} {defines...} {spec}");
    build
        .env("SOURCE_DATE_EPOCH", recipe.epoch.to_string())
        .env("HOME", &top)
        .quiet()
        .ignore_stdout()
        .run()?;
    Ok(top.join("RPMS/package.rpm"))
}

fn spec_text(shell: &Shell, recipe: &Recipe, tree: &Tree) -> Result<String> {
    let version = &recipe.version;
    // What the scriptlets call beside systemd is named by its path, since distributions name the packages differently.
    // What the programs need of glibc is read off them by rpmbuild; they offer nothing to others.
    let mut spec = format!(
        "Name: patchd\nVersion: {version}\nRelease: {REVISION}\nSummary: {}\nLicense: Apache-2.0\n\
         Packager: {MAINTAINER}\nAutoReq: yes\nAutoProv: no\nRequires: systemd\nRequires(post): systemd /usr/sbin/useradd /usr/sbin/groupadd\n\
         Requires(preun): systemd /usr/bin/flock\n\n%description\n",
        capitalised(SUMMARY)
    );
    let paragraphs = DESCRIPTION.map(|paragraph| wrapped(paragraph, 78).join("\n"));
    let _ = writeln!(spec, "{}\n\n%install\ncp -a %{{staged}}/. %{{buildroot}}/\n", paragraphs.join("\n\n"));
    for script in SCRIPTS {
        let source = recipe.root.join("packaging/scripts/rpm").join(script);
        if source.exists() {
            // Nothing in it is for rpm's macros: what they expand to differs from one system to the next.
            let text = shell.read_file(&source)?.replace('%', "%%");
            let _ = writeln!(spec, "%{script}\n{text}");
        }
    }
    spec.push_str("%files\n");
    for entry in &tree.entries {
        let _ = writeln!(spec, "{}", file_line(entry));
    }
    let date = date(shell, recipe, "+%a %b %d %Y").context("dating the changelog")?;
    let _ = writeln!(
        spec,
        "\n%changelog\n* {date} {MAINTAINER} - {version}-{REVISION}\n- Version {version}; what changed is in changelog.gz."
    );
    Ok(spec)
}

fn file_line(entry: &Entry) -> String {
    let kind = match entry.source {
        Source::Directory => "%dir ",
        Source::Config(_) => "%config(noreplace) ",
        _ if entry.path.starts_with("/usr/share/licenses/") => "%license ",
        _ if entry.path.starts_with("/usr/share/doc/") || entry.path.starts_with("/usr/share/man/") => {
            "%doc "
        }
        _ => "",
    };
    format!("%attr({:04o}, root, root) {kind}{}", entry.source.mode(), entry.path)
}

/// rpm's summaries begin with a capital, Debian's don't.
fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
