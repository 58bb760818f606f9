#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../with-doorward.sh --mount hypha=127.0.0.1:0 --startup-functions local_auth.py:hypha_startup -- python3 client.py
