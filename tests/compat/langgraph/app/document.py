"""Runs blocks of LangGraph's tutorial as cells of a notebook, statement by statement: `document.py` with the blocks as JSON on standard input.

What a statement raises is told, and the next one runs: one line of the document's last block cannot work with anyone.
"""

import ast
import asyncio
import contextlib
import inspect
import io
import json
import sys
import types

with contextlib.suppress(ImportError):
    import dotenv as _  # noqa: F401 - the document imports it and does not use it
sys.modules.setdefault("dotenv", types.ModuleType("dotenv"))


async def run(blocks: list[str]) -> dict:
    names, printed, raised = {}, io.StringIO(), []
    for block in blocks:
        for statement in ast.parse(block).body:
            code = compile(ast.Module([statement], []), "document", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            try:
                with contextlib.redirect_stdout(printed):
                    waiting = eval(code, names)  # noqa: S307 - the document's own code
                    if inspect.iscoroutine(waiting):
                        await waiting
            except Exception as error:
                raised.append([ast.unparse(statement).split("\n")[0], type(error).__name__, str(error)])
    return {"printed": printed.getvalue(), "raised": raised, "thread": names.get("thread")}


print(json.dumps(asyncio.run(run(json.load(sys.stdin)))))
