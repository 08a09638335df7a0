//! The control server as clients meet it: over a real socket, with the peers that the kernel tells.

mod api;
mod events;
mod limits;
mod peers;
mod sample;
mod server;
