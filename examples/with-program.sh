#!/usr/bin/env bash
# Runs one of the Rust examples by name: the program that was built beside DOORWARD_BIN, or else it is built now.
set -euo pipefail
name=$1
shift
beside=$(dirname -- "${DOORWARD_BIN:-}")/$name
if [ -n "${DOORWARD_BIN:-}" ] && [ -x "$beside" ]; then
  exec "$beside" "$@"
fi
exec cargo run --quiet --manifest-path "$(dirname -- "${BASH_SOURCE[0]}")/Cargo.toml" --bin "$name" -- "$@"
