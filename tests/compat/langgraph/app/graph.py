"""The real server's graph: one node, `chatbot`, that says again what it was told, as Doorward's embedded agent does.

Told `gate PATH` it makes `PATH.begun`, and waits until there is a file of that name.
"""

import asyncio
from pathlib import Path

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph


async def chatbot(state: MessagesState):
    said = state["messages"][-1].content if state["messages"] else ""
    if isinstance(said, str) and said.startswith("gate "):
        gate = Path(said.removeprefix("gate "))
        get_stream_writer()("held")
        await asyncio.to_thread(Path(f"{gate}.begun").touch)
        while not await asyncio.to_thread(gate.exists):
            await asyncio.sleep(0.02)
    model = GenericFakeChatModel(messages=iter([AIMessage(content=f"Echo: {said}")]))
    return {"messages": [await model.ainvoke(state["messages"] or "nothing")]}


builder = StateGraph(MessagesState)
builder.add_node("chatbot", chatbot)
builder.add_edge(START, "chatbot")
builder.add_edge("chatbot", END)
graph = builder.compile()
