// A handler's process: loads a file of the user's, says what it registers, and answers calls until the socket closes.
import { AsyncLocalStorage } from "node:async_hooks";
import { writeSync } from "node:fs";
import { inspect } from "node:util";
import { receiveMessageOnPort, Worker } from "node:worker_threads";

import * as asking from "doorward:asking";
import { copied, Frames, Invalid } from "doorward:frames";
import { load } from "doorward:langgraph";
import { Broken, ownFiles, place } from "doorward:loading";
import { Refuse } from "doorward:refusals";

const VERSION = 1;

/** Ends this process and what it started: it leads a group of its own. */
function endAll() {
  try {
    process.kill(-process.pid, "SIGKILL");
  } catch {
    // It leads none.
  }
  process.kill(process.pid, "SIGKILL");
}

/** Writes what went wrong to the log, whatever user code has made of the console. */
function complain(error) {
  let text;
  try {
    text = inspect(error);
  } catch {
    text = "an error that cannot be shown";
  }
  try {
    writeSync(2, `${text}\n`);
  } catch {
    // Nobody listens.
  }
}

/** What an error is called, and nothing of what it says: that may be a secret. */
function kindOf(error) {
  try {
    const name = error instanceof Error ? error.constructor.name : typeof error;
    return String(name).slice(0, 100) || "Error";
  } catch {
    return "Error";
  }
}

class Runner {
  /** Calls that have not come to an end, by number; `left` once nobody waits for the answer. */
  #open = new Map();
  /** Which call code runs for, also after it has waited. */
  #current = new AsyncLocalStorage();

  constructor(begin, descriptor) {
    this.directory = begin.directory;
    this.frames = new Frames(descriptor, (frame) => this.take(frame), endAll);
    this.functions = new Map();
    const stray = (error) => this.stray(error);
    process.on("uncaughtException", stray);
    process.on("unhandledRejection", stray);
  }

  take(frame) {
    if (Object.hasOwn(frame, "call")) this.begin(frame);
    else if (Object.hasOwn(frame, "ping")) this.frames.write({ pong: frame.ping });
    else if (Object.hasOwn(frame, "answered")) asking.answered(frame);
    else if (Object.hasOwn(frame, "cancel")) {
      const call = this.#open.get(frame.cancel);
      if (call !== undefined) call.left = true;
    }
  }

  begin(frame) {
    this.#open.set(frame.id, { left: false });
    this.#current.run(frame.id, () => this.call(frame));
  }

  async call({ id, call, with: given, then }) {
    try {
      const answer = await this.functions.get(call)(given ?? {});
      if (this.settle(id, { answer }) && then !== undefined) this.beginNext(then, answer);
    } catch (error) {
      this.settle(id, this.failed(error));
    }
  }

  /** The question behind one that was answered. It sees of the answer what Doorward does. */
  beginNext(then, answer) {
    const taken = copied(Object.fromEntries(then.take.map((name) => [name, answer[name]])));
    // A call of its own, as if it had come alone: what the first has set for its context is not the second's.
    this.#current.exit(() => this.begin({ ...then, with: { ...then.with, ...taken } }));
  }

  failed(error) {
    if (error instanceof Refuse) {
      return { refuse: { status: error.status, detail: error.detail, headers: error.headers } };
    }
    if (error instanceof Invalid) return { invalid: error.message };
    complain(error);
    const where = place(error, this.directory);
    return { fault: `${kindOf(error)}${where === null ? "" : ` at ${where}`}` };
  }

  /** The end of a call, once. Whether it was answered. */
  settle(id, said) {
    const call = this.#open.get(id);
    if (call === undefined) return false;
    this.#open.delete(id);
    if (call.left) {
      this.frames.write({ id, over: true });
      return false;
    }
    try {
      this.frames.write({ id, ...said });
      return Object.hasOwn(said, "answer");
    } catch (error) {
      this.frames.write({ id, invalid: error.message });
      return false;
    }
  }

  /** What is thrown where no call waits for it: a timer, an event, a promise that nobody awaits. Its call fails, and no other. */
  stray(error) {
    const number = this.#current.getStore();
    const said = this.failed(error);
    if (number !== undefined) this.settle(number, Object.hasOwn(said, "fault") ? said : { fault: kindOf(error) });
  }
}

export async function run(begin, descriptor, told) {
  const workerData = { parent: process.ppid, memory: begin.memory_bytes ?? 0 };
  // Before anything of the user's runs: also a file that hangs while it is loaded goes with whoever asked.
  new Worker(begin.modules.watch, { eval: true, workerData, env: {}, execArgv: [] }).unref();
  const runner = new Runner(begin, descriptor);
  let loaded;
  try {
    loaded = await load(begin.targets[0], begin.directory, () => {
      const urls = [];
      for (let one = receiveMessageOnPort(told); one !== undefined; one = receiveMessageOnPort(told)) urls.push(one.message);
      return ownFiles(urls, runner.directory);
    });
  } catch (error) {
    if (!(error instanceof Broken)) complain(error);
    const broken = error instanceof Broken ? error : new Broken(`it cannot be loaded: ${kindOf(error)}; the log has more`);
    await runner.frames.last({ broken: { what: broken.message, where: broken.where } });
    return process.exit(1);
  }
  runner.functions = loaded.functions;
  asking.begin((frame) => runner.frames.write(frame));
  runner.frames.write({ ready: VERSION, node: process.versions.node, registers: loaded.registers, by_authorization: false, files: loaded.files });
  return undefined;
}
