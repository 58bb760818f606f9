// Loading a file of the user's, and saying in words what is wrong with it and where.
import { spawnSync } from "node:child_process";
import { readFileSync, realpathSync, statSync } from "node:fs";
import Module from "node:module";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { forTypeScript } from "doorward:typescript";
import * as doorward from "doorward:doorward";
import * as sdk from "doorward:langgraph_sdk_auth";

const STAND_FOR = new Map([["@langchain/langgraph-sdk/auth", sdk], ["doorward", doorward]]);
/** A file and a line in a stack or a message: `file:///a/b.mjs:3`, `/a/b.ts:3:5`. */
const PLACES = /(?:file:\/\/)?(\/[^\s:()"']+):(\d+)/g;

/** A file that cannot be used; `where` is a place in it. */
export class Broken extends Error {
  constructor(what, where = null) {
    super(what);
    this.where = where;
  }
}

/** The innermost line of the user's own that an error passed, as `file:line`. */
export function place(error, directory) {
  let stack;
  try {
    stack = typeof error?.stack === "string" ? error.stack : "";
  } catch {
    return null;
  }
  for (const [, file, line] of stack.slice(0, 1 << 16).matchAll(PLACES)) {
    const decoded = file.includes("%") ? fileURLToPath(`file://${file}`) : file;
    if (isOwn(decoded, directory)) return `${path.relative(directory, decoded)}:${line}`;
  }
  return null;
}

function isOwn(file, directory) {
  return file.startsWith(directory + path.sep) && !file.includes(`${path.sep}node_modules${path.sep}`);
}

/** The user's files that were loaded, to look whether they change. */
export function ownFiles(urls, directory) {
  const required = Object.keys(Module._cache);
  const imported = urls.map((url) => fileURLToPath(url));
  return [...new Set([...imported, ...required])].filter((file) => isOwn(file, directory)).sort();
}

/** The first line of a file with this text in quotes, as `file:line`. */
export function lineWith(text, file, directory) {
  let lines;
  try {
    lines = readFileSync(file, "utf8").split("\n");
  } catch {
    return null;
  }
  const at = lines.findIndex((line) => ["'", '"', "`"].some((quote) => line.includes(quote + text + quote)));
  return at < 0 ? null : `${path.relative(directory, file)}:${at + 1}`;
}

/** `./file.mjs:name` relative to the directory; without a name, what the file exports as its default. */
export async function loadTarget(target, directory, files) {
  const [given, name = "default"] = target.split(":");
  const within = realpathSync(directory);
  const file = path.resolve(within, given);
  if (!statSync(file, { throwIfNoEntry: false })?.isFile()) throw new Broken(`there is no ${given} in ${within}`);
  requireStandIns();
  await forTypeScript(file, Broken);
  let module;
  try {
    module = await import(pathToFileURL(realpathSync(file)));
  } catch (error) {
    throw failedToLoad(error, within, file, files);
  }
  if (name in module) return { value: module[name], file, directory: within };
  // What a file for `require` exports is the default of its module.
  const exported = module.default;
  if (typeof exported === "object" && exported !== null && Object.hasOwn(exported, name)) return { value: exported[name], file, directory: within };
  const names = Object.keys(module).filter((one) => one !== "module.exports");
  throw new Broken(`${given} exports no ${name}${names.length ? `; it exports ${names.join(", ")}` : ""}`);
}

/** `require` of what stands for a package; `import` has hooks for that. */
function requireStandIns() {
  const load = Module._load;
  Module._load = function standing(request, ...rest) {
    try {
      return load.call(this, request, ...rest);
    } catch (error) {
      const absent = error?.code === "MODULE_NOT_FOUND" && error.message.includes(`'${request}'`);
      if (absent && STAND_FOR.has(request)) return STAND_FOR.get(request);
      throw error;
    }
  };
}

function failedToLoad(error, directory, file, files) {
  const missing = /Cannot find (?:package|module) '([^']+)'(?: imported from (\S+))?/.exec(error?.message ?? "");
  if (missing && /MODULE_NOT_FOUND$/.test(error.code ?? "")) {
    const [, wanted, importer] = missing;
    const named = path.isAbsolute(wanted) ? `./${path.relative(directory, wanted)}` : wanted;
    const from = importer?.startsWith("file:") ? fileURLToPath(importer) : (importer ?? file);
    const what = path.isAbsolute(wanted) || wanted.startsWith(".") ? "is not there" : "is not installed beside it";
    const where = lineWith(named, from, directory) ?? lineWith(`./${path.basename(wanted)}`, from, directory) ?? place(error, directory);
    return new Broken(`it imports ${named}, which ${what}`, where);
  }
  // esbuild and tsx say it in an error of their own, several lines long.
  const [, untyped] = /ERROR: (.*)/.exec(error?.message ?? "") ?? [];
  if (error instanceof SyntaxError || untyped !== undefined) {
    return new Broken(`SyntaxError: ${untyped ?? error.message}`, place(error, directory) ?? syntaxPlace([file, ...files()], directory));
  }
  const said = error instanceof Error ? `${error.constructor.name}: ${error.message}` : `it throws ${typeof error}`;
  return new Broken(`it fails while it is loaded: ${said}`, place(error, directory));
}

/** Where the first file stands wrong that Node cannot read: the error of an import does not say. */
function syntaxPlace(files, directory) {
  for (const file of new Set(files)) {
    const checked = spawnSync(process.execPath, ["--check", file], { env: {}, encoding: "utf8", timeout: 10_000 });
    const where = checked.status === 1 ? place({ stack: checked.stderr }, directory) : null;
    if (where !== null) return where;
  }
  return null;
}
