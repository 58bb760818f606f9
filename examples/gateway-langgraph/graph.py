"""Your agent: it says again what it was told."""

from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph


def answer(state: MessagesState):
    return {"messages": [AIMessage(content=f"Echo: {state['messages'][-1].content}")]}


graph = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").add_edge("answer", END).compile()
