// npm hypha-rpc, unmodified, as one process. Usage: client.cjs URL STEP JSON; prints lines of JSON. Run with --experimental-websocket, which newer Nodes take for granted.
const { hyphaWebsocketClient } = require("hypha-rpc");

const [server_url, step, text] = process.argv.slice(2);
const given = JSON.parse(text || "{}");
const tell = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const enter = (more) => hyphaWebsocketClient.connectToServer({ server_url, token: given.token, transport: given.transport, ...more });

/** Until whoever started this closes its input. */
const dismissed = () => new Promise((resolve) => process.stdin.on("end", resolve).resume());

const plain = (value) => (value instanceof Uint8Array || value instanceof ArrayBuffer ? { bytes: Array.from(new Uint8Array(value)) } : value);

async function collected(generator) {
  const items = [];
  for await (const item of generator) items.push(item);
  return items;
}

const steps = {
  /** Offers a service until its input ends. */
  async serve() {
    const server = await enter({ client_id: "javascript" });
    await server.registerService({
      id: "mirror",
      name: "Mirror",
      config: { visibility: "protected", require_context: ["who"] },
      mirror: (value) => value,
      size: (value) => value.length ?? value.byteLength,
      bytes: (size) => new Uint8Array(size).fill(7),
      twice: async (callback, value) => [await callback(value), await callback(value)],
      count: async function* (end) {
        for (let number = 0; number < end; number += 1) yield number;
      },
      fail: (text) => {
        throw new Error(text);
      },
      who: (context) => ({ id: context.user.id, ws: context.ws, from: context.from, email: context.user.email }),
      nested: { deep: { add: (left, right) => left + right } },
    });
    tell({ ready: server.config.workspace });
    await dismissed();
    await server.disconnect();
  },

  /** Calls a Python provider in every way. */
  async call() {
    const server = await enter();
    const mirror = await server.getService(given.service);
    const out = {};
    const values = { nil: null, yes: true, number: 7, half: 0.5, text: "čaj 🍵", list: [1, [2]], map: { a: { b: [] } } };
    out.sent = values;
    out.mirrored = await mirror.mirror(values);
    out.bytes = plain(await mirror.mirror(new Uint8Array([0, 255, 7])));
    const large = new Uint8Array(given.large).fill(9);
    out.size = await mirror.size(large);
    const back = await mirror.mirror(large);
    out.large = back.length === large.length && back.every((byte) => byte === 9);
    out.twice = await mirror.twice((value) => value + 1, 20);
    out.count = await collected(await mirror.count(5));
    out.named = await mirror.named({ left: 1, right: 2, _rkwargs: true });
    out.who = await mirror.who();
    out.failure = await mirror.fail("on purpose").then(() => null, (error) => String(error));
    out.forged = await mirror.named({ left: 1, right: 2, context: { user: { id: "root" } }, _rkwargs: true }).then((value) => ({ value }), (error) => ({ error: String(error) }));
    tell(out);
    await server.disconnect();
  },

  /** One method of one service. */
  async ask() {
    const server = await enter();
    const service = await server.getService(given.service);
    tell(await service[given.method](...given.args).then((value) => ({ value }), (error) => ({ error: String(error) })));
    await server.disconnect();
  },

  /** Keeps things in the workspace of whoever's token it is. */
  async artifacts() {
    const server = await enter();
    const manager = await server.getService("public/artifact-manager");
    const refused = (promise) => promise.then(() => null, (error) => String(error));
    const out = {};
    out.missing = await refused(manager.read("from-js"));
    out.made = await manager.create({ alias: "from-js", type: "collection", manifest: { name: "JS", list: [1, 2] }, _rkwargs: true });
    out.read = await manager.read(out.made.id);
    await manager.create({ parent_id: out.made.id, alias: "child", manifest: { name: "child" }, _rkwargs: true });
    out.listed = (await manager.list(out.made.id)).map((one) => one.alias);
    out.edited = (await manager.edit({ artifact_id: "child", manifest: { name: "new" }, _rkwargs: true })).manifest;
    out.denied = await refused(manager.create({ workspace: "ws-user-root", alias: "x", manifest: { name: "x" }, _rkwargs: true }));
    out.gone = await manager.delete({ artifact_id: out.made.id, recursive: true, _rkwargs: true });
    tell(out);
    await server.disconnect();
  },

  async login() {
    const seen = [];
    const token = await hyphaWebsocketClient.login({
      server_url,
      transport: given.transport,
      login_timeout: given.timeout ?? 30,
      profile: given.profile ?? false,
      login_callback: (context) => {
        seen.push(context);
        tell({ login_url: context.login_url, key: context.key });
      },
    });
    tell({ token, times: seen.length });
  },

  async logout() {
    const seen = [];
    await hyphaWebsocketClient.logout({ server_url, transport: given.transport, logout_callback: (context) => seen.push(context.logout_url) });
    tell({ seen });
  },

  async enter() {
    const server = await enter();
    tell({ workspace: server.config.workspace, user: server.config.user.id });
    await server.disconnect();
  },
};

steps[step]().then(
  () => process.exit(0),
  (error) => {
    tell({ error: String(error?.message ?? error) });
    process.exit(0);
  },
);
