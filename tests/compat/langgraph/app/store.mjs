// Every method of `client.store` of @langchain/langgraph-sdk: `store.mjs MODULES URL TOKEN OTHER ROOT`, its findings as JSON on standard output.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, apiUrl, token, other, root] = process.argv.slice(2);
const resolve = createRequire(pathToFileURL(`${modules}/x.js`)).resolve;
const { Client } = await import(pathToFileURL(resolve("@langchain/langgraph-sdk")));

const as = (bearer) => new Client({ apiUrl, apiKey: null, defaultHeaders: { Authorization: `Bearer ${bearer}` }, callerOptions: { maxRetries: 0 } });
const failing = async (act) => act().then(() => null, (error) => ({ status: error.status, message: String(error.message) }));

const { store } = as(token);
const stranger = as(other).store;
await store.putItem([root, "notes"], "one", { text: "first", n: 1 });
await store.putItem([root, "notes"], "two", { text: "second", n: 2 }, { index: false, ttl: 60 });
await store.putItem([root, "files", "old"], "three", { text: "third", n: 3 });
await store.putItem([root, "notes"], "one", { text: "changed", n: 5 });
const told = {
  got: await store.getItem([root, "notes"], "one"),
  kept: await store.getItem([root, "notes"], "two", { refreshTtl: true }),
  missing: (await store.getItem([root, "notes"], "none")) ?? null,
  found: (await store.searchItems([root], { limit: 10 })).items.map((item) => item.key).sort(),
  filtered: (await store.searchItems([root], { filter: { n: { $gte: 3 } }, refreshTtl: false })).items.map((item) => item.key).sort(),
  paged: (await store.searchItems([root], { limit: 1, offset: 1 })).items.length,
  namespaces: (await store.listNamespaces({ prefix: [root], maxDepth: 2 })).namespaces,
  suffix: (await store.listNamespaces({ prefix: [root], suffix: ["old"], limit: 5, offset: 0 })).namespaces,
  bad: await failing(() => store.putItem([root, ""], "k", {})),
  theirs: (await stranger.getItem([root, "notes"], "one")) ?? null,
  theirSearch: (await stranger.searchItems([root])).items,
  theirNamespaces: (await stranger.listNamespaces({ prefix: [root] })).namespaces,
};
await stranger.deleteItem([root, "notes"], "one");
told.still = await store.getItem([root, "notes"], "one");
await store.deleteItem([root, "notes"], "one");
told.gone = (await store.getItem([root, "notes"], "one")) ?? null;
console.log(JSON.stringify(told));
