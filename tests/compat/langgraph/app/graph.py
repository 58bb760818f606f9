"""The real server's graph: one node, `chatbot`, that says again what it was told, as Doorward's embedded agent does."""

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph


async def chatbot(state: MessagesState):
    said = state["messages"][-1].content if state["messages"] else ""
    model = GenericFakeChatModel(messages=iter([AIMessage(content=f"Echo: {said}")]))
    return {"messages": [await model.ainvoke(state["messages"] or "nothing")]}


builder = StateGraph(MessagesState)
builder.add_node("chatbot", chatbot)
builder.add_edge(START, "chatbot")
builder.add_edge("chatbot", END)
graph = builder.compile()
