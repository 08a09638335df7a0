//! What the programs are made of, as a CycloneDX 1.6 document: every crate that is linked into one of them for the target,
//! with the checksum that Cargo.lock holds it to. Crates of macros, build scripts and tests are none of a host's business.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use xshell::{Shell, cmd};

use crate::dist::{PROGRAMS, Recipe, date};

/// A crate as cargo names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
}

/// What is linked, and who asked for it.
#[derive(Debug, Default)]
struct Graph {
    /// With the licence that its manifest states.
    crates: BTreeMap<Crate, String>,
    uses: BTreeMap<Crate, BTreeSet<Crate>>,
}

impl Crate {
    /// As package URLs are written, where a plus has to be encoded.
    fn url(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version.replace('+', "%2B"))
    }
}

/// The document, the same for both packages.
pub(super) fn document(shell: &Shell, recipe: &Recipe) -> Result<String> {
    let mut graph = Graph::default();
    for program in PROGRAMS {
        let target = recipe.architecture.target();
        let edges = ["--edges", "normal,no-proc-macro", "--prefix", "depth", "--format", " {p}|{l}"];
        let tree = cmd!(shell, "cargo tree --locked --package {program} --target {target} {edges...}");
        graph.add(&tree.quiet().ignore_stderr().read().context("asking cargo what is linked")?)?;
    }
    let checksums = checksums(&shell.read_file(recipe.root.join("Cargo.lock"))?)?;
    let mut components: Vec<_> =
        graph.crates.iter().map(|(own, licence)| component(own, licence, checksums.get(own))).collect();
    components.push(standard_library(shell)?);
    let ours = format!("pkg:generic/patchd@{}", recipe.version);
    let programs = PROGRAMS.map(|name| graph.crates.keys().find(|own| own.name == name).cloned());
    let mut dependencies = vec![depends(&ours, &programs.into_iter().flatten().collect())];
    dependencies.extend(graph.uses.iter().map(|(own, uses)| depends(&own.url(), uses)));
    let document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": date(shell, recipe, "+%Y-%m-%dT%H:%M:%SZ")?,
            "lifecycles": [{"phase": "build"}],
            "component": {
                "type": "application",
                "bom-ref": ours,
                "name": "patchd",
                "version": recipe.version,
                "purl": ours,
                "licenses": [{"expression": "Apache-2.0"}],
            },
        },
        "components": components,
        "dependencies": dependencies,
    });
    Ok(format!("{document:#}\n"))
}

impl Graph {
    /// Takes in what `cargo tree` printed: `DEPTH NAME vVERSION …|LICENCE`, where what was told already ends in `(*)`.
    fn add(&mut self, tree: &str) -> Result<()> {
        let mut path: Vec<Crate> = Vec::new();
        for line in tree.lines() {
            let (own, depth, licence) =
                parse_line(line).with_context(|| format!("reading {line:?} of cargo tree"))?;
            path.truncate(depth);
            if let Some(user) = path.last() {
                self.uses.entry(user.clone()).or_default().insert(own.clone());
            }
            self.uses.entry(own.clone()).or_default();
            self.crates.insert(own.clone(), licence);
            path.push(own);
        }
        Ok(())
    }
}

fn parse_line(line: &str) -> Option<(Crate, usize, String)> {
    let (package, licence) = line.trim_end_matches(" (*)").split_once('|')?;
    let mut words = package.split(' ');
    let depth = words.next()?.parse().ok()?;
    let name = words.next()?.to_owned();
    let version = words.next()?.strip_prefix('v')?.to_owned();
    // A slash is how manifests wrote it before there were expressions.
    let licence = licence.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ");
    Some((Crate { name, version }, depth, licence))
}

/// What Cargo.lock holds each crate of the registry to.
fn checksums(lock: &str) -> Result<BTreeMap<Crate, String>> {
    let lock: toml::Table = lock.parse().context("reading Cargo.lock")?;
    let Some(packages) = lock.get("package").and_then(toml::Value::as_array) else {
        bail!("Cargo.lock lists no packages");
    };
    let text = |package: &toml::Value, key| package.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let found = packages.iter().filter_map(|package| {
        let own = Crate { name: text(package, "name")?, version: text(package, "version")? };
        Some((own, text(package, "checksum")?))
    });
    Ok(found.collect())
}

fn component(own: &Crate, licence: &str, checksum: Option<&String>) -> Value {
    let kind = if PROGRAMS.contains(&own.name.as_str()) { "application" } else { "library" };
    let fields = [
        ("type", json!(kind)),
        ("bom-ref", json!(own.url())),
        ("name", json!(own.name)),
        ("version", json!(own.version)),
        ("scope", json!("required")),
        ("purl", json!(own.url())),
    ];
    let mut component: Map<_, _> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    if !licence.is_empty() {
        component.insert("licenses".into(), json!([{"expression": licence}]));
    }
    // Crates of the workspace have none: they are the sources.
    if let Some(checksum) = checksum {
        component.insert("hashes".into(), json!([{"alg": "SHA-256", "content": checksum}]));
    }
    component.into()
}

/// Rust's own, which comes with the compiler and has holes of its own.
fn standard_library(shell: &Shell) -> Result<Value> {
    let line = cmd!(shell, "rustc --version").quiet().read()?;
    let version = line.split(' ').nth(1).with_context(|| format!("{line:?} names no version"))?;
    Ok(json!({
        "type": "library",
        "bom-ref": format!("pkg:generic/rust-std@{version}"),
        "name": "rust-std",
        "version": version,
        "scope": "required",
        "purl": format!("pkg:generic/rust-std@{version}"),
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
    }))
}

fn depends(on: &str, uses: &BTreeSet<Crate>) -> Value {
    json!({"ref": on, "dependsOn": uses.iter().map(Crate::url).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_becomes_a_graph() {
        let tree = "0 a v1.0.0 (/x/a)|Apache-2.0\n1 b v2.1.0|MIT/Apache-2.0\n2 c v0.3.0+x|MIT\n1 c v0.3.0+x|MIT (*)\n";
        let mut graph = Graph::default();
        graph.add(tree).unwrap();
        let told: Vec<_> =
            graph.crates.iter().map(|(own, licence)| format!("{} {licence}", own.url())).collect();
        assert_eq!(
            told,
            [
                "pkg:cargo/a@1.0.0 Apache-2.0",
                "pkg:cargo/b@2.1.0 MIT OR Apache-2.0",
                "pkg:cargo/c@0.3.0%2Bx MIT"
            ]
        );
        let uses: Vec<_> = graph
            .uses
            .iter()
            .map(|(own, uses)| {
                format!(
                    "{}: {}",
                    own.name,
                    uses.iter().map(|used| used.name.as_str()).collect::<Vec<_>>().join(" ")
                )
            })
            .collect();
        assert_eq!(uses, ["a: b c", "b: c", "c: "]);
        assert!(graph.add("what is this").is_err());
    }
}
