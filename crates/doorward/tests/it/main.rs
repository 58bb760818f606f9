//! The program as a person runs it.

mod accounts;
mod agents;
mod commands;
mod dev;
mod explain;
mod help;
mod hypha;
mod library;
mod policy;
mod postgres;
mod program;
mod serve;
mod shell;
mod tls;
mod walkthrough;
