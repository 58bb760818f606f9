import { AIMessage } from "@langchain/core/messages";
import { END, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";

export const graph = new StateGraph(MessagesAnnotation)
  .addNode("chatbot", async ({ messages }) => ({ messages: [new AIMessage(`Echo: ${messages.at(-1)?.content ?? ""}`)] }))
  .addEdge(START, "chatbot")
  .addEdge("chatbot", END)
  .compile();
