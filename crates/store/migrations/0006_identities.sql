-- Who a provider says somebody is, and whose account that is.

CREATE TABLE identity (
    id              TEXT PRIMARY KEY,
    account         TEXT NOT NULL REFERENCES account (id),
    authority       TEXT NOT NULL,
    subject         TEXT NOT NULL,
    shown           TEXT,
    created_at_ms   BIGINT NOT NULL,
    last_used_at_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX identity_subject ON identity (authority, subject);
CREATE INDEX identity_account ON identity (account, id);
