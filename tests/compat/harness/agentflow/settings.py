"""`agentflow.json` and its `.env`, written as a user of the package writes them."""

import json
from pathlib import Path

# 32 bytes and more: `serve` refuses less.
SECRET = "compat-suite-secret-0123456789-abcdefghijklmnop"


def write_settings(
    directory: Path,
    auth="jwt",
    variables: dict[str, str] | None = None,
    dotenv: str | None = None,
    **extra,
) -> Path:
    """Writes both files and answers the path of `agentflow.json`.

    `variables` become `NAME=value` lines; `dotenv` is the whole text of `.env` instead, for the
    spellings a list of pairs cannot express. `extra` are further keys of `agentflow.json`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if variables is None and dotenv is None and auth == "jwt":
        variables = jwt_variables()
    if variables is not None:
        dotenv = "".join(f"{name}={value}\n" for name, value in variables.items())
    content = {"agent": "graph.echo:app", "auth": auth}
    if dotenv is not None:
        (directory / ".env").write_text(dotenv)
        content["env"] = ".env"
    path = directory / "agentflow.json"
    path.write_text(json.dumps({**content, **extra}, indent=2))
    return path


def jwt_variables(secret: str = SECRET, algorithm: str = "HS256", **extra: str) -> dict[str, str]:
    return {"JWT_SECRET_KEY": secret, "JWT_ALGORITHM": algorithm, **extra}
