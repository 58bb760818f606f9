/** The handler's own refusal. */
export class Refuse extends Error {
  constructor(status, detail, headers = []) {
    super("refused");
    this.status = status;
    // Handlers quote what callers send; half of a surrogate pair is no text.
    this.detail = String(detail).toWellFormed();
    this.headers = headers;
  }
}
