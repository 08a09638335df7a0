//! Report documents, one format a module. Today only our own; SSM's, OCSF and the rest have their place here later.

pub mod gzip;
pub mod key;
pub mod native;
mod native_convert;
#[cfg(test)]
pub(crate) mod sample;
