// A front end on an origin of its own: app.html?supabase=URL&key=ANON&langgraph=URL. Everything goes through the published clients.
import { Client } from "@langchain/langgraph-sdk";
import { AuthClient } from "@supabase/auth-js";

const { supabase, key, langgraph } = Object.fromEntries(new URLSearchParams(location.search));
const auth = new AuthClient({ url: `${supabase}/auth/v1`, headers: { apikey: key, Authorization: `Bearer ${key}` } });
const at = (id) => document.getElementById(id);

/** A client that is whoever is signed in, or nobody. */
async function client() {
  const { data } = await auth.getSession();
  const token = data.session?.access_token;
  const defaultHeaders = token ? { Authorization: `Bearer ${token}` } : {};
  return new Client({ apiUrl: langgraph, apiKey: null, defaultHeaders, callerOptions: { maxRetries: 0 } });
}

/** Runs an act to its end: `status` is "busy" and then "done" or "failed", `error` says why. */
async function act(what) {
  for (const id of ["error", "answer", "state", "events"]) at(id).textContent = "";
  at("status").textContent = "busy";
  try {
    await what();
    at("status").textContent = "done";
  } catch (error) {
    at("error").textContent = [error.status, error.message].filter(Boolean).join(" ");
    at("status").textContent = "failed";
  }
}

function on(form, what) {
  at(form).addEventListener("submit", (event) => {
    event.preventDefault();
    act(() => what(Object.fromEntries(new FormData(event.target))));
  });
}

async function show(parts) {
  for await (const { id, event, data } of parts) {
    at("events").append(`${JSON.stringify({ id, event, data })}\n`);
    if (event === "messages") at("answer").append(data[0].content);
  }
}

async function showState(threads, thread) {
  const { values } = await threads.getState(thread);
  at("state").textContent = JSON.stringify(values.messages.map(({ type, content }) => [type, content]));
}

on("sign-in", async (given) => {
  const { error } = await auth.signInWithPassword(given);
  if (error) throw error;
});

on("ask", async ({ words }) => {
  const { runs, threads } = await client();
  const { thread_id: thread } = await threads.create();
  at("thread").textContent = thread;
  await show(runs.stream(thread, "agent", {
    input: { messages: [{ role: "user", content: words }] },
    streamMode: ["values", "messages-tuple"],
    streamResumable: true,
    // The SDK takes these from the answer's Content-Location.
    onRunCreated: ({ run_id, thread_id }) => { at("run").textContent = `${thread_id}/${run_id}`; },
  }));
  await showState(threads, thread);
});

on("open", async ({ thread }) => {
  const { threads } = await client();
  await threads.get(thread);
  await showState(threads, thread);
});

on("resume", async ({ after }) => {
  const { runs } = await client();
  await show(runs.joinStream(...at("run").textContent.split("/"), { lastEventId: after }));
});

at("sign-out").addEventListener("click", () => act(async () => {
  const { error } = await auth.signOut();
  if (error) throw error;
}));

auth.onAuthStateChange((_event, session) => {
  at("who").textContent = session ? `Signed in as ${session.user.email}` : "Signed out";
});
