#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# What the partner and the start-up file share; Doorward hands no variable to a file of yours that you do not name.
PARTNER_SECRET=$(openssl rand -hex 32)
export PARTNER_SECRET DOORWARD__HANDLERS__PASS_ENVIRONMENT=PARTNER_SECRET
exec ../with-doorward.sh --mount hypha=127.0.0.1:0 --startup-functions multi_auth.py:hypha_startup -- python3 client.py
