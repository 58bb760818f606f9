// A thread beside user code that may block the event loop or take memory without end: whoever asks must be there, and the process within its bound.
const { writeSync } = require("node:fs");
const { workerData } = require("node:worker_threads");
const { parent, memory } = workerData;

function end() {
  try {
    process.kill(-process.pid, "SIGKILL");
  } catch {
    // It leads no group of its own.
  }
  process.kill(process.pid, "SIGKILL");
}

setInterval(() => {
  if (process.ppid !== parent) end();
  if (memory > 0 && process.memoryUsage.rss() > memory) {
    writeSync(2, `it holds more than ${Math.round(memory / 1048576)} MB of memory ([handlers] memory_mb) and is ended\n`);
    end();
  }
}, 100);
