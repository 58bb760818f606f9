"""What is not run here, each row with its reason: the page, how the block begins, and who proves it or why nobody does. A page may have a `*`; a beginning
like "```rust" is every block of that language.

A block of a language that is run or checked and that is in no row is run or checked. A row that fits no block fails, and so does a test that is
not there.
"""

from fnmatch import fnmatch

from docs.blocks import Block

FORWARD_AUTH = "tests/compat/forward_auth/test_proxies.py::test_callers_get_in_by_their_roles_and_the_app_is_told_who_they_are"
EXAMPLES = "tests/compat/examples/test_examples.py::test_an_example_prints_what_it_says_and_leaves_nothing"
TYPESCRIPT = "tests/compat/native/test_openapi.py::test_types_for_typescript_are_made_from_it_and_hold_a_program_to_them"
README = "tests/compat/agentflow/test_readme.py::test_the_readmes_walk_through_works_when_pasted"

#: Languages of what nobody runs.
PROSE = {"text"}

#: (page, first words, test): run by another suite, which takes it from the page or does the same.
ELSEWHERE = [
    ("README.md", "URL=http://127.0.0.1:8420", README),
    ("README.md", "AGENT=$URL/agentflow", README),
    ("README.md", "agentflow api --host 127.0.0.1 --port 8000", README),
    ("docs/tasks/agentflow.md", "agentflow api --host 127.0.0.1 --port 8000", README),
    ("docs/surfaces/native.md", "npx openapi-typescript", TYPESCRIPT),
    ("examples/*/README.md", "$ ./run.sh", EXAMPLES),
    ("README.md", "```rust", EXAMPLES),
    ("docs/rust-library.md", "```rust", EXAMPLES),
    ("examples/gateway-langgraph/README.md", "langgraph dev --host 127.0.0.1", EXAMPLES),
    ("examples/gateway-agentflow/README.md", "agentflow api --host 127.0.0.1", EXAMPLES),
    ("examples/hypha-five-minutes/README.md", "doorward dev --mount hypha=127.0.0.1:9527", EXAMPLES),
    ("examples/hypha-api-key/README.md", "$ curl -H 'X-API-Key: sk_example_reader'", EXAMPLES),
    ("docs/operations.md", "kill -USR2", "tests/compat/operations/test_restart.py::test_the_port_stays_and_the_new_configuration_counts"),
    ("docs/forward-auth.md", "server {", FORWARD_AUTH),
    ("docs/forward-auth.md", "http://:8080 {", FORWARD_AUTH),
    ("docs/forward-auth.md", "global", FORWARD_AUTH),
    ("docs/forward-auth.md", "local ASK", FORWARD_AUTH),
    ("docs/forward-auth.md", "LoadModule", FORWARD_AUTH),
    ("docs/forward-auth.md", "-- forward_auth.lua", FORWARD_AUTH),
]

#: (page, first words, reason): run by nobody.
NOT_RUN = [
    ("README.md", "cargo xtask test", "it runs this suite"),
    ("CONTRIBUTING.md", "git clone", "it fetches the project and runs this suite; that the commands exist is a rule of `cargo xtask structure`"),
    ("CONTRIBUTING.md", "printf '#!/bin/sh", "it changes the clone's hooks"),
    ("docs/evidence.md", "cargo xtask bench", "it takes most of an hour; that the command exists is a rule of `cargo xtask structure`"),
    ("docs/installation.md", "docker build", "it needs Docker's daemon; `crates/doorward/tests/it/deployment.rs` holds the container's conditions"),
    ("tests/compat/README.md", "cargo xtask setup", "it installs what this suite runs with"),
]

#: Commands that are right and have nothing to work on in the store that is made for the pages: what they say instead.
REFUSED = {
    "doorward user unlink usr_… idn_…": "not_found",
}


def excuses(row: tuple[str, str, str], block: Block) -> bool:
    """Whether the row is about the block."""
    page, begins, _ = row
    if begins.startswith("```"):
        return fnmatch(block.page, page) and begins == f"```{block.language}"
    return fnmatch(block.page, page) and block.text.removeprefix("$ ").startswith(begins.removeprefix("$ "))
