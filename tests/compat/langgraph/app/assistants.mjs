// Every method of `client.assistants` of @langchain/langgraph-sdk: `assistants.mjs MODULES URL TOKEN OTHER TAG`, its findings as JSON on standard output.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, apiUrl, token, other, tag] = process.argv.slice(2);
const resolve = createRequire(pathToFileURL(`${modules}/x.js`)).resolve;
const { Client } = await import(pathToFileURL(resolve("@langchain/langgraph-sdk")));

const as = (bearer) => new Client({ apiUrl, apiKey: null, defaultHeaders: { Authorization: `Bearer ${bearer}` }, callerOptions: { maxRetries: 0 } });
const failing = async (act) => act().then(() => null, (error) => error.status);

const { assistants } = as(token);
const stranger = as(other).assistants;
const made = await assistants.create({ graphId: "agent", name: "First", description: "what for", metadata: { tag }, config: { configurable: { model: "m1" } } });
const id = made.assistant_id;
const told = {
  made,
  got: await assistants.get(id),
  schemas: Object.keys(await assistants.getSchemas(id)).sort(),
  graph: Object.keys(await assistants.getGraph(id)).sort(),
  subgraphs: await assistants.getSubgraphs(id),
  again: await failing(() => assistants.create({ graphId: "agent", assistantId: id })),
  kept: (await assistants.create({ graphId: "agent", assistantId: id, ifExists: "do_nothing" })).version,
  updated: await assistants.update(id, { name: "Second", metadata: { more: 1 }, config: { configurable: { model: "m2" } } }),
  versions: (await assistants.getVersions(id)).map((one) => [one.version, one.name]),
  first: await assistants.setLatest(id, 1),
  found: (await assistants.search({ metadata: { tag }, graphId: "agent", name: "irs" })).map((one) => one.assistant_id),
  count: await assistants.count({ metadata: { tag } }),
  theirs: [
    await failing(() => stranger.get(id)),
    await failing(() => stranger.update(id, { name: "x" })),
    await failing(() => stranger.setLatest(id, 1)),
    await failing(() => stranger.getVersions(id)),
    await failing(() => stranger.delete(id)),
  ],
  theirSearch: (await stranger.search({ metadata: { tag } })).length + (await stranger.count({ metadata: { tag } })),
  unknownGraph: await failing(() => assistants.create({ graphId: "nope" })),
};
await assistants.delete(id);
told.gone = await failing(() => assistants.get(id));
console.log(JSON.stringify(told));
