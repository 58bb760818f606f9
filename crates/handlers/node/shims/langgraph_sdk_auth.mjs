// Stands for `@langchain/langgraph-sdk/auth` where the package is not installed: what handler files use of it (SDK 1.15 and 2.0.0).
import { STATUS_CODES } from "node:http";

export class HTTPException extends Error {
  constructor(status, options) {
    super(options?.message ?? STATUS_CODES[status] ?? "Unknown error", { cause: options?.cause });
    this.status = status;
    this.headers = options?.headers ?? {};
  }
}

export class Auth {
  "~handlerCache" = {};

  authenticate(callback) {
    this["~handlerCache"].authenticate = callback;
    return this;
  }

  on(event, callback) {
    const callbacks = (this["~handlerCache"].callbacks ??= {});
    for (const one of [event].flat()) callbacks[one] = callback;
    return this;
  }
}

export function isStudioUser(user) {
  return user.kind === "StudioUser" || user.identity === "langgraph-studio-user";
}
