//! Report documents, one format a module. Today only our own; SSM's, OCSF and the rest have their place here later.

pub mod native;
mod native_convert;
