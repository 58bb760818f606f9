#!/usr/bin/env bash
# Runs a command beside a platform's own server, in a copy of this directory, and stops it again:
#
#     with-server.sh /ok langgraph dev --host 127.0.0.1 --port {port} -- python3 client.py {url}
#
# {port} is a free port and {url} leads to it. The server is ready once it answers at the first argument's path. What it says is shown
# when something fails.
set -euo pipefail

ready=$1
shift
work=$(mktemp -d)
cp -R . "$work/project"
port=$(python3 -c 'import socket; probe = socket.socket(); probe.bind(("127.0.0.1", 0)); print(probe.getsockname()[1])')
url=http://127.0.0.1:$port
server=()
while [ "$1" != -- ]; do
  server+=("${1//\{port\}/$port}")
  shift
done
shift
pid=

stop() {
  code=$?
  if [ -n "$pid" ]; then
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  fi
  if [ "$code" -ne 0 ]; then
    tail -n 40 "$work/server.log" >&2 || true
  fi
  rm -rf "$work"
  exit "$code"
}
trap stop EXIT

(cd "$work/project" && exec "${server[@]}") >"$work/server.log" 2>&1 &
pid=$!
asks='import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)'
until python3 -c "$asks" "$url$ready" 2>/dev/null; do
  kill -0 "$pid" 2>/dev/null || { echo "${server[0]} did not start:" >&2; exit 1; }
  sleep 0.05
done
"${@//\{url\}/$url}"
