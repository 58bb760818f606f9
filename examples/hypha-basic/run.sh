#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../with-doorward.sh local_auth.py:hypha_startup python3 client.py
