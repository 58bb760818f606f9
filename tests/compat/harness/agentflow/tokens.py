"""Tokens made by the libraries that AgentFlow's document names: PyJWT and npm's jsonwebtoken."""

import json
import subprocess
import time

import jwt

from harness.agentflow.settings import SECRET
from harness.programs import clean_environment, node_binary, node_modules

HOUR_S = 3600

_SIGN_IN_NODE = """
const jwt = require('jsonwebtoken');
const job = JSON.parse(require('fs').readFileSync(0, 'utf8'));
process.stdout.write(jwt.sign(job.claims, job.key, { algorithm: job.algorithm }));
"""


def claims(user_id="user123", **changes) -> dict:
    """The document's payload, good for an hour; a claim set to None is left out."""
    now = int(time.time())
    whole = {"user_id": user_id, "username": "john_doe", "exp": now + HOUR_S, "iat": now, **changes}
    return {name: value for name, value in whole.items() if value is not None}


def token(user_id="user123", *, key=SECRET, algorithm="HS256", headers=None, **changes) -> str:
    """A PyJWT token with the document's claims and the given changes."""
    return jwt.encode(claims(user_id, **changes), key, algorithm=algorithm, headers=headers)


def raw_token(
    payload: dict | list | bytes, *, key=SECRET, algorithm="HS256", header: dict | None = None
) -> str:
    """A correctly signed token whose payload PyJWT itself would refuse to write."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return jwt.PyJWS().encode(body, key, algorithm=algorithm, headers=header)


def node_token(user_id="user123", *, key=SECRET, algorithm="HS256", **changes) -> str:
    """The same token from npm's `jsonwebtoken`."""
    job = {"claims": claims(user_id, **changes), "key": key, "algorithm": algorithm}
    done = subprocess.run(
        [node_binary(), "-e", _SIGN_IN_NODE],
        input=json.dumps(job),
        env=clean_environment(NODE_PATH=str(node_modules())),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout
