//! Waiting for what other processes do, with an end.

use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

const PAUSE: Duration = Duration::from_millis(50);

/// Looks until there is something to see, for about so many seconds at most.
pub fn until<T>(what: &str, seconds: u32, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    for _ in 0..seconds * 20 {
        if let Some(seen) = look()? {
            return Ok(seen);
        }
        thread::sleep(PAUSE);
    }
    bail!("waited {seconds} seconds in vain for {what}")
}
