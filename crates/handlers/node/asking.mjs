// `import … from "doorward"`: what a handler may ask Doorward itself. Its own hook is never among what answers, so asking cannot go in a circle.
import { createHash } from "node:crypto";

const LARGEST = 1 << 20;
const LONGEST_S = 86_400;
const waiting = new Map();
let asked = 0;
let write = null;

/** There is no answer: the question was refused, or Doorward is not ready. */
export class Unavailable extends Error {
  get name() {
    return "Unavailable";
  }
}

/** From here on questions can be asked. */
export function begin(writing) {
  write = writing;
}

/** Takes what Doorward answered. */
export function answered(frame) {
  const waits = waiting.get(frame.answered);
  waiting.delete(frame.answered);
  if (waits === undefined) return;
  if (Object.hasOwn(frame, "unavailable")) waits.reject(new Unavailable(frame.unavailable));
  else waits.resolve(frame.answer);
}

async function ask(name, given) {
  if (write === null) throw new Unavailable("Doorward is not ready yet; ask within a call");
  if (Buffer.byteLength(JSON.stringify(given)) > LARGEST) throw new Unavailable("the question is too large");
  const number = ++asked;
  const answer = new Promise((resolve, reject) => waiting.set(number, { resolve, reject }));
  write({ ask: name, with: given, number });
  return answer;
}

/**
 * Who an Authorization header is, by Doorward's own tokens and API keys and those of the issuers that the mount takes.
 *
 * An object with `subject`, `authority`, `roles`, `scopes` (null for no limit), `method`, `expires_at` (seconds, or null) and `claims`; null for a
 * header that lets nobody in. Rejects with `Unavailable` when that cannot be found out now.
 */
export async function identify(authorization) {
  if (authorization !== null && authorization !== undefined && typeof authorization !== "string") {
    throw new TypeError("authorization is the text of the header, or null");
  }
  return ask("identify", { authorization: authorization ?? null });
}

/**
 * Whether this is the first time in so many seconds that anybody asks about this key: true once, then false until they are over.
 *
 * For codes, links and nonces that may be used once, whichever process and mount they come to, in Python or here. The key is a text or bytes and
 * does not leave this process: a hash of it does. At most 86,400 seconds. Rejects with `Unavailable` when that cannot be told; whoever asks then
 * lets nobody in.
 */
export async function once(key, seconds) {
  if (typeof key !== "string" && !(key instanceof Uint8Array)) throw new TypeError("the key is a text or bytes");
  if (typeof seconds !== "number" || !(seconds > 0 && seconds <= LONGEST_S)) {
    throw new RangeError(`seconds is a number above 0 and at most ${LONGEST_S}`);
  }
  const name = createHash("sha256").update("doorward once\0").update(key).digest("hex");
  return (await ask("once", { name, seconds: Math.ceil(seconds) })) === true;
}
