//! Small sets with one thing wrong in each.

use super::*;

fn node(text: &str, fields: &[(&str, &str)]) -> Node {
    let mut words = text.split(' ');
    let (name, architecture) = words.next().unwrap().split_once(':').unwrap_or((text, "amd64"));
    let name = name.split(' ').next().unwrap();
    let field = |wanted: &str| fields.iter().find(|(name, _)| *name == wanted).map_or("", |(_, value)| value);
    Node {
        id: PackageId {
            name: PackageName::parse(name).unwrap(),
            architecture: Architecture::parse(architecture).unwrap(),
        },
        version: Version::parse(words.next().unwrap()).unwrap(),
        multi_arch: match field("Multi-Arch") {
            "same" => MultiArch::Same,
            "foreign" => MultiArch::Foreign,
            "allowed" => MultiArch::Allowed,
            _ => MultiArch::No,
        },
        provides: parse_provides(field("Provides")).unwrap(),
        depends: parse_clauses(field("Depends")).unwrap(),
        conflicts: parse_clauses(field("Conflicts"))
            .unwrap()
            .into_iter()
            .flat_map(|clause| clause.alternatives)
            .collect(),
    }
}

/// The breaches of `after`, each in a word, where everything named `x` has changed.
#[track_caller]
fn check(before: &[Node], after: &[Node], expected: &[&str]) {
    let native = Architecture::parse("amd64").unwrap();
    let breaches = Universe::new(&native, after)
        .breaches(&Universe::new(&native, before), |id| id.name.as_str().starts_with('x'));
    let words: Vec<String> = breaches
        .iter()
        .map(|breach| match breach {
            Breach::Unmet { package, clause } => format!("{package} needs {clause}"),
            Breach::Conflict { package, with } => format!("{package} conflicts with {with}"),
            Breach::OutOfStep { package, with } => format!("{package} is out of step with {with}"),
        })
        .collect();
    assert_eq!(words, expected);
}

#[test]
fn a_met_set_has_no_breach() {
    let set = [
        node("x 2", &[("Depends", "a (>= 1), b | c, virtual, versioned (= 3)")]),
        node("a 1", &[]),
        node("c 1", &[("Provides", "virtual, versioned (= 3)")]),
    ];
    check(&[], &set, &[]);
}

#[test]
fn what_is_missing_or_too_old_is_named() {
    let set = [node("x 2", &[("Depends", "a (>= 2) | b, c")]), node("a 1", &[])];
    check(&[], &set, &["x:amd64 needs a (>= 2) | b", "x:amd64 needs c"]);
}

#[test]
fn an_unversioned_provide_meets_no_versioned_dependency() {
    let set = [node("x 2", &[("Depends", "virtual (>= 1)")]), node("a 1", &[("Provides", "virtual")])];
    check(&[], &set, &["x:amd64 needs virtual (>= 1)"]);
}

#[test]
fn an_upgrade_that_breaks_somebody_else_is_found() {
    let follower = node("follower 1", &[("Depends", "x (= 1)")]);
    let before = [node("x 1", &[]), follower.clone()];
    check(&before, &[node("x 2", &[]), follower], &["follower:amd64 needs x (= 1)"]);
}

#[test]
fn what_was_broken_before_is_not_ours() {
    let broken = node("broken 1", &[("Depends", "gone")]);
    check(std::slice::from_ref(&broken), &[broken.clone(), node("x 1", &[])], &[]);
}

#[test]
fn conflicts_hold_both_ways_and_never_against_oneself() {
    let set = [
        node("x 2", &[("Conflicts", "old (<< 2), x, virtual"), ("Provides", "virtual")]),
        node("old 1", &[]),
        node("hater 1", &[("Conflicts", "x")]),
    ];
    check(&[], &set, &["x:amd64 conflicts with old:amd64", "hater:amd64 conflicts with x:amd64"]);
}

#[test]
fn architectures_are_told_apart() {
    let needs = |qualifier: &str| node("x 1", &[("Depends", &format!("tool{qualifier}"))]);
    check(&[], &[needs(""), node("tool:i386 1", &[])], &["x:amd64 needs tool"]);
    check(&[], &[needs(""), node("tool:i386 1", &[("Multi-Arch", "foreign")])], &[]);
    check(&[], &[needs(""), node("tool:all 1", &[])], &[]);
    check(&[], &[needs(":any"), node("tool:i386 1", &[("Multi-Arch", "allowed")])], &[]);
    check(&[], &[needs(":any"), node("tool 1", &[])], &["x:amd64 needs tool:any"]);
    check(&[], &[needs(":i386"), node("tool 1", &[])], &["x:amd64 needs tool:i386"]);
}

#[test]
fn instances_of_one_package_stay_in_step() {
    let same = [("Multi-Arch", "same")];
    let set = [node("x:amd64 2", &same), node("x:i386 1", &same)];
    check(&[], &set, &["x:amd64 is out of step with x:i386", "x:i386 is out of step with x:amd64"]);
}

#[test]
fn nonsense_is_an_error_and_not_an_empty_list() {
    assert!(parse_clauses("a (>= )").is_err());
    assert!(parse_clauses("a (>= 1").is_err());
    assert!(parse_clauses("-rf").is_err());
    assert_eq!(parse_clauses(" , a , ").unwrap().len(), 1);
    assert_eq!(parse_clauses("a (<2)").unwrap()[0].to_string(), "a (<= 2)");
}
