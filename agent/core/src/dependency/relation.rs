//! The grammar of relationship fields: `a (>= 1) | b, c:any`. Architecture lists and build profiles are not here,
//! since binary packages have none.

use std::cmp::Ordering;
use std::fmt;

use thiserror::Error;

use super::Provided;
use crate::package::{InvalidWord, PackageName, Version};
use crate::version::deb;

/// How a version is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Earlier,
    EarlierOrEqual,
    Equal,
    LaterOrEqual,
    Later,
}

impl Operator {
    /// dpkg reads the old single signs as their "or equal" forms.
    fn parse(text: &str) -> Option<Self> {
        match text {
            "<<" => Some(Self::Earlier),
            "<=" | "<" => Some(Self::EarlierOrEqual),
            "=" => Some(Self::Equal),
            ">=" | ">" => Some(Self::LaterOrEqual),
            ">>" => Some(Self::Later),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        }
    }
}

/// The version that a relation asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    pub operator: Operator,
    pub version: Version,
}

impl Comparison {
    pub fn holds(&self, version: &Version) -> bool {
        let order = deb::compare(version.as_str(), self.version.as_str());
        match self.operator {
            Operator::Earlier => order == Ordering::Less,
            Operator::EarlierOrEqual => order != Ordering::Greater,
            Operator::Equal => order == Ordering::Equal,
            Operator::LaterOrEqual => order != Ordering::Less,
            Operator::Later => order == Ordering::Greater,
        }
    }
}

/// One package that a relation names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub name: PackageName,
    /// `any`, `native` or an architecture.
    pub qualifier: Option<Box<str>>,
    pub comparison: Option<Comparison>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if let Some(qualifier) = &self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        match &self.comparison {
            Some(asked) => write!(f, " ({} {})", asked.operator.as_str(), asked.version),
            None => Ok(()),
        }
    }
}

/// Alternatives, of which one is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    pub alternatives: Vec<Target>,
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, target) in self.alternatives.iter().enumerate() {
            if 0 < at {
                f.write_str(" | ")?;
            }
            write!(f, "{target}")?;
        }
        Ok(())
    }
}

/// Why a field is not a list of relations.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidRelation {
    #[error("{text:?} names no package: {why}")]
    Name { text: String, why: InvalidWord },
    #[error("{text:?} has no version that can be compared")]
    Comparison { text: String },
}

/// Reads `Depends`, `Pre-Depends`, and with one target a clause `Conflicts` and `Breaks`.
pub fn parse_clauses(field: &str) -> Result<Vec<Clause>, InvalidRelation> {
    let is_there = |part: &&str| !part.trim().is_empty();
    field
        .split(',')
        .filter(is_there)
        .map(|clause| {
            let alternatives =
                clause.split('|').filter(is_there).map(parse_target).collect::<Result<Vec<_>, _>>()?;
            Ok(Clause { alternatives })
        })
        .collect()
}

/// Reads `Provides`. A provided version is always exact (deb-control(5)).
pub fn parse_provides(field: &str) -> Result<Vec<Provided>, InvalidRelation> {
    let clauses = parse_clauses(field)?;
    let targets = clauses.into_iter().flat_map(|clause| clause.alternatives);
    Ok(targets
        .map(|target| Provided {
            name: target.name,
            version: target
                .comparison
                .filter(|asked| asked.operator == Operator::Equal)
                .map(|asked| asked.version),
        })
        .collect())
}

fn parse_target(text: &str) -> Result<Target, InvalidRelation> {
    let text = text.trim();
    let (named, comparison) = match text.split_once('(') {
        None => (text, None),
        Some((named, rest)) => (named.trim_end(), Some(parse_comparison(text, rest)?)),
    };
    let (name, qualifier) = match named.split_once(':') {
        None => (named, None),
        Some((name, qualifier)) => (name, Some(qualifier.into())),
    };
    let name = PackageName::parse(name).map_err(|why| InvalidRelation::Name { text: text.into(), why })?;
    Ok(Target { name, qualifier, comparison })
}

fn parse_comparison(text: &str, rest: &str) -> Result<Comparison, InvalidRelation> {
    let wrong = || InvalidRelation::Comparison { text: text.into() };
    let inside = rest.trim_end().strip_suffix(')').ok_or_else(wrong)?.trim();
    let sign = inside.find(|c| !matches!(c, '<' | '>' | '=')).ok_or_else(wrong)?;
    let (operator, version) = inside.split_at(sign);
    Ok(Comparison {
        operator: Operator::parse(operator).ok_or_else(wrong)?,
        version: Version::parse(version.trim()).map_err(|_| wrong())?,
    })
}
