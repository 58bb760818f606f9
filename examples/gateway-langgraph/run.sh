#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../with-server.sh /ok langgraph dev --no-browser --no-reload --host 127.0.0.1 --port '{port}' -- \
  ../with-doorward.sh --upstream '{url}' --surface langgraph -- python3 client.py
