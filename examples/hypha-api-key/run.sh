#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec ../with-doorward.sh api_key_auth.py:hypha_startup python3 client.py
