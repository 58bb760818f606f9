// One file for LangGraph's JavaScript server and for Doorward: what somebody makes is theirs, and what they keep in the store stands under their name.
import { Auth, HTTPException } from "@langchain/langgraph-sdk/auth";

interface Made {
  metadata?: Record<string, unknown>;
  namespace?: string[];
}

export const auth = new Auth()
  .authenticate(async (request: Request) => {
    const [scheme, token] = (request.headers.get("authorization") ?? "").split(" ");
    if (scheme !== "Bearer" || !token?.startsWith("user-")) throw new HTTPException(401, { message: "Invalid token" });
    return { identity: token, permissions: [] as string[] };
  })
  .on("store", ({ value, user }) => {
    const asked = value as Made;
    asked.namespace = [user.identity, ...(asked.namespace ?? [])];
  })
  .on("*", ({ value, user }) => {
    const owner = { owner: user.identity };
    const made = value as Made;
    made.metadata = Object.assign(made.metadata ?? {}, owner);
    return owner;
  });
