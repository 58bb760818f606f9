"""The AgentFlow document's example backends, word for word: their indentation was lost and is put back, nothing else."""

from pathlib import Path

from harness.programs import left_out

SEED = Path(__file__).resolve().parents[3].parent / "shared" / "seeds" / "agentflow-authentication.md"

#: By file: how the sample begins, what comes after it, and how deep each of its lines stands.
SAMPLES = {
    "auth/custom.py": (
        "from agentflow_cli import BaseAuth\nfrom fastapi import Response, HTTPException\n"
        "from fastapi.security import HTTPAuthorizationCredentials\nfrom typing import Any",
        "BaseAuth Interface¶",
        "00000" "1" "222" "1" "2" "222222" "2" "2222" "3" "44" "3" "22" "2" "3333" "2" "1" "222",
    ),
    "auth/firebase.py": (
        "# auth/firebase.py",
        "agentflow.json:",
        "0000000000" "1" "222" "1" "2" "3333" "4444" "3" "2" "3",
    ),
    "auth/api_key.py": (
        "# auth/api_key.py",
        "OAuth 2.0 Authentication¶",
        "000000" "1" "2" "2" "3" "444" "3" "3" "444" "3" "2" "1" "222" "1" "222222" "3" "2" "333" "2",
    ),
    "auth/oauth.py": (
        "# auth/oauth.py",
        "Database Authentication¶",
        "000000" "1" "2" "1" "222" "1" "22" "33" "2" "2" "3" "2" "2" "3333" "2",
    ),
    "auth/database.py": (
        "# auth/database.py",
        "Multi-Factor Authentication¶",
        "0000000" "1" "22" "1" "222" "1" "2" "33" "444" "3" "3" "3" "3" "3" "4" "3" "44444" "3" "2" "3" "2" "3" "1" "22",
    ),
    "auth/mfa.py": (
        "# auth/mfa.py",
        "Testing Authentication¶",
        "000000" "1" "222" "1" "2" "2" "3" "2" "3" "2222" "2" "3" "2" "333" "2" "1" "22",
    ),
}


def sample(file: str) -> str:
    if not SEED.exists():
        raise left_out("the AgentFlow document is not here, so its samples cannot be run")
    begins, ends, depths = SAMPLES[file]
    text = SEED.read_text()
    at = text.index(begins)
    lines = text[at : text.index(ends, at + len(begins))].rstrip("\n").split("\n")
    assert len(lines) == len(depths), f"{file}: {len(lines)} lines, {len(depths)} depths"
    return "\n".join("    " * int(depth) + line for depth, line in zip(depths, lines, strict=True)) + "\n"
