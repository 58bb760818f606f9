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
  // What letters open, with an operator's own client beside.
  async letters(auth) {
    const out = {};
    out.otp = plain(await auth.signInWithOtp({ email: given.email, options: { data: { name: "Ann" } } }));
    out.resend = plain(await auth.resend({ type: "signup", email: given.email }));
    out.phone = plain(await auth.signInWithOtp({ phone: "+41791234567" }));
    out.provider = plain(await auth.signInWithIdToken({ provider: "google", token: "x" }));
    return out;
  },
  async byToken(auth) {
    const out = {};
    out.verify = plain(await auth.verifyOtp({ token_hash: given.token, type: given.type }));
    out.nonce = plain(await auth.reauthenticate());
    out.identities = plain(await auth.getUserIdentities());
    out.factors = plain(await auth.mfa.listFactors());
    out.enroll = plain(await auth.mfa.enroll({ factorType: "totp" }));
    out.move = plain(await auth.updateUser({ email: given.other }));
    out.others = await auth.signOut({ scope: "others" }).then(({ error }) => ({ error }));
    return out;
  },
  async stranger(auth) {
    const out = {};
    out.in = plain(await auth.signInAnonymously({ options: { data: { cart: 1 } } }));
    out.claims = plain(await auth.getClaims());
    out.named = plain(await auth.updateUser({ email: given.email, password: given.password }));
    return out;
  },
  async administer() {
    const { admin } = client({ persistSession: false, headers: { apikey: given.key, Authorization: `Bearer ${given.key}` } });
    const out = {};
    out.made = plain(await admin.createUser({ email: given.email, password: given.password, email_confirm: true, phone: given.phone }));
    const { id } = out.made.data.user;
    out.got = plain(await admin.getUserById(id));
    out.listed = plain(await admin.listUsers({ page: 1, perPage: 1 }));
    out.changed = plain(await admin.updateUserById(id, { user_metadata: { name: "Bo" }, ban_duration: "1h" }));
    out.link = plain(await admin.generateLink({ type: "recovery", email: given.email }));
    out.unbanned = plain(await admin.updateUserById(id, { ban_duration: "none" }));
    out.moving = plain(await admin.generateLink({ type: "email_change_new", email: given.email, newEmail: given.other }));
    out.invited = plain(await admin.inviteUserByEmail(given.invited));
    out.soft = plain(await admin.deleteUser(id, true));
    out.gone = plain(await admin.deleteUser(out.invited.data.user.id));
    out.missing = plain(await admin.getUserById(out.invited.data.user.id));
    return out;
  },
  // A flow that begins in one process and ends in another: what the first stored is all that the second has.
  async beginFlow() {
    const auth = client({ flowType: "pkce" });
    const out = {};
    const options = { emailRedirectTo: given.to };
    if (given.how === "signUp") out.asked = plain(await auth.signUp({ email: given.email, password: given.password, options }));
    if (given.how === "otp") out.asked = plain(await auth.signInWithOtp({ email: given.email, options }));
    if (given.how === "recover") out.asked = plain(await auth.resetPasswordForEmail(given.email, { redirectTo: given.to }));
    if (given.how === "move") {
      out.login = plain(await auth.signInWithPassword({ email: given.email, password: given.password }));
      out.asked = plain(await auth.updateUser({ email: given.other }, options));
    }
    return { ...out, stored: [...memory] };
  },
  async endFlow() {
    for (const [name, value] of given.stored) memory.set(name, value);
    const auth = client({ flowType: "pkce" });
    const events = [];
    auth.onAuthStateChange((event) => events.push(event));
    const out = plain(await auth.exchangeCodeForSession(given.code));
    const again = plain(await auth.exchangeCodeForSession(given.code));
    return { ...out, events, again, user: plain(await auth.getUser()), changed: given.password && plain(await auth.updateUser({ password: given.password })) };
  },
  // What the other steps leave out: state of the client's own, and ways of logging in that wait.
  async rest(auth) {
    const out = {};
    out.initialize = await auth.initialize();
    const { session } = (await auth.signInWithPassword(given)).data;
    out.taken = plain(await client().setSession(session));
    out.kept = plain(await auth.getSession());
    await auth.startAutoRefresh();
    await auth.stopAutoRefresh();
    out.level = plain(await auth.mfa.getAuthenticatorAssuranceLevel());
    const factorId = "01901234-0000-7000-8000-000000000000";
    const { admin } = client({ persistSession: false, headers: { apikey: given.key, Authorization: `Bearer ${given.key}` } });
    out.factors = plain(await admin.mfa.listFactors({ userId: session.user.id }));
    out.refused = {
      sso: plain(await auth.signInWithSSO({ domain: "example.org" })),
      link: plain(await auth.linkIdentity({ provider: "google" })),
      unlink: plain(await auth.unlinkIdentity(session.user.identities[0])),
      challenge: plain(await auth.mfa.challenge({ factorId })),
      verify: plain(await auth.mfa.verify({ factorId, challengeId: factorId, code: "123456" })),
      both: plain(await auth.mfa.challengeAndVerify({ factorId, code: "123456" })),
      unenroll: plain(await auth.mfa.unenroll({ factorId })),
      web3: plain(await auth.signInWithWeb3({ chain: "ethereum", message: "x", signature: "0x00" })),
    };
    out.ended = plain(await admin.signOut(session.access_token, "global"));
    out.after = plain(await auth.getUser());
    await auth.dispose();
    return out;
  },
  // Every function that the client and its parts show.
  async methods(auth) {
    const parts = ["admin", "customProviders", "mfa", "oauth", "passkey", "recoveryCodes", "webauthn"];
    const walk = (part, path) => {
      const names = new Set();
      for (let from = part; from && from !== Object.prototype; from = Object.getPrototypeOf(from)) Object.getOwnPropertyNames(from).forEach((name) => names.add(name));
      return [...names].filter((name) => name !== "constructor" && !name.startsWith("_")).flatMap((name) => {
        if (typeof part[name] === "function") return [path + name];
        return parts.includes(name) && part[name] ? walk(part[name], `${path}${name}.`) : [];
      });
    };
    return walk(auth, "");
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
