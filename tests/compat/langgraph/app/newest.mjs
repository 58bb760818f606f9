// The tutorial's flow with @langchain/langgraph-sdk: `newest.mjs MODULES URL TOKEN OTHER`, its findings as JSON on standard output.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, apiUrl, token, other] = process.argv.slice(2);
const resolve = createRequire(pathToFileURL(`${modules}/x.js`)).resolve;
const { Client } = await import(pathToFileURL(resolve("@langchain/langgraph-sdk")));

const as = (bearer) => new Client({ apiUrl, apiKey: null, defaultHeaders: bearer ? { Authorization: `Bearer ${bearer}` } : {}, callerOptions: { maxRetries: 0 } });
const failing = async (act) => act().then(() => null, (error) => ({ status: error.status, message: String(error.message) }));

const client = as(token);
const created = await client.threads.create();
const printed = [];
const names = [];
for await (const part of client.runs.stream(created.thread_id, "agent", {
  input: { messages: [{ role: "user", content: "Tell me a short joke" }] },
  streamMode: "messages-tuple",
})) {
  names.push(part.event);
  if (part.event === "messages") {
    const [chunk, metadata] = part.data;
    if (metadata.langgraph_node === "chatbot") printed.push(chunk.content);
  }
}
const thread = await client.threads.get(created.thread_id);
const without = await failing(() => as(null).threads.create());
const second = await as(other).threads.create();
const denied = await failing(() => as(other).threads.get(created.thread_id));
const waited = await client.runs.wait(created.thread_id, "agent", { input: { messages: [{ role: "user", content: "again" }] } });
const copied = await client.threads.copy(created.thread_id);
const history = await client.threads.getHistory(created.thread_id, { limit: 100 });
const searched = await client.threads.search({ metadata: { owner: token } });
const runs = await client.runs.list(created.thread_id);
console.log(JSON.stringify({
  created, printed, names, thread, without, second, other: denied, waited: waited.messages.map((message) => message.content),
  copied, history: history.length, found: searched.map((found) => found.thread_id), runs: runs.map((run) => run.status),
}));
