// Requests without an end, of clients that retry nothing: over connections that are kept, over fresh ones, and over HTTP/2.
// `node load.mjs URL CERTIFICATE TOKEN PLAIN_URL`; a line on standard input asks how many were answered so far, its end ends the load.
// Each line of standard output is JSON: {"answered": {KIND: n}, "failed": [what], "moved": n}. A stream that HTTP/2 says was not processed "has not
// failed" (RFC 9113 §8.7) and goes to the next connection: nghttp2 refuses itself what it has not sent when it reads GOAWAY. Those are "moved".
import fs from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import readline from "node:readline";

const [url, certificate, token, plain] = process.argv.slice(2);
const ca = fs.readFileSync(certificate);
const headers = { authorization: `Bearer ${token}` };
const answered = { kept: 0, fresh: 0, http2: 0, plain: 0 };
const failed = [];
let moved = 0;
let going = true;

function one(module, target, options) {
  return new Promise((resolve, reject) => {
    const request = module.request(target, { ca, headers, ...options }, (answer) => {
      answer.resume();
      answer.on("end", () => (answer.statusCode === 200 ? resolve() : reject(new Error(`status ${answer.statusCode}`))));
      answer.on("error", reject);
    });
    request.on("error", reject);
    request.end();
  });
}

// Agents put a connection back only where the answer lets them.
const keeping = (module) => new module.Agent({ keepAlive: true, maxSockets: 1 });

let session;
function connected() {
  if (!session || session.closed || session.destroyed) {
    session = http2.connect(url, { ca });
    session.on("error", (error) => failed.push(`http2 session: ${error.message}`));
  }
  return session;
}

function stream() {
  return new Promise((resolve, reject) => {
    const asked = connected().request({ ":path": "/v1/me", ...headers });
    let status = 0;
    asked.on("response", (head) => (status = head[":status"]));
    asked.on("error", reject);
    asked.on("end", () => (status === 200 ? resolve() : reject(new Error(`status ${status}`))));
    asked.resume();
    asked.end();
  });
}

async function worker(kind, ask) {
  while (going) {
    try {
      await ask();
      answered[kind] += 1;
    } catch (error) {
      if (/NGHTTP2_REFUSED_STREAM/.test(error.message)) moved += 1;
      else failed.push(`${kind}: ${error.code ?? ""} ${error.message}`);
    }
  }
}

const me = `${url}/v1/me`;
const workers = [
  ...[keeping(https), keeping(https), keeping(https)].map((agent) => worker("kept", () => one(https, me, { agent }))),
  ...[0, 1].map(() => worker("fresh", () => one(https, me, { agent: false }))),
  ...[0, 1, 2, 3].map(() => worker("http2", stream)),
  ...[keeping(http)].map((agent) => worker("plain", () => one(http, plain, { agent }))),
];

const say = () => console.log(JSON.stringify({ answered, failed, moved }));
const asked = readline.createInterface({ input: process.stdin });
asked.on("line", say);
asked.on("close", async () => {
  going = false;
  await Promise.all(workers);
  say();
  process.exit(0);
});
