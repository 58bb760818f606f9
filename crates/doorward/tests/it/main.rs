//! The program as a person runs it.

mod accounts;
mod agents;
mod backup;
mod commands;
mod deployment;
mod dev;
mod doctor;
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
