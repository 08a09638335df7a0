//! The relations between packages (deb-control(5)): `a (>= 1) | b:any, c` taken apart without copying. Who satisfies
//! them is for `future`.

use std::cmp::Ordering;

use patchd_core::version::deb;

/// One alternative of one relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Atom<'a> {
    pub name: &'a str,
    /// The word behind a colon: an architecture, `any` or `native`.
    pub qualifier: Option<&'a str>,
    pub constraint: Option<(Operator, &'a str)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

/// The text is no relation; apt stops at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRelation;

impl Operator {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Greater => order.is_gt(),
        }
    }
}

impl Atom<'_> {
    /// Whether a package of this version is meant.
    pub fn accepts(&self, version: &str) -> bool {
        self.constraint.is_none_or(|(operator, bound)| operator.holds(deb::compare(version, bound)))
    }

    /// Whether something that is provided in this version, or in none, is meant.
    pub fn accepts_provided(&self, version: Option<&str>) -> bool {
        match version {
            Some(version) => self.accepts(version),
            None => self.constraint.is_none(),
        }
    }
}

/// The relations of a field, each as its text: all of them must hold.
pub fn groups(field: &str) -> impl Iterator<Item = &str> {
    field.split(',').map(str::trim).filter(|group| !group.is_empty())
}

/// The alternatives of one relation: any of them will do.
pub fn alternatives(group: &str) -> impl Iterator<Item = Result<Atom<'_>, NoRelation>> {
    group.split('|').map(parse)
}

fn parse(text: &str) -> Result<Atom<'_>, NoRelation> {
    let text = text.trim();
    let (head, constraint) = match text.split_once('(') {
        Some((head, rest)) => {
            let inner = rest.strip_suffix(')').ok_or(NoRelation)?.trim();
            let (operator, length) = match inner.as_bytes() {
                [b'<', b'<', ..] => (Operator::Less, 2),
                [b'<', b'=', ..] => (Operator::LessOrEqual, 2),
                [b'>', b'>', ..] => (Operator::Greater, 2),
                [b'>', b'=', ..] => (Operator::GreaterOrEqual, 2),
                // The old forms mean "or equal".
                [b'<', ..] => (Operator::LessOrEqual, 1),
                [b'>', ..] => (Operator::GreaterOrEqual, 1),
                [b'=', ..] => (Operator::Equal, 1),
                _ => (Operator::Equal, 0),
            };
            let version = inner.get(length..).unwrap_or_default().trim();
            if version.is_empty() {
                return Err(NoRelation);
            }
            (head.trim(), Some((operator, version)))
        }
        None => (text, None),
    };
    let (name, qualifier) = match head.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (head, None),
    };
    let is_word =
        |word: &str| !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || "()<>[]|".contains(c));
    if !is_word(name) || qualifier.is_some_and(|qualifier| !is_word(qualifier)) {
        return Err(NoRelation);
    }
    Ok(Atom { name, qualifier, constraint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_taken_apart() {
        let field = "libc6 (>= 2.36), a:any | b (<< 1) |c(=2),\n d (< 3), ";
        let groups: Vec<_> = groups(field).collect();
        assert_eq!(groups.len(), 3);
        let atoms: Vec<_> = groups.iter().flat_map(|group| alternatives(group)).map(Result::unwrap).collect();
        assert_eq!(
            atoms[0],
            Atom { name: "libc6", qualifier: None, constraint: Some((Operator::GreaterOrEqual, "2.36")) }
        );
        assert_eq!(atoms[1], Atom { name: "a", qualifier: Some("any"), constraint: None });
        assert_eq!(atoms[2].constraint, Some((Operator::Less, "1")));
        assert_eq!(atoms[3].constraint, Some((Operator::Equal, "2")));
        assert_eq!(atoms[4].constraint, Some((Operator::LessOrEqual, "3")));
    }

    #[test]
    fn rubbish_is_no_relation() {
        for text in ["a (", "a (>= )", "(>= 1)", "a b", "a [amd64]", "|", "a:"] {
            assert!(alternatives(text).any(|atom| atom.is_err()), "{text}");
        }
    }

    #[test]
    fn versions_are_held_against_their_bounds() {
        let atom = |text| alternatives(text).next().unwrap().unwrap();
        assert!(atom("a (>= 1.0)").accepts("1:0.1") && !atom("a (>> 1.0)").accepts("1.0"));
        assert!(atom("a").accepts_provided(None) && !atom("a (= 1)").accepts_provided(None));
        assert!(atom("a (= 1)").accepts_provided(Some("1")));
    }
}
