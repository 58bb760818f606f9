// npm @supabase/auth-js, unmodified. Usage: auth.cjs URL KEY STEP JSON; prints one line of JSON.
const { AuthClient } = require("@supabase/auth-js");

const [url, key, step, text] = process.argv.slice(2);
const given = JSON.parse(text || "{}");
const memory = new Map();
const storage = {
  getItem: (name) => memory.get(name) ?? null,
  setItem: (name, value) => void memory.set(name, value),
  removeItem: (name) => void memory.delete(name),
};
const client = (more) =>
  new AuthClient({
    url, storage, persistSession: true, autoRefreshToken: false, detectSessionInUrl: false,
    headers: { apikey: key, Authorization: `Bearer ${key}` }, ...more,
  });
const plain = ({ data, error }) => ({
  data, error: error && { name: error.name, status: error.status, code: error.code, message: error.message, reasons: error.reasons },
});

const steps = {
  async signUp(auth) {
    return plain(await auth.signUp({ email: given.email, password: given.password, options: { data: { name: "Ann" } } }));
  },
  async verify(auth) {
    return plain(await auth.verifyOtp({ email: given.email, token: given.token, type: "email" }));
  },
  async life(auth) {
    const out = {};
    out.login = plain(await auth.signInWithPassword(given));
    out.user = plain(await auth.getUser());
    out.claims = plain(await auth.getClaims());
    out.update = plain(await auth.updateUser({ data: { name: "Bo" } }));
    out.refresh = plain(await auth.refreshSession());
    out.out = await auth.signOut().then(({ error }) => ({ error }));
    out.after = plain(await auth.getUser(out.refresh.data.session.access_token));
    return out;
  },
  async refusals(auth) {
    const out = {};
    out.weak = plain(await auth.signUp({ email: given.email, password: "short" }));
    out.wrong = plain(await auth.signInWithPassword({ email: given.email, password: "wrong password" }));
    out.otp = plain(await auth.verifyOtp({ email: given.email, token: "123456", type: "signup" }));
    out.junk = plain(await auth.getUser("a.b.c"));
    out.refresh = plain(await auth.refreshSession({ refresh_token: "junk" }));
    out.anonymous = plain(await auth.signInAnonymously());
    out.reset = plain(await auth.resetPasswordForEmail(given.email));
    return out;
  },
  // A page that is left open, or opened again, after the access token has expired: what the first run stored is all there is.
  async leave(auth) {
    const out = plain(await auth.signInWithPassword(given));
    return { stored: [...memory], error: out.error };
  },
  async comeBack() {
    const real = Date.now;
    Date.now = () => real() + given.later_ms;
    for (const [name, value] of given.stored) memory.set(name, value);
    const events = [];
    const auth = client({ autoRefreshToken: true });
    auth.onAuthStateChange((event) => events.push(event));
    const { data } = await auth.getSession();
    await auth.stopAutoRefresh();
    return { token: data.session?.access_token, events, user: plain(await auth.getUser()) };
  },
};

steps[step](client()).then(
  (out) => { console.log(JSON.stringify(out)); process.exit(0); },
  (error) => { console.error(error); process.exit(1); },
);
