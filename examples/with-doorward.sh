#!/usr/bin/env bash
# Runs a command beside a `doorward dev` with options of its own, and stops it again:
#
#     with-doorward.sh --mount hypha=127.0.0.1:0 --startup-functions my_auth.py:hypha_startup -- python3 client.py
#
# The command finds DOORWARD_URL, where Doorward's own API is, and HYPHA_URL, LANGGRAPH_URL, AGENTFLOW_URL…, where each of its mounts is. The
# binary is DOORWARD_BIN's, or `doorward` on the PATH. What the server says is shown when something fails.
set -euo pipefail

options=()
while [ "$1" != -- ]; do
  options+=("$1")
  shift
done
shift
work=$(mktemp -d)
server=

stop() {
  code=$?
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  if [ "$code" -ne 0 ] && [ -f "$work/doorward.log" ]; then
    # `dev` shows keys of its own in it, which are good for this store alone and gone with it.
    grep -v "_KEY" "$work/doorward.log" | tail -n 40 >&2 || true
  fi
  rm -rf "$work"
  exit "$code"
}
trap stop EXIT

"${DOORWARD_BIN:-doorward}" dev --listen 127.0.0.1:0 --data-dir "$work/data" --ready-file "$work/ready.json" "${options[@]}" \
  >"$work/doorward.log" 2>&1 &
server=$!
# The file is there once the server answers.
until [ -s "$work/ready.json" ]; do
  kill -0 "$server" 2>/dev/null || { echo "Doorward did not start:" >&2; exit 1; }
  sleep 0.05
done
read_urls='import json, sys
ready = json.load(open(sys.argv[1]))
for name, url in {"doorward": ready["url"], **ready["mounts"]}.items():
    print(f"export {name.upper()}_URL={url.rstrip(chr(47))}")'
eval "$(python3 -c "$read_urls" "$work/ready.json")"
# The client says on standard output what it cannot connect to, and when a connection ends.
export HYPHA_LOGLEVEL=${HYPHA_LOGLEVEL:-CRITICAL}
"$@"
