-- Who there is, and what they may present.
-- Vocabulary: TEXT, BIGINT, SMALLINT, BYTEA, DOUBLE PRECISION; times in integer milliseconds; JSON is opaque TEXT.

CREATE TABLE account (
    id             TEXT PRIMARY KEY,
    username       TEXT,
    email          TEXT,
    display_name   TEXT,
    roles          TEXT NOT NULL,
    user_metadata  TEXT NOT NULL,
    admin_metadata TEXT NOT NULL,
    disabled       SMALLINT NOT NULL,
    created_at_ms  BIGINT NOT NULL,
    updated_at_ms  BIGINT NOT NULL,
    version        BIGINT NOT NULL
);

-- Every name an account can log in by. One table for e-mail addresses and user names, so that nobody can take
-- somebody else's address as a user name.
CREATE TABLE login (
    name    TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES account (id)
);
CREATE INDEX login_account ON login (account);

CREATE TABLE account_role (
    role    TEXT NOT NULL,
    account TEXT NOT NULL REFERENCES account (id),
    PRIMARY KEY (role, account)
);
CREATE INDEX account_role_account ON account_role (account);

CREATE TABLE password (
    account       TEXT PRIMARY KEY REFERENCES account (id),
    phc           TEXT NOT NULL,
    changed_at_ms BIGINT NOT NULL
);

CREATE TABLE session (
    id              TEXT PRIMARY KEY,
    account         TEXT NOT NULL REFERENCES account (id),
    mount           TEXT NOT NULL,
    source          TEXT,
    device          TEXT,
    address         TEXT,
    user_agent      TEXT,
    created_at_ms   BIGINT NOT NULL,
    last_seen_at_ms BIGINT NOT NULL,
    idle_limit_ms   BIGINT NOT NULL,
    expires_at_ms   BIGINT NOT NULL,
    ended_at_ms     BIGINT
);
CREATE INDEX session_account ON session (account, id);

CREATE TABLE api_key (
    id              TEXT PRIMARY KEY,
    account         TEXT NOT NULL REFERENCES account (id),
    kind            TEXT NOT NULL,
    name            TEXT NOT NULL,
    scopes          TEXT NOT NULL,
    hint            TEXT NOT NULL,
    mac             BYTEA NOT NULL,
    created_at_ms   BIGINT NOT NULL,
    expires_at_ms   BIGINT,
    last_used_at_ms BIGINT,
    revoked_at_ms   BIGINT
);
CREATE UNIQUE INDEX api_key_mac ON api_key (mac);
CREATE INDEX api_key_account ON api_key (account, id);
