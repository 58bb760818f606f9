// The document's steps and what a stranger finds, with @langchain/langgraph-sdk: `steps.mjs MODULES URL TOKEN OTHER`, what each step was answered as JSON on
// standard output. Ids, times and names differ between servers, so answers are told as shapes and facts.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, apiUrl, token, other] = process.argv.slice(2);
const resolve = createRequire(pathToFileURL(`${modules}/x.js`)).resolve;
const { Client } = await import(pathToFileURL(resolve("@langchain/langgraph-sdk")));

const as = (bearer) => new Client({ apiUrl, apiKey: null, defaultHeaders: bearer ? { Authorization: `Bearer ${bearer}` } : {}, callerOptions: { maxRetries: 0 } });
const told = {};

/** What a step came to: what it tells, or the status that it was refused with. */
async function step(name, act) {
  try {
    told[name] = (await act()) ?? null;
  } catch (error) {
    told[name] = { status: error.status ?? `${error.name}: ${error.message}` };
  }
}

const input = (text) => ({ messages: [{ role: "user", content: text }] });
const said = (state) => state.messages.map((message) => [message.type, message.content]);
const [ann, bob] = [as(token), as(other)];

// Sign-in.
await step("no token", () => as(null).threads.create());
await step("a wrong token", () => as("nobody").threads.create());

// A thread of one's own.
const made = await ann.threads.create({ metadata: { owner: other, topic: "jokes" } });
const id = made.thread_id;
told["a forged owner"] = made.metadata.owner === token && made.metadata.topic === "jokes";
await step("a thread", async () => [made.status, Object.keys(made).sort().includes("created_at")]);
await step("read it", async () => (await ann.threads.get(id)).thread_id === id);
await step("make it again", () => ann.threads.create({ threadId: id }));
await step("make it again, if it is not there", async () => (await ann.threads.create({ threadId: id, ifExists: "do_nothing" })).thread_id === id);
await step("change it", async () => {
  const { metadata } = await ann.threads.update(id, { metadata: { owner: other, more: 1 } });
  return [metadata.owner === token, metadata.topic, metadata.more];
});

// Runs.
await step("run and wait", async () => said(await ann.runs.wait(id, "agent", { input: input("one") })));
await step("run and stream values", async () => {
  const parts = [];
  for await (const part of ann.runs.stream(id, "agent", { input: input("two"), streamMode: "values" })) parts.push(part);
  return [parts[0].event, parts[1].event, said(parts.at(-1).data).at(-1)];
});
await step("run in the background and join", async () => {
  const run = await ann.runs.create(id, "agent", { input: input("three") });
  const state = await ann.runs.join(id, run.run_id);
  return [said(state).at(-1), (await ann.runs.get(id, run.run_id)).status];
});
await step("its runs", async () => (await ann.runs.list(id)).map((run) => run.status));
await step("its state", async () => said((await ann.threads.getState(id)).values).at(-1));
await step("its history", async () => (await ann.threads.getHistory(id, { limit: 100 })).length > 3);
await step("a run without a thread", async () => said(await ann.runs.wait(null, "agent", { input: input("alone") })).at(-1));
await step("a run of an unknown graph", () => ann.runs.wait(id, "nonsense", { input: input("x") }));

// Searches; the run without a thread may have left one of its own.
const own = [made.thread_id];
for (let n = 0; n < 3; n += 1) own.push((await ann.threads.create({ metadata: { n, tag: n === 0 ? "first" : "later" } })).thread_id);
const theirs = (await bob.threads.create({ metadata: { tag: "later" } })).thread_id;
const found = async (client, query) => (await client.threads.search(query)).map((thread) => own.indexOf(thread.thread_id)).sort();
await step("search one's own", () => found(ann, {}));
await step("search by metadata", () => found(ann, { metadata: { tag: "later" } }));
await step("search by another's name", () => found(ann, { metadata: { owner: other } }));
await step("search by status", () => found(ann, { status: "idle", limit: 100 }));
await step("search in pages", async () => [(await ann.threads.search({ limit: 2 })).length, (await ann.threads.search({ limit: 2, offset: 3 })).length]);
await step("another's search", async () => (await bob.threads.search({})).map((thread) => thread.thread_id === theirs));

// Copies.
await step("copy it", async () => {
  const copy = await ann.threads.copy(id);
  return [copy.thread_id !== id, (await ann.threads.get(copy.thread_id)).metadata.owner === token];
});

// A stranger, in somebody's thread.
const run = (await ann.runs.list(id))[0].run_id;
await step("a stranger reads it", () => bob.threads.get(id));
await step("a stranger changes it", () => bob.threads.update(id, { metadata: { a: 1 } }));
await step("a stranger copies it", async () => Boolean(await bob.threads.copy(id)));
await step("a stranger runs in it", () => bob.runs.wait(id, "agent", { input: input("x") }));
await step("a stranger reads its state", () => bob.threads.getState(id));
await step("a stranger changes its state", () => bob.threads.updateState(id, { values: input("x") }));
await step("a stranger reads its history", () => bob.threads.getHistory(id));
await step("a stranger lists its runs", () => bob.runs.list(id));
await step("a stranger reads a run", () => bob.runs.get(id, run));
await step("a stranger joins a run", () => bob.runs.join(id, run));
await step("a stranger deletes a run", () => bob.runs.delete(id, run));
await step("a stranger deletes it", () => bob.threads.delete(id));
await step("a thread that never was", () => ann.threads.get("00000000-0000-4000-8000-000000000000"));

// Assistants.
const graph = "agent";
const assistant = await ann.assistants.create({ graphId: graph, name: "mine", metadata: { tag: "a" } });
const aid = assistant.assistant_id;
await step("an assistant", async () => [assistant.version, assistant.name, assistant.metadata.owner === token]);
await step("read the assistant", async () => (await ann.assistants.get(aid)).name);
await step("change the assistant", async () => {
  const { version, name } = await ann.assistants.update(aid, { name: "other", graphId: graph });
  return [version, name];
});
await step("its versions", async () => (await ann.assistants.getVersions(aid)).map((one) => one.version));
await step("search assistants", async () => (await ann.assistants.search({ metadata: { tag: "a" } })).map((one) => one.assistant_id === aid));
await step("an assistant of an unknown graph", async () => (await ann.assistants.create({ graphId: "nope" })).graph_id);
await step("run the assistant", async () => said(await ann.runs.wait(null, aid, { input: input("as") })).at(-1));
await step("a stranger reads the assistant", () => bob.assistants.get(aid));
await step("a stranger changes the assistant", () => bob.assistants.update(aid, { name: "x" }));
await step("a stranger's assistants", async () => (await bob.assistants.search({ metadata: { tag: "a" } })).length);
await step("a stranger deletes the assistant", () => bob.assistants.delete(aid));
await step("delete the assistant", () => ann.assistants.delete(aid).then(() => "gone"));

// The store, whose handler puts everybody's things under their name.
await step("put an item", () => ann.store.putItem(["notes"], "one", { text: "first", n: 1 }).then(() => "kept"));
await step("put another", () => ann.store.putItem(["notes", "old"], "two", { text: "second", n: 2 }).then(() => "kept"));
await step("read the item", async () => (await ann.store.getItem(["notes"], "one")).value);
await step("read an item that is not there", () => ann.store.getItem(["notes"], "none"));
await step("search the store", async () => (await ann.store.searchItems(["notes"])).items.map((item) => item.key).sort());
await step("search by value", async () => (await ann.store.searchItems(["notes"], { filter: { n: 2 } })).items.map((item) => item.key));
await step("namespaces", async () => (await ann.store.listNamespaces({ prefix: ["notes"] })).namespaces.map((one) => one.slice(-1)).sort());
await step("an empty label", () => ann.store.putItem([""], "x", {}));
await step("a stranger reads the item", () => bob.store.getItem(["notes"], "one"));
await step("a stranger searches", async () => (await bob.store.searchItems(["notes"])).items.length);
await step("a stranger searches under the other's name", async () => (await bob.store.searchItems([token])).items.length);
await step("a stranger lists under the other's name", async () => (await bob.store.listNamespaces({ prefix: [token] })).namespaces.length);
await step("a stranger deletes the item", async () => {
  await bob.store.deleteItem(["notes"], "one");
  return (await ann.store.getItem(["notes"], "one")).value.text;
});
await step("delete the item", async () => {
  await ann.store.deleteItem(["notes"], "one");
  return ann.store.getItem(["notes"], "one");
});

// The end.
await step("delete a run", () => ann.runs.delete(id, run).then(() => "gone"));
await step("delete it", () => ann.threads.delete(id).then(() => "gone"));
await step("read it when it is gone", () => ann.threads.get(id));
console.log(JSON.stringify(told));
