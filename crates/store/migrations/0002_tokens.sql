-- Signing keys, refresh families, revocations, one-time codes and the change feed.

-- One row per purpose: its primary key decides which of two processes made the first key.
CREATE TABLE key_purpose (
    purpose TEXT PRIMARY KEY
);

CREATE TABLE sealed_key (
    id            TEXT PRIMARY KEY,
    purpose       TEXT NOT NULL REFERENCES key_purpose (purpose),
    algorithm     TEXT NOT NULL,
    sealed        BYTEA NOT NULL,
    created_at_ms BIGINT NOT NULL,
    retired_at_ms BIGINT
);
CREATE INDEX sealed_key_purpose ON sealed_key (purpose, created_at_ms, id);

CREATE TABLE family (
    id             TEXT PRIMARY KEY,
    account        TEXT NOT NULL REFERENCES account (id),
    session        TEXT NOT NULL,
    client         TEXT NOT NULL,
    scope          TEXT,
    counter        BIGINT NOT NULL,
    advanced_at_ms BIGINT NOT NULL,
    expires_at_ms  BIGINT NOT NULL,
    ends_at_ms     BIGINT NOT NULL,
    ended_at_ms    BIGINT
);
CREATE INDEX family_account ON family (account);
CREATE INDEX family_session ON family (session);

CREATE TABLE revocation (
    kind     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    at_ms    BIGINT NOT NULL,
    until_ms BIGINT NOT NULL,
    PRIMARY KEY (kind, subject)
);
CREATE INDEX revocation_until ON revocation (until_ms);

CREATE TABLE code (
    purpose       TEXT NOT NULL,
    hash          BYTEA NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    PRIMARY KEY (purpose, hash)
);
CREATE INDEX code_expires ON code (expires_at_ms);

-- `at_ms` and `until_ms` are those of the revocation that a row tells of.
CREATE TABLE changes (
    seq      BIGINT PRIMARY KEY,
    kind     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    at_ms    BIGINT,
    until_ms BIGINT
);
