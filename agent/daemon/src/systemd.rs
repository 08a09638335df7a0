//! What systemd is told: that we are ready, what we do, and that we live. Without systemd it is told to nobody.

use std::time::Duration;

use sd_notify::NotifyState;

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd could not be notified");
    }
}

pub fn ready() {
    notify(&[NotifyState::Ready]);
}

pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// One line that `systemctl status` shows.
pub fn status(line: &str) {
    notify(&[NotifyState::Status(line)]);
}

/// A sign of life, to be given by the loop whose life it is a sign of.
pub fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// How often a sign of life is due, if systemd wants any: twice as often as it asks for.
pub fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}
