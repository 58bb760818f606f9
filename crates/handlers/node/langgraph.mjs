// LangGraph's custom auth in JavaScript: a file that makes an `Auth` of `@langchain/langgraph-sdk/auth` (SDK 1.15 and 2.0.0), asked as
// @langchain/langgraph-api 1.5.1 does.
import { Broken, lineWith, loadTarget } from "doorward:loading";
import { Refuse } from "doorward:refusals";

const RESOURCES = {
  threads: ["create", "read", "update", "delete", "search", "create_run"],
  assistants: ["create", "read", "update", "delete", "search"],
  crons: ["create", "read", "update", "delete", "search"],
  store: ["put", "get", "search", "delete", "list_namespaces"],
};
const PAIRS = Object.entries(RESOURCES).flatMap(([resource, actions]) => actions.map((action) => [resource, action]));
const KNOWN = new Set(["*", ...Object.keys(RESOURCES), ...PAIRS.flatMap(([resource, action]) => [`*:${action}`, `${resource}:${action}`])]);
const SHAPE = "a string, or an object with identity";
/** A host as a URL has it; what else a client writes there must not become a part of the path. */
const HOST = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;
/** Deeper filters than this are none. */
const DEEPEST = 16;

export async function load(target, given, files) {
  const { value: auth, file, directory } = await loadTarget(target, given, files);
  const cache = typeof auth === "object" && auth !== null ? auth["~handlerCache"] : undefined;
  if (typeof cache !== "object" || cache === null) {
    throw new Broken(`${target} is ${kindOf(auth)}, not an Auth of @langchain/langgraph-sdk/auth`);
  }
  const callbacks = new Map(Object.entries(cache.callbacks ?? {}));
  if (cache.authenticate === undefined && callbacks.size === 0) {
    throw new Broken(`${target} registers nothing: use .authenticate(…) and .on(…)`);
  }
  if (cache.authenticate === undefined) throw new Broken(`${target} lets nobody in: it registers no .authenticate(…)`);
  if (typeof cache.authenticate !== "function") throw new Broken(`authenticate is given ${kindOf(cache.authenticate)}, and takes a function`);
  for (const [event, callback] of callbacks) {
    const where = lineWith(event, file, directory);
    // The platform never calls such a handler: whoever wrote it believes that it guards something.
    if (!KNOWN.has(event)) throw new Broken(`there is no event ${JSON.stringify(event)}; write it like "threads", "threads:create", "*:search" or "*"`, where);
    if (typeof callback !== "function") throw new Broken(`on(${JSON.stringify(event)}) is given ${kindOf(callback)}, and takes a function`, where);
  }
  const functions = new Map([["authenticate", authenticating(cache.authenticate)], ["authorize", authorizing(callbacks)]]);
  return { functions, registers: registers(callbacks), files: files() };
}

function registers(callbacks) {
  const named = [...callbacks.keys()].filter((event) => event !== "*");
  const told = named.map((event) => `on ${event.includes(":") ? event.replace(":", ".") : `${event}.*`}`);
  if (callbacks.has("*")) told.push("on everything else");
  const uncovered = PAIRS.filter(([resource, action]) => handlerFor(callbacks, resource, action) === undefined);
  if (uncovered.length > 0) told.push(`not covered: ${uncovered.map((pair) => pair.join(".")).join(", ")}`);
  return ["authenticate(request)", ...told];
}

/** One handler: the exact event, the resource, the action, everything. */
function handlerFor(callbacks, resource, action) {
  const event = [`${resource}:${action}`, resource, `*:${action}`, "*"].find((one) => callbacks.has(one));
  return callbacks.get(event);
}

function authenticating(callback) {
  return async (given) => {
    const request = requestOf(given);
    let said;
    try {
      said = await callback(request);
    } catch (error) {
      throw refusal(error);
    }
    return identified(said);
  };
}

/** The request that a call is about. There is no body. */
function requestOf({ method, path, query, headers }) {
  const named = headers.find(([name]) => name === "host")?.[1];
  const rest = path.replaceAll("?", "%3F").replaceAll("#", "%23") + (query ? `?${query.replaceAll("#", "%23")}` : "");
  try {
    return new Request(urlOf(named, rest), { method, headers });
  } catch {
    // Methods that the class does not take, and bytes that are no text of HTTP.
    const request = new Request(urlOf(named, rest), { headers: headers.filter(([, value]) => /^[\t\x20-\x7e\x80-\xff]*$/.test(value)) });
    return Object.defineProperty(request, "method", { value: method });
  }
}

function urlOf(named, rest) {
  const host = named !== undefined && HOST.test(named) ? named : "localhost";
  const url = `http://${host}${rest}`;
  return URL.canParse(url) ? url : `http://localhost${rest}`;
}

/** What has a status and headers is a refusal, as on the platform; everything else is the handler's own trouble. */
function refusal(error) {
  if (typeof error !== "object" || error === null || !("status" in error && "headers" in error)) return error;
  const detail = typeof error.message === "string" && error.message !== "" ? error.message : "Unauthorized";
  let headers = [];
  try {
    headers = [...new Headers(error.headers ?? {})];
  } catch {
    // It is refused all the same, without them.
  }
  return new Refuse(error.status, detail, headers);
}

function identified(said) {
  if (typeof said === "string" && said !== "") {
    return { user: { permissions: [], identity: said, display_name: said, is_authenticated: true }, permissions: [] };
  }
  const named = typeof said === "object" && said !== null && Object.hasOwn(said, "identity") ? said.identity : undefined;
  if (typeof named !== "string" || named === "") {
    throw new Refuse(500, `authenticate returned ${kindOf(said)}${typeof said === "object" && said !== null ? " without identity" : ""}; expected ${SHAPE}`);
  }
  const permissions = Array.isArray(said.permissions) ? said.permissions : [];
  return {
    user: { ...said, permissions, is_authenticated: said.is_authenticated ?? true, display_name: said.display_name ?? named },
    permissions: permissions.map(String),
  };
}

function authorizing(callbacks) {
  return async ({ user, permissions, resource, action, value }) => {
    const handler = handlerFor(callbacks, resource, action);
    if (handler === undefined) return { covered: false };
    let said;
    try {
      said = await handler({ event: `${resource}:${action}`, resource, action, value, permissions: permissions ?? [], user });
    } catch (error) {
      throw refusal(error);
    }
    if (said === undefined || said === null || said === true || said === 1) return { covered: true, value };
    if (said === false) throw new Refuse(403, "Forbidden");
    if (!isPlain(said)) {
      throw new Refuse(500, `Auth handler returned invalid result. Expected filter object, null, undefined or boolean. Got "${kindOf(said)}" instead.`);
    }
    const wrong = noJson(said, "", 0);
    // JSON would leave it out, and a filter that asks for nothing lets everything through.
    if (wrong !== null) throw new Refuse(500, `Auth handler returned invalid result. Its filter holds ${wrong}, which nothing can be compared with.`);
    return { covered: true, value, filter: said };
  };
}

function isPlain(value) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const above = Object.getPrototypeOf(value);
  return above === null || above === Object.prototype;
}

/** What in a filter is no JSON, and where; `null` when all of it is. */
function noJson(value, at, depth) {
  if (value === null || typeof value === "string" || typeof value === "boolean" || Number.isFinite(value)) return null;
  if (depth > DEEPEST) return `more than ${DEEPEST} levels`;
  if (!Array.isArray(value) && !isPlain(value)) return `${kindOf(value)} at ${at || "its top"}`;
  for (const [key, item] of Array.isArray(value) ? Array.from(value, (item, index) => [index, item]) : Object.entries(value)) {
    const wrong = noJson(item, at ? `${at}.${key}` : String(key), depth + 1);
    if (wrong !== null) return wrong;
  }
  return null;
}

/** What a value is, for people. */
function kindOf(value) {
  if (value === null) return "null";
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (typeof value !== "object") return typeof value;
  return Array.isArray(value) ? "array" : (Object.getPrototypeOf(value)?.constructor?.name ?? "object").toLowerCase();
}
