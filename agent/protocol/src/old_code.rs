//! Old code in memory, as reports publish it and as the executor tells it. What it means for a package is the domain's.

use patchd_core::package::{Architecture, InvalidWord, PackageId, PackageName};
use patchd_core::pending::{OldCode, OldProcess, Remedy};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::words::RemedyWire;

/// Code in memory that was replaced on disk: fixes that are installed and not in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OldCodeWire {
    pub processes: Vec<OldProcessWire>,
    /// Why there may be more; absent if every process was looked at.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unseen: Option<String>,
}

/// A process that runs code which is no longer on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OldProcessWire {
    pub pid: u32,
    /// What the process calls itself.
    pub command: String,
    /// The unit of systemd that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unit: Option<String>,
    pub remedy: RemedyWire,
    /// Whose files they were, as `name:architecture`.
    pub packages: Vec<String>,
    /// Some of the files, by their former names.
    pub files: Vec<String>,
}

impl From<&OldCode> for OldCodeWire {
    fn from(code: &OldCode) -> Self {
        Self {
            processes: code.processes.iter().map(OldProcessWire::from).collect(),
            unseen: code.unseen.clone(),
        }
    }
}

impl From<&OldProcess> for OldProcessWire {
    fn from(process: &OldProcess) -> Self {
        Self {
            pid: process.pid,
            command: process.command.clone(),
            unit: process.unit.clone(),
            remedy: process.remedy.into(),
            packages: process.packages.iter().map(ToString::to_string).collect(),
            files: process.files.clone(),
        }
    }
}

impl TryFrom<OldCodeWire> for OldCode {
    type Error = InvalidWord;

    fn try_from(wire: OldCodeWire) -> Result<Self, InvalidWord> {
        let processes = wire.processes.into_iter().map(OldProcess::try_from).collect::<Result<_, _>>()?;
        Ok(Self { processes, unseen: wire.unseen })
    }
}

impl TryFrom<OldProcessWire> for OldProcess {
    type Error = InvalidWord;

    fn try_from(wire: OldProcessWire) -> Result<Self, InvalidWord> {
        let package = |text: &String| {
            let (name, architecture) = text.split_once(':').unwrap_or((text, ""));
            Ok(PackageId {
                name: PackageName::parse(name)?,
                architecture: Architecture::parse(architecture)?,
            })
        };
        Ok(Self {
            pid: wire.pid,
            command: wire.command,
            unit: wire.unit,
            remedy: match wire.remedy {
                RemedyWire::Restart => Remedy::Restart,
                RemedyWire::Reboot => Remedy::Reboot,
            },
            packages: wire.packages.iter().map(package).collect::<Result<_, _>>()?,
            files: wire.files,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_code_survives_the_wire() {
        let json = r#"{"processes":[{"pid":7,"command":"sshd","unit":"ssh.service","remedy":"restart",
            "packages":["libc6:amd64"],"files":["/usr/lib/libc.so.6"]}],"unseen":"1 process is hidden"}"#;
        let wire: OldCodeWire = serde_json::from_str(json).unwrap();
        let code = OldCode::try_from(wire.clone()).unwrap();
        assert_eq!(code.processes[0].packages[0].to_string(), "libc6:amd64");
        assert_eq!(OldCodeWire::from(&code), wire);
        for package in ["libc6", "-x:amd64", "libc6:a b", ""] {
            let mut wrong = wire.clone();
            wrong.processes[0].packages = vec![package.into()];
            assert!(OldCode::try_from(wrong).is_err(), "{package:?}");
        }
    }
}
