#!/bin/sh
# The policy of doorward.toml, tested as in anybody's CI: no server, no store.
set -eu
cd "$(dirname "$0")"
doorward=${DOORWARD_BIN:-doorward}

"$doorward" policy test --config doorward.toml --format tap policy-tests.toml
# A policy that lets too much through fails, and says why.
if DOORWARD__AREAS__REPORTS__ROLES=user "$doorward" policy test --config doorward.toml policy-tests.toml; then
    echo "that should have failed" >&2
    exit 1
fi
