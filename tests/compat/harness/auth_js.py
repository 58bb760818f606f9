"""npm `@supabase/auth-js`, unmodified, in Node: one step of `supabase/app/auth.cjs` in a process of its own."""

import json
import subprocess
from pathlib import Path

from harness.programs import clean_environment, node_binary, node_modules

APP = Path(__file__).parent.parent / "supabase" / "app" / "auth.cjs"


def run(supabase, step: str, **given):
    environment = clean_environment(NODE_PATH=str(node_modules("@supabase/auth-js")))
    command = [node_binary(), APP, supabase.auth_url, supabase.anon_key, step, json.dumps(given)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
