// Every method of `client.crons` of @langchain/langgraph-sdk: `crons.mjs MODULES URL TOKEN OTHER TAG`, its findings as JSON on standard output.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, apiUrl, token, other, tag] = process.argv.slice(2);
const resolve = createRequire(pathToFileURL(`${modules}/x.js`)).resolve;
const { Client } = await import(pathToFileURL(resolve("@langchain/langgraph-sdk")));

const as = (bearer) => new Client({ apiUrl, apiKey: null, defaultHeaders: { Authorization: `Bearer ${bearer}` }, callerOptions: { maxRetries: 0 } });
const failing = async (act) => act().then(() => null, (error) => error.status);

const client = as(token);
const { crons } = client;
const stranger = as(other).crons;
const input = { messages: [{ role: "user", content: "hi" }] };
const thread = (await client.threads.create()).thread_id;
const made = await crons.create("agent", { schedule: "0 9 * * *", input, metadata: { tag }, onRunCompleted: "keep" });
const inThread = await crons.createForThread(thread, "agent", { schedule: "*/15 * * * *", input, metadata: { tag }, multitaskStrategy: "reject" });
const id = made.cron_id;
const told = {
  made,
  inThread: [inThread.thread_id === thread, inThread.on_run_completed],
  updated: await crons.update(id, { schedule: "0 10 * * *", enabled: false, metadata: { more: 1 }, input: { messages: [{ role: "user", content: "ho" }] } }),
  found: (await crons.search({ metadata: { tag }, limit: 10 })).map((one) => one.cron_id).sort(),
  ofThread: (await crons.search({ threadId: thread })).map((one) => one.cron_id),
  count: await crons.count({ metadata: { tag } }),
  theirs: [
    await failing(() => stranger.update(id, { enabled: true })),
    await failing(() => stranger.delete(id)),
    await failing(() => stranger.createForThread(thread, "agent", { schedule: "0 0 * * *" })),
  ],
  theirSearch: (await stranger.search({ metadata: { tag } })).length + (await stranger.search({ threadId: thread })).length + (await stranger.count({ metadata: { tag } })),
  neverDue: await failing(() => crons.create("agent", { schedule: "0 0 31 2 *" })),
};
told.ids = [id, inThread.cron_id].sort();
await crons.delete(id);
await crons.delete(inThread.cron_id);
told.gone = await failing(() => crons.delete(id));
console.log(JSON.stringify(told));
