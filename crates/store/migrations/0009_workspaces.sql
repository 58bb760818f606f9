-- Workspaces that stay when the last client leaves. `owner` is an owner key, which may be of somebody who is no account here.

CREATE TABLE workspace (
    id            TEXT PRIMARY KEY,
    name          TEXT NOT NULL,
    description   TEXT NOT NULL,
    owner         TEXT NOT NULL,
    owner_ids     TEXT NOT NULL,
    details       TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL
);
CREATE INDEX workspace_owner ON workspace (owner, id);
