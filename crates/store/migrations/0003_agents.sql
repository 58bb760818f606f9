-- The embedded agent server's resources, their labels, and who owns what an upstream keeps.

CREATE TABLE thread (
    id            TEXT PRIMARY KEY,
    mount         TEXT NOT NULL,
    owner         TEXT NOT NULL,
    name          TEXT,
    metadata      TEXT NOT NULL,
    state         TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL
);
CREATE INDEX thread_mount ON thread (mount, id);
CREATE INDEX thread_owner ON thread (mount, owner, id);

-- What filters see of a resource beside its owner. `item` is '' for a single value, else the place in a list.
CREATE TABLE label (
    resource TEXT NOT NULL,
    key      TEXT NOT NULL,
    item     TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (resource, key, item)
);

CREATE TABLE message (
    thread        TEXT NOT NULL REFERENCES thread (id),
    id            TEXT NOT NULL,
    role          TEXT NOT NULL,
    content       TEXT NOT NULL,
    metadata      TEXT NOT NULL,
    run           TEXT,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (thread, id)
);

CREATE TABLE run (
    id             TEXT PRIMARY KEY,
    thread         TEXT NOT NULL REFERENCES thread (id),
    status         TEXT NOT NULL,
    error          TEXT,
    created_at_ms  BIGINT NOT NULL,
    finished_at_ms BIGINT
);
CREATE INDEX run_thread ON run (thread, id);
CREATE INDEX run_running ON run (id) WHERE status = 'running';

CREATE TABLE ownership (
    mount         TEXT NOT NULL,
    resource      TEXT NOT NULL,
    id            TEXT NOT NULL,
    owner         TEXT NOT NULL,
    claimed_at_ms BIGINT NOT NULL,
    PRIMARY KEY (mount, resource, id)
);
CREATE INDEX ownership_owner ON ownership (mount, resource, owner, claimed_at_ms);
