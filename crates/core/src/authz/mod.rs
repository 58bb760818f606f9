//! What a principal may do.

pub mod filter;
