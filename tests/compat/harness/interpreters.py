"""The Pythons that handlers run in."""

import os
import sys
from pathlib import Path

from harness.programs import ROOT, left_out


def interpreter(kind: str) -> str:
    """`bare` has the standard library alone, `ours` what samples import besides, `real` the published AgentFlow package, `older` the older SDK."""
    if kind in ("real", "older"):
        suite = {"real": "agentflow", "older": "handlers"}[kind]
        made = ROOT / ".venvs" / f"{suite}-server" / "bin" / "python"
        python = Path(os.environ.get(f"DOORWARD_{suite.upper()}_PYTHON", made))
        if not python.exists():
            raise left_out(f"{python} is not there: run `cargo xtask setup`")
        return str(python)
    return sys.executable if kind == "ours" else sys._base_executable
