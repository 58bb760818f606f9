"""The client of LangGraph's tutorial, taken from the document itself."""

import asyncio
import re

from harness.tutorial import DOCUMENT, block


class Tutorial:
    """The client's helper functions, with this project's URL and key put in where the document says CHANGEME."""

    def __init__(self, supabase) -> None:
        text = block("async def sign_up")
        # The document imports what reads .env files, and does not use it here.
        text = text.replace("import dotenv\n", "")
        for name, value in {"supabase_url": supabase.url, "supabase_anon_key": supabase.anon_key}.items():
            text, count = re.subn(rf'^{name}: str = "CHANGEME"', f"{name}: str = {value!r}", text, flags=re.MULTILINE)
            assert count == 1, name
        self.names: dict = {}
        exec(compile(text, str(DOCUMENT), "exec"), self.names)  # noqa: S102 - the document's own code
        self.password = self.names["password"]

    def sign_up(self, email: str, password: str | None = None) -> dict:
        return asyncio.run(self.names["sign_up"](email, password or self.password))

    def login(self, email: str, password: str | None = None) -> dict:
        return asyncio.run(self.names["login"](email, password or self.password))
