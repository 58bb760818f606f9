// JSON with its length before it, both ways (handler protocol, version 1).
import net from "node:net";

// Taken before user code runs: what it does to the global objects is not done to the frames.
const { parse, stringify } = JSON;
const byteLength = Buffer.byteLength;
export const LARGEST = 16 << 20;
/** How long an answer is kept for others to go with it, in milliseconds. */
const TOGETHER_MS = 1;

/** An answer that the platform does not know what to make of; the text is for the log. */
export class Invalid extends Error {}

export class Frames {
  #socket;
  #kept = Buffer.alloc(0);
  /** Answers that go out together: what the calls of one wake-up came to. `null` between wake-ups. */
  #together = null;
  #since = 0;

  /** `taken` is given each frame, in a turn of the event loop of its own; `over` is called when nothing more comes. */
  constructor(descriptor, taken, over) {
    this.#socket = new net.Socket({ fd: descriptor, readable: true, writable: true });
    this.#socket.on("data", (part) => this.#arrived(part, taken));
    this.#socket.on("error", over).on("close", over);
  }

  #arrived(part, taken) {
    const bytes = this.#kept.length ? Buffer.concat([this.#kept, part]) : part;
    const frames = [];
    let at = 0;
    while (bytes.length - at >= 4) {
      const end = at + 4 + bytes.readUInt32BE(at);
      if (bytes.length < end) break;
      frames.push(parse(bytes.toString("utf8", at + 4, end)));
      at = end;
    }
    this.#kept = bytes.subarray(at);
    if (frames.length === 1) return taken(frames[0]);
    if (frames.length === 0) return undefined;
    // Each with what it leads to before the next: whoever was answered does not wait for a call that blocks the loop.
    this.#together ??= [];
    for (const frame of frames) {
      setImmediate(() => {
        if (performance.now() - this.#since > TOGETHER_MS) this.#flush();
        taken(frame);
      });
    }
    setImmediate(() => {
      this.#flush();
      this.#together = null;
    });
    return undefined;
  }

  #flush() {
    if (this.#together?.length) this.#socket.write(Buffer.concat(this.#together));
    if (this.#together) this.#together = [];
    this.#since = performance.now();
  }

  /** Throws `Invalid` for what is no JSON or too large. */
  write(frame) {
    const bytes = bytesOf(frame);
    if (this.#together) this.#together.push(bytes);
    else this.#socket.write(bytes);
  }

  /** Writes, and answers once everything is out. */
  async last(frame) {
    await new Promise((done) => this.#socket.write(bytesOf(frame), done));
  }
}

/** What Doorward sees of a value: JSON, and nothing that user code still holds. */
export function copied(value) {
  return parse(stringify(value));
}

function bytesOf(frame) {
  let body;
  try {
    body = stringify(frame);
  } catch (error) {
    // BigInt, circles, depth without end, a `toJSON` that throws.
    throw new Invalid(`the answer is no JSON: ${error instanceof Error ? error.message.split("\n")[0] : "it cannot be written"}`);
  }
  const size = byteLength(body);
  if (size > LARGEST) throw new Invalid(`the answer is larger than ${LARGEST} bytes`);
  const bytes = Buffer.allocUnsafe(4 + size);
  bytes.writeUInt32BE(size);
  bytes.write(body, 4);
  return bytes;
}
