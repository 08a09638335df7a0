//! `patchctl patchers`: who else patches this host, and root's word that one shall not. It looks for itself; what is done is
//! the executor's.

use patchd_host::dpkg::read_inventory;
use patchd_host::patchers;
use patchd_host::root::Root;
use patchd_protocol::executor::{PROTOCOL, Reply, Request, Verb};
use patchd_protocol::patchers::{PatcherAction, PatchersDocument, PatchersSchema};

use crate::arguments::{PatcherArguments, PatchersCommand};
use crate::command::own_view;
use crate::exit::{Exit, Failure};
use crate::grant;
use crate::output::{Output, tell};
use crate::view;

/// What the executor's log calls such a request, which belongs to no run.
const RUN: &str = "patchctl";

pub(crate) fn run(command: &PatchersCommand, output: &mut Output) -> Result<Exit, Failure> {
    match command {
        PatchersCommand::List => {}
        PatchersCommand::Disable(arguments) => set(arguments, PatcherAction::Disable)?,
        PatchersCommand::Restore(arguments) => set(arguments, PatcherAction::Restore)?,
    }
    let root = Root::host();
    let patchers = patchers::list(&root, &read_inventory(&root));
    let document = PatchersDocument { schema: PatchersSchema::V1, patchers };
    if output.is_json {
        output.document(&document)?;
    } else {
        output.lines(&view::patchers::lines(&document, &own_view(output)))?;
    }
    Ok(Exit::Done)
}

fn set(arguments: &PatcherArguments, action: PatcherAction) -> Result<(), Failure> {
    let patcher = arguments.patcher;
    if let Some(how) = patcher.elsewhere().filter(|_| patcher.services().is_empty()) {
        let sentence = format!("{} is not decided on this host: {how}", patcher.as_str());
        return Err(Failure::because(Exit::Refused, sentence));
    }
    if !grant::is_root() {
        return Err(Failure::because(Exit::Refused, "only root may decide on other patchers"));
    }
    let request = Request { protocol: PROTOCOL, run: RUN.into(), verb: Verb::Patcher { patcher, action } };
    match grant::ask(&arguments.executor_socket, &request)? {
        Reply::PatcherSet { files } => {
            let what = match (files.is_empty(), action) {
                (true, _) => "it was so already",
                (false, PatcherAction::Disable) => "written",
                (false, PatcherAction::Restore) => "taken away",
            };
            let name = patcher.as_str();
            tell(format!("{name}: {what} {}", files.join(", ")).trim_end());
            Ok(())
        }
        Reply::Refused(refusal) => {
            Err(Failure::because(Exit::Refused, format!("the executor did nothing: {}", refusal.message)))
        }
        Reply::Failed { message } => Err(Failure::because(Exit::Failed, message)),
        _ => Err(Failure::because(
            Exit::Failed,
            "the executor gave an answer to something else: are both of one version?",
        )),
    }
}
