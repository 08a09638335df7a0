//! The settings of who this host is: `[agent]`, with their judging.

use super::baseline::check_group;
use super::fragment::{Fragment, Located};
use super::settings::{Judge, check_account_id, check_region};
use super::value::check_name;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSettings {
    /// What reports call this host. `None`, the default: the instance id on EC2, else the machine id.
    pub host_id: Option<String>,
    /// Which patch group the host is in. `None`, the default: what the tag of its instance says.
    pub patch_group: Option<String>,
    /// Which instance the host is. `None`, the default: what the metadata service says.
    pub instance: Option<InstanceSettings>,
}

/// An EC2 instance, or a hybrid one, as the operator names it where no metadata service may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceSettings {
    pub instance_id: String,
    pub account: String,
    pub region: String,
}

impl Judge<'_> {
    pub(super) fn agent(&mut self, said: &mut Fragment) -> AgentSettings {
        let instance = [&mut said.instance_id, &mut said.account, &mut said.region].map(Option::take);
        AgentSettings {
            host_id: self.optional("agent.host_id", said.host_id.take(), |id| check_name(id, 128)),
            patch_group: self.optional("agent.patch_group", said.patch_group.take(), check_group),
            instance: self.instance(instance),
        }
    }

    /// The three keys by which an instance is named: one without the others names none.
    fn instance(&mut self, said: [Option<Located<String>>; 3]) -> Option<InstanceSettings> {
        const KEYS: [&str; 3] = ["agent.instance_id", "agent.account", "agent.region"];
        let place =
            said.iter().flatten().find(|said| !said.value.is_empty()).map(|said| said.place.clone())?;
        let is_missing =
            |said: &Option<Located<String>>| said.as_ref().is_none_or(|said| said.value.is_empty());
        for (key, _) in KEYS.iter().zip(&said).filter(|(_, said)| is_missing(said)) {
            let message = format!("it is missing: {} go together, or none of them", KEYS.join(", "));
            self.mistake(&place, key, message);
        }
        let [instance_id, account, region] = said;
        let instance_id = self.optional(KEYS[0], instance_id, check_instance_id);
        let account = self.optional(KEYS[1], account, check_account_id);
        let region = self.optional(KEYS[2], region, check_region);
        Some(InstanceSettings { instance_id: instance_id?, account: account?, region: region? })
    }
}

fn check_instance_id(text: &str) -> Result<(), String> {
    let id = text.strip_prefix("i-").or_else(|| text.strip_prefix("mi-"));
    let is_right = |id: &str| (8..=17).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    match id {
        Some(id) if is_right(id) => Ok(()),
        _ => Err(format!("{text:?} is no instance; write it like i-0123456789abcdef0")),
    }
}
