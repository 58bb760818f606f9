"""The snippets of AgentFlow's authentication document, taken from the document itself.

The copy at hand has lost its code fences and the indentation of its Python. A snippet is found
between two lines of prose; Python is indented again by `indented`. Nothing else is touched:
`with_values` replaces the URL, the token and the secret, and insists that each was there.
"""

import re

from harness.programs import SHARED, left_out

DOCUMENT = SHARED / "seeds" / "agentflow-authentication.md"
URL = "http://localhost:8000"
TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9..."


def document() -> str:
    if not DOCUMENT.is_file():
        raise left_out("AgentFlow's authentication document is absent (../shared/seeds)")
    return DOCUMENT.read_text(encoding="utf-8")


def between(after: str, before: str) -> str:
    """The lines strictly between the line `after` and the next line `before`."""
    lines = document().splitlines()
    start = lines.index(after) + 1
    return "\n".join(lines[start : lines.index(before, start)])


def python_token_block() -> str:
    return indented(between("Python example:", "Node.js example:"))


def node_token_block() -> str:
    return between("Node.js example:", "Using JWT Tokens¶")


def no_auth_curl_block() -> str:
    return between("All API endpoints will be accessible without authentication.", "When to Use¶")


def curl_block() -> str:
    return between("With curl:", "With Python requests:")


def requests_block() -> str:
    return between("With Python requests:", "With JavaScript fetch:")


def fetch_block() -> str:
    return between("With JavaScript fetch:", "JWT Token Structure¶")


def hmac_secret_block() -> str:
    return between("For HS256 (symmetric):", "For RS256 (asymmetric):")


def rsa_block() -> str:
    return between("For RS256 (asymmetric):", "Creating JWT Tokens¶")


def testing_curl_block() -> str:
    return between("Testing with curl¶", "Testing with pytest¶")


def testing_pytest_block() -> str:
    return indented(between("Testing with pytest¶", "Additional Resources¶"))


def with_values(snippet: str, **values: str) -> str:
    """Replaces literal texts; a text that is not in the snippet is an error."""
    names = {"url": URL, "token": TOKEN, "secret": "your-secret-key", "api_key": "your-api-key"}
    for name, value in values.items():
        literal = names.get(name, name)
        assert literal in snippet, f"the document no longer says {literal!r}:\n{snippet}"
        snippet = snippet.replace(literal, value)
    return snippet


def indented(flat: str) -> str:
    """Gives functions their bodies back.

    In this document a body reaches to its `return` (with whatever brackets that opens), or to
    the next `def`; text inside brackets needs no indentation to be valid.
    """
    lines, inside, depth, returning = [], False, 0, False
    for line in flat.splitlines():
        if depth == 0 and re.match(r"(async )?def |class ", line):
            inside, returning = True, False
            lines.append(line)
            continue
        if inside and depth == 0 and line.startswith("return"):
            returning = True
        lines.append(("    " + line) if inside and line else line)
        code = re.sub(r'"[^"]*"|#.*', "", line)
        depth += sum(code.count(opening) for opening in "([{") - sum(code.count(closing) for closing in ")]}")
        if returning and depth == 0:
            inside = returning = False
    return "\n".join(lines) + "\n"
