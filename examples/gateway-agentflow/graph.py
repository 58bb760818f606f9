"""Your agent: it says again what it was told."""

from agentflow.core.graph import StateGraph
from agentflow.core.state import AgentState, Message
from agentflow.storage.checkpointer import InMemoryCheckpointer
from agentflow.utils.constants import END


async def answer(state: AgentState, config: dict):
    said = [message for message in state.context if message.role == "user"]
    return Message.text_message(f"Echo: {said[-1].text()}", role="assistant")


graph = StateGraph()
graph.add_node("ANSWER", answer)
graph.set_entry_point("ANSWER")
graph.add_edge("ANSWER", END)
app = graph.compile(checkpointer=InMemoryCheckpointer())
