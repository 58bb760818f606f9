#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../with-server.sh /ping agentflow --non-interactive api --no-reload -c agentflow.json -H 127.0.0.1 -p '{port}' -- \
  ../with-doorward.sh --upstream '{url}' --surface agentflow -- ./client.sh
