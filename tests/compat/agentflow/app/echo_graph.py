"""A one-node graph for the real AgentFlow API server: no model, no network, all in memory.

The node answers `Echo: <last user message>`. When streamed, the answer comes as one delta
per word and then as the whole message.

A message that starts with `gate:NAME ` holds the stream back after its first word until the
file NAME exists in the directory of `COMPAT_GATE_DIR`. A test that has read the first word
opens the gate, and so proves without any sleep that bytes travel while the run is going on.
"""

import asyncio
import os
import re
from pathlib import Path

from agentflow.core.graph import StateGraph
from agentflow.core.state import AgentState, Message
from agentflow.core.state.message_block import TextBlock
from agentflow.runtime.adapters.llm.base_converter import BaseConverter
from agentflow.runtime.adapters.llm.model_response_converter import (
    ModelResponseConverter,
)
from agentflow.storage.checkpointer import InMemoryCheckpointer
from agentflow.utils.constants import END

GATE = re.compile(r"^gate:([A-Za-z0-9_-]{1,64}) ")
GATE_LIMIT_S = 20.0
GATE_POLL_S = 0.01


async def wait_for_gate(text: str) -> None:
    """Returns when the gate that `text` names is open; fails the run after `GATE_LIMIT_S`."""
    named = GATE.match(text)
    directory = os.environ.get("COMPAT_GATE_DIR")
    if named is None or directory is None:
        return
    gate = Path(directory) / named.group(1)
    for _ in range(int(GATE_LIMIT_S / GATE_POLL_S)):
        if gate.exists():
            return
        await asyncio.sleep(GATE_POLL_S)
    raise TimeoutError(f"gate {named.group(1)} stayed shut for {GATE_LIMIT_S} s")


class EchoConverter(BaseConverter):
    """Turns the text that the node echoes into AgentFlow messages, whole or word by word."""

    async def convert_response(self, response: str) -> Message:
        return Message.text_message(f"Echo: {response}", role="assistant")

    async def convert_streaming_response(self, config, node_name, response, meta=None):
        whole = await self.convert_response(response)
        for index, word in enumerate(re.findall(r"\S+\s*", whole.text())):
            if index == 1:
                await wait_for_gate(response)
            yield Message(
                message_id=whole.message_id, role="assistant", content=[TextBlock(text=word)], delta=True
            )
        yield whole


async def echo(state: AgentState, config: dict) -> ModelResponseConverter:
    said = [message for message in state.context if message.role == "user"]
    return ModelResponseConverter(said[-1].text() if said else "", converter=EchoConverter())


checkpointer = InMemoryCheckpointer()

graph = StateGraph()
graph.add_node("ECHO", echo)
graph.set_entry_point("ECHO")
graph.add_edge("ECHO", END)
app = graph.compile(checkpointer=checkpointer)
