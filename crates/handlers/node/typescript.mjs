// TypeScript is run by what the user's project has for it. Nothing of ours rewrites anybody's code.
import { createRequire, register } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const TYPESCRIPT = new Set([".ts", ".mts", ".cts"]);
/** Packages that can, the platform's own choice first; each with what of it is asked for. */
const TOOLS = [["tsx", "tsx/esm/api"], ["esbuild", "esbuild"], ["typescript", "typescript"]];

/** Makes ready for a file, or throws `Broken` with what to install. */
export async function forTypeScript(file, Broken) {
  if (!TYPESCRIPT.has(path.extname(file))) return;
  const project = createRequire(file);
  for (const [name, entry] of TOOLS) {
    const found = resolved(project, entry);
    // Node strips types by itself from 22.18 on; only what can do more comes before that.
    if (found === null || (name !== "tsx" && process.features.typescript)) continue;
    if (name === "tsx") return void (await withTsx(file, project));
    if (path.extname(file) !== ".cts") return void withTool(name, found);
  }
  if (process.features.typescript) return;
  throw new Broken(
    `${path.basename(file)} is TypeScript, which Node ${process.versions.node} does not run: install tsx beside it (npm install --save-dev tsx), ` +
      "compile it and name the .js file, or use Node 22.18 or newer",
  );
}

function resolved(project, entry) {
  try {
    return project.resolve(entry);
  } catch {
    return null;
  }
}

async function withTsx(file, project) {
  // As the file itself would import it: what `require` finds is another build, which cannot find its own parts from here.
  const { register: begin } = await import(`doorward:beside/${encodeURIComponent(pathToFileURL(file).href)}/${encodeURIComponent("tsx/esm/api")}`);
  begin();
  const forRequire = resolved(project, "tsx/cjs/api");
  if (forRequire !== null) project(forRequire).register();
}

/** Types are taken out file by file as they are loaded, by the project's own compiler. */
function withTool(name, found) {
  const hook = `data:text/javascript,${encodeURIComponent(HOOK)}`;
  register(hook, { data: { name, url: pathToFileURL(found).href } });
}

const HOOK = `
import { fileURLToPath } from "node:url";

let tool, name;

export async function initialize(data) {
  name = data.name;
  const module = await import(data.url);
  tool = module.default ?? module;
}

/** A .ts file is imported as the .js that it will be. */
export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (error) {
    const source = specifier.replace(/\\.(m?)js$/, ".$1ts");
    if (error?.code !== "ERR_MODULE_NOT_FOUND" || source === specifier) throw error;
    return next(source, context);
  }
}

export async function load(url, context, next) {
  const path = url.split("?")[0];
  if (!path.startsWith("file:") || !/\\.m?ts$/.test(path)) return next(url, context);
  const text = Buffer.from((await next(url, { ...context, format: "module" })).source).toString();
  if (name === "esbuild") {
    const made = await tool.transform(text, { loader: "ts", format: "esm", target: "es2022", sourcemap: "inline", sourcefile: fileURLToPath(path) });
    return { format: "module", source: made.code, shortCircuit: true };
  }
  const { ModuleKind, ScriptTarget } = tool;
  const compilerOptions = { module: ModuleKind.ESNext, target: ScriptTarget.ES2022, inlineSourceMap: true };
  const made = tool.transpileModule(text, { compilerOptions, fileName: fileURLToPath(path), reportDiagnostics: true });
  const wrong = made.diagnostics?.[0];
  if (wrong) {
    const { line } = wrong.file.getLineAndCharacterOfPosition(wrong.start);
    throw new SyntaxError(tool.flattenDiagnosticMessageText(wrong.messageText, " ") + " (" + fileURLToPath(path) + ":" + (line + 1) + ")");
  }
  return { format: "module", source: made.outputText, shortCircuit: true };
}
`;
