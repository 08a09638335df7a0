//! The release: what an operator downloads. How small it is, on which systems its programs run, what its bill of
//! materials says, and what the linters of both families have to say about it.
//!
//! That both packages hold what the table says is tested beside the table, in xtask.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use patchd_tests::apt_root::AptRoot;
use patchd_tests::command::Finished;
use patchd_tests::outcome::{is_root_or_skipped, left_out, note};
use patchd_tests::packages::Release;
use patchd_tests::{command, place};
use serde_json::Value;

const MEGABYTE: u64 = 1_000_000;

/// Runs what makes files in its home directory, such as a package database, with one of its own.
fn at_home<'a>(program: &str, arguments: impl IntoIterator<Item = &'a str>) -> Result<Finished> {
    let home = place::scratch("home")?;
    command::finish(command::command(program).args(arguments).env("HOME", home.path()))?.success()
}

#[test]
fn packages_are_small() -> Result<()> {
    let release = Release::find()?;
    let rpm = release.rpm.display().to_string();
    let installed = at_home("rpm", ["-qp", "--queryformat", "%{SIZE}", &rpm])?.stdout.parse::<u64>()?;
    let (deb, rpm) = (release.deb.metadata()?.len(), release.rpm.metadata()?.len());
    note(&format!("deb {deb} bytes, rpm {rpm}, installed {installed}"));
    assert!(deb <= 8 * MEGABYTE && rpm <= 8 * MEGABYTE, "deb {deb}, rpm {rpm}");
    assert!(installed <= 24 * MEGABYTE, "{installed}");
    let kibibytes =
        command::run("dpkg-deb", ["--field", &release.deb.display().to_string(), "Installed-Size"])?;
    let by_deb = kibibytes.stdout.trim().parse::<u64>()? * 1024;
    assert!(by_deb.abs_diff(installed) < MEGABYTE, "the deb says {by_deb}, the rpm {installed}");
    Ok(())
}

/// `2.17` of `GLIBC_2.17`, to be compared.
fn version_of(word: &str) -> Option<(u32, u32)> {
    let mut numbers = word.split('.').map(str::parse::<u32>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[test]
fn programs_need_no_newer_glibc_than_2_17() -> Result<()> {
    for program in Release::find()?.programs {
        let path = program.display().to_string();
        let symbols = command::run("objdump", ["--dynamic-syms", &path])?.stdout;
        let named = symbols.split("GLIBC_").skip(1);
        let versions: BTreeSet<_> = named
            .filter_map(|rest| version_of(rest.split([')', ' ', '\n']).next().unwrap_or_default()))
            .collect();
        assert!(!versions.is_empty(), "no versions among the symbols of {path}");
        assert!(versions.iter().all(|version| *version <= (2, 17)), "{path}: {versions:?}");
        // And of libraries only glibc's own.
        let headers = command::run("objdump", ["--private-headers", &path])?.stdout;
        let needed = headers.lines().filter_map(|line| line.trim().strip_prefix("NEEDED"));
        let parts =
            ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "ld-linux-x86-64.so.2"];
        let strange: Vec<_> = needed.map(str::trim).filter(|name| !parts.contains(name)).collect();
        assert_eq!(strange, Vec::<&str>::new(), "{path}");
    }
    Ok(())
}

#[test]
fn programs_name_no_place_of_the_machine_that_built_them() -> Result<()> {
    let home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME")).context("no HOME")?;
    let root = place::workspace().canonicalize()?;
    for program in Release::find()?.programs {
        let bytes = std::fs::read(&program)?;
        let target = place::target_directory()?;
        for place in
            [Path::new(&home).join(".cargo"), Path::new(&home).join("registry"), root.clone(), target]
        {
            let word = place.display().to_string();
            let is_named = bytes.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!is_named, "{} names {word}", program.display());
        }
        // They are told apart all the same.
        assert!(bytes.windows(7).any(|window| window == b"/cargo/"), "{}", program.display());
    }
    Ok(())
}

#[test]
fn programs_run_on_the_oldest_release_that_can_be_made() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let release = Release::find()?;
    let root = AptRoot::fresh_of_the_oldest_release()?;
    command::run("dpkg-deb", [Path::new("--extract"), &release.deb, root.path()])?;
    let glibc = root.run(["ldd", "--version"])?.stdout;
    note(&format!("on glibc {}", glibc.lines().next().unwrap_or_default()));
    let version = env!("CARGO_PKG_VERSION");
    for program in ["patchd", "patchctl"] {
        let said = root.run([program, "--version"])?.stdout;
        assert_eq!(said.trim(), format!("{program} {version}"));
    }
    // Its socket comes from systemd.
    let said = command::finish(&mut root.command(["/usr/libexec/patchd/patchd-executor"]))?.expect_code(1)?;
    assert!(said.stderr.contains("standard input is no Unix socket"), "{said:?}");
    let scan = root.run(["patchctl", "inventory", "--once", "--json"])?.json()?;
    let packages = scan.get("packages").and_then(Value::as_array).context("no packages")?;
    let counted = root.run(["dpkg-query", "-W"])?.stdout.lines().count();
    assert_eq!(packages.len(), counted);
    Ok(())
}

#[test]
fn linters_have_nothing_to_say() -> Result<()> {
    let release = Release::find()?;
    let deb = release.deb.display().to_string();
    let said = command::run("lintian", ["--allow-root", "--fail-on", "error,warning", &deb])?;
    assert_eq!(said.stdout, "", "{said:?}");
    let settings = place::workspace().join("packaging/rpm/rpmlint.toml").display().to_string();
    let rpm = release.rpm.display().to_string();
    let said = at_home("rpmlint", ["--strict", "--config", &settings, &rpm])?;
    assert!(said.stdout.contains(" 0 errors, 0 warnings"), "{}", said.stdout);
    Ok(())
}

#[test]
fn the_bill_of_materials_lists_what_is_linked() -> Result<()> {
    let release = Release::find()?;
    let bytes = std::fs::read(&release.bill_of_materials)?;
    let document: Value = serde_json::from_slice(&bytes)?;
    let components = document.get("components").and_then(Value::as_array).context("no components")?;
    let text = |component: &Value, key: &str| {
        component.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let names: BTreeSet<_> = components.iter().map(|component| text(component, "name")).collect();
    for linked in [
        "patchd",
        "patchctl",
        "patchd-executor",
        "aws-lc-sys",
        "libsqlite3-sys",
        "jiff",
        "rustls",
        "rust-std",
    ] {
        assert!(names.contains(linked), "no {linked}");
    }
    for other in ["proptest", "insta", "xtask", "patchd-tests", "serde_derive", "syn", "cc", "clap_mangen"] {
        assert!(!names.contains(other), "{other} is on no host");
    }
    let references: BTreeSet<_> = components.iter().map(|component| text(component, "bom-ref")).collect();
    assert_eq!(references.len(), components.len(), "a reference twice");
    for component in components {
        assert_ne!(component.get("licenses"), None, "{component}");
        let url = text(component, "purl");
        let is_ours = text(component, "name").starts_with("patch") || url.starts_with("pkg:generic/");
        let sum = component.pointer("/hashes/0/content").and_then(Value::as_str).map_or(0, str::len);
        assert_eq!(sum, if is_ours { 0 } else { 64 }, "{component}");
    }
    for entry in document.get("dependencies").and_then(Value::as_array).context("no dependencies")? {
        for used in entry.get("dependsOn").and_then(Value::as_array).into_iter().flatten() {
            assert!(references.contains(used.as_str().unwrap_or_default()), "{used} is no component");
        }
    }
    let unpacked = place::scratch("bill")?;
    command::run("dpkg-deb", [Path::new("--extract"), &release.deb, unpacked.path()])?;
    assert!(std::fs::read(unpacked.path().join("usr/share/doc/patchd/patchd.cdx.json"))? == bytes);
    as_cyclonedx_says(&document)
}

/// Against CycloneDX's own schema, where it is at hand.
fn as_cyclonedx_says(document: &Value) -> Result<()> {
    let Some(data) = place::shared_data() else {
        left_out("CycloneDX's schema is not here");
        return Ok(());
    };
    let folder = data.join("schemas/cyclonedx");
    let read = |name: &str| -> Result<Value> {
        let path = folder.join(name);
        let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(serde_json::from_slice(&bytes)?)
    };
    let packed = folder.join("bom-1.6.schema.json.gz").display().to_string();
    let schema = command::run("gzip", ["--decompress", "--stdout", &packed])?.json()?;
    let at = |name: &str| format!("http://cyclonedx.org/schema/{name}");
    let registry = jsonschema::Registry::new()
        .add(at("spdx.schema.json"), read("spdx.schema.json")?)?
        .add(at("jsf-0.82.schema.json"), read("jsf-0.82.schema.json")?)?
        .add(at("cryptography-defs.schema.json"), read("cryptography-defs.schema.json")?)?
        .prepare()?;
    let validator = jsonschema::options().with_registry(&registry).build(&schema).context("the schema")?;
    let errors: Vec<_> = validator
        .iter_errors(document)
        .take(10)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    Ok(())
}
