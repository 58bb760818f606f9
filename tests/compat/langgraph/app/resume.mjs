// A resumable stream with @langchain/langgraph-sdk: `resume.mjs MODULES URL TOKEN`, its events from the start and from the middle as JSON on standard output.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, apiUrl, token] = process.argv.slice(2);
const resolve = createRequire(pathToFileURL(`${modules}/x.js`)).resolve;
const { Client } = await import(pathToFileURL(resolve("@langchain/langgraph-sdk")));

const client = new Client({ apiUrl, apiKey: null, defaultHeaders: { Authorization: `Bearer ${token}` }, callerOptions: { maxRetries: 0 } });
const all = async (stream) => {
  const parts = [];
  for await (const part of stream) parts.push([part.id, part.event, part.data]);
  return parts;
};
const { thread_id: thread } = await client.threads.create();
const run = await client.runs.create(thread, "agent", { input: { messages: [{ role: "user", content: "one two three" }] }, streamMode: ["values", "messages-tuple"], streamResumable: true });
const whole = await all(client.runs.joinStream(thread, run.run_id, { lastEventId: "-1" }));
const at = Math.floor(whole.length / 2);
const rest = await all(client.runs.joinStream(thread, run.run_id, { lastEventId: whole[at][0] }));
const none = await all(client.runs.joinStream(thread, run.run_id, { lastEventId: whole.at(-1)[0] }));
const batch = await client.runs.createBatch([{ assistantId: "agent", input: { messages: [{ role: "user", content: "x" }] } }, { assistantId: "agent", input: { messages: [{ role: "user", content: "y" }] } }]);
console.log(JSON.stringify({ whole, rest, none, at, batch: batch.map((one) => one.status) }));
