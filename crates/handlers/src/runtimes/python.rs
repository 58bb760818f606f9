//! Python 3.9 or newer: its socket is its standard input, and its other sockets come with the first byte.

use std::process::Command;

use super::{Runtime, Sockets};
use crate::settings::Settings;

/// The row of the table.
pub static RUNTIME: Runtime = Runtime {
    name: "Python",
    key: "python",
    program: "python3",
    endings: &[],
    sockets: Sockets::HandedOver,
    modules: MODULES,
    plan,
    // Half of the threads.
    most_stuck: |settings| (settings.threads / 2).max(1),
    held: "threads",
};

/// What the interpreter is started with.
const BOOT: &str = include_str!("../../python/boot.py");

/// Modules by the names they are imported by. What is installed comes before what stands for it.
const MODULES: &[(&str, &str)] = &[
    ("_doorward_runner", include_str!("../../python/runner.py")),
    ("_doorward_agentflow", include_str!("../../python/agentflow.py")),
    ("_doorward_langgraph", include_str!("../../python/langgraph.py")),
    ("_doorward_codes", include_str!("../../python/codes.py")),
    ("_doorward_asking", include_str!("../../python/asking.py")),
    ("doorward", include_str!("../../python/shims/doorward.py")),
    ("agentflow_cli", include_str!("../../python/shims/agentflow_cli.py")),
    ("fastapi", include_str!("../../python/shims/fastapi.py")),
    ("langgraph_sdk", include_str!("../../python/shims/langgraph_sdk.py")),
    ("shortuuid", include_str!("../../python/shims/shortuuid.py")),
    ("fastapi.security", include_str!("../../python/shims/fastapi_security.py")),
    ("_doorward_hypha", include_str!("../../python/hypha/adapter.py")),
    ("_doorward_hypha.client", include_str!("../../python/hypha/client.py")),
    ("_doorward_hypha.hooks", include_str!("../../python/hypha/hooks.py")),
    ("_doorward_hypha.model", include_str!("../../python/hypha/model.py")),
    ("_doorward_hypha.msgpack", include_str!("../../python/hypha/msgpack.py")),
    ("_doorward_hypha.names", include_str!("../../python/hypha/names.py")),
    ("_doorward_hypha.parts", include_str!("../../python/hypha/parts.py")),
    ("_doorward_hypha.remote", include_str!("../../python/hypha/remote.py")),
    ("_doorward_hypha.server", include_str!("../../python/hypha/server.py")),
    ("_doorward_hypha.services", include_str!("../../python/hypha/services.py")),
    ("_doorward_hypha.sessions", include_str!("../../python/hypha/sessions.py")),
    ("_doorward_hypha.value", include_str!("../../python/hypha/value.py")),
    ("_doorward_hypha.stands_for.hypha", include_str!("../../python/shims/hypha/__init__.py")),
    ("_doorward_hypha.stands_for.hypha.core", include_str!("../../python/shims/hypha/core.py")),
    ("_doorward_hypha.stands_for.hypha.core.auth", include_str!("../../python/shims/hypha/auth.py")),
    ("_doorward_hypha.stands_for.hypha.utils", include_str!("../../python/shims/hypha/utils.py")),
];

fn plan(settings: &Settings) -> Result<Command, String> {
    let mut plan = Command::new(&settings.interpreter);
    plan.args(["-u", "-c", BOOT]);
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::MODULES;

    #[test]
    fn every_file_is_sent() {
        let count = |directory: &str| {
            let files =
                std::fs::read_dir(format!("{}/{directory}", env!("CARGO_MANIFEST_DIR"))).expect("there");
            files
                .filter(|file| {
                    file.as_ref().is_ok_and(|file| file.path().extension().is_some_and(|e| e == "py"))
                })
                .count()
        };
        let files: usize =
            ["python", "python/hypha", "python/shims", "python/shims/hypha"].map(count).iter().sum();
        assert_eq!(files, MODULES.len() + 1, "and the boot");
    }
}
