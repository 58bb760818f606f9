// The first lines of a handler's process in Node: the rest of our code comes over the socket, and nothing of it lies on a disk.
import { readSync, writeSync } from "node:fs";
import * as modules from "node:module";
import { MessageChannel } from "node:worker_threads";

const SOCKET = 3;

function whole(count) {
  const kept = Buffer.alloc(count);
  for (let at = 0; at < count; ) {
    const read = readSync(SOCKET, kept, at, count - at, null);
    if (read === 0) process.exit(0);
    at += read;
  }
  return kept;
}

function refuse(what) {
  const body = Buffer.from(JSON.stringify({ broken: { what, where: null } }));
  const size = Buffer.alloc(4);
  size.writeUInt32BE(body.length);
  writeSync(SOCKET, Buffer.concat([size, body]));
  process.exit(1);
}

const begin = JSON.parse(whole(whole(4).readUInt32BE()).toString());
if (Number.parseInt(process.versions.node, 10) < 20) {
  refuse(`${process.execPath} is Node ${process.versions.node}; handlers need Node 20 or newer`);
}
const hooks = `data:text/javascript,${encodeURIComponent(begin.modules.hooks)}`;
const { port1, port2 } = new MessageChannel();
port2.unref();
if (typeof modules.registerHooks === "function") {
  const { initialize, resolveNow, loadNow } = await import(hooks);
  initialize({ modules: begin.modules, told: port1 });
  port1.unref();
  modules.registerHooks({ resolve: resolveNow, load: loadNow });
} else {
  modules.register(hooks, { data: { modules: begin.modules, told: port1 }, transferList: [port1] });
}
const { run } = await import("doorward:runner");
await run(begin, SOCKET, port2);
