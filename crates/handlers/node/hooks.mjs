// Where modules come from that no disk holds: ours by `doorward:` names, and what stands for a package that is not installed. Newer Nodes call
// the `Now` forms in the same thread, Node 20 the others in a thread of their own; which of the user's files were loaded is told through a port.
const OURS = "doorward:";
const STAND_FOR = { __proto__: null, "@langchain/langgraph-sdk/auth": "langgraph_sdk_auth", doorward: "doorward" };

/** `doorward:beside/PARENT/SPECIFIER`: what a file of the user's would import by that name. */
const BESIDE = "doorward:beside/";

let sources = new Map();
let told = null;

export function initialize(data) {
  sources = new Map(Object.entries(data.modules));
  told = data.told;
  // Ours alone would keep the thread of these hooks alive for nothing.
  told.unref();
}

function ours(name) {
  return { url: OURS + name, format: "module", shortCircuit: true };
}

/** What is installed comes first: only a package that is not there is stood for. */
function standing(specifier, error) {
  const name = STAND_FOR[specifier];
  if (name === undefined || (error?.code !== "ERR_MODULE_NOT_FOUND" && error?.code !== "MODULE_NOT_FOUND")) throw error;
  return ours(name);
}

function beside(specifier, context) {
  const [parentURL, wanted] = specifier.slice(BESIDE.length).split("/").map(decodeURIComponent);
  return [wanted, { ...context, parentURL }];
}

function sent(url) {
  const source = sources.get(url.slice(OURS.length));
  if (source === undefined) throw new Error(`there is no module ${url}`);
  return { format: "module", source, shortCircuit: true };
}

function tell(url) {
  if (url.startsWith("file:") && !url.includes("/node_modules/")) told.postMessage(url.split("?")[0]);
}

export async function resolve(specifier, context, next) {
  if (specifier.startsWith(BESIDE)) return next(...beside(specifier, context));
  if (specifier.startsWith(OURS)) return ours(specifier.slice(OURS.length));
  try {
    return await next(specifier, context);
  } catch (error) {
    return standing(specifier, error);
  }
}

export function resolveNow(specifier, context, next) {
  if (specifier.startsWith(BESIDE)) return next(...beside(specifier, context));
  if (specifier.startsWith(OURS)) return ours(specifier.slice(OURS.length));
  try {
    return next(specifier, context);
  } catch (error) {
    return standing(specifier, error);
  }
}

export async function load(url, context, next) {
  if (url.startsWith(OURS)) return sent(url);
  tell(url);
  return next(url, context);
}

export function loadNow(url, context, next) {
  if (url.startsWith(OURS)) return sent(url);
  tell(url);
  return next(url, context);
}
