//! Configuration files of agent platforms, read as they are.

pub mod agentflow;
pub mod dotenv;
