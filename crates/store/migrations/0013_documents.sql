-- What clients of the embedded agent server keep beside threads: items of its store, assistants, crons.

-- `place` and `name` say where a document stands: an item's namespace, each label with a '.' behind, and its key. `root` is the first label.
-- `sharing` tells apart documents of the same name that never see each other. `due_at_ms` is when an item ends or a cron runs next.
CREATE TABLE document (
    id            TEXT PRIMARY KEY,
    kind          TEXT NOT NULL,
    mount         TEXT NOT NULL,
    owner         TEXT NOT NULL,
    root          TEXT NOT NULL,
    place         TEXT NOT NULL,
    name          TEXT NOT NULL,
    sharing       TEXT NOT NULL,
    metadata      TEXT NOT NULL,
    body          TEXT NOT NULL,
    bytes         BIGINT NOT NULL,
    revision      BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    due_at_ms     BIGINT
);
CREATE UNIQUE INDEX document_name ON document (mount, kind, place, name, sharing);
CREATE INDEX document_owner ON document (mount, kind, owner, updated_at_ms);
CREATE INDEX document_root ON document (mount, kind, root, updated_at_ms);
CREATE INDEX document_bytes ON document (mount, kind, owner, bytes);
CREATE INDEX document_due ON document (kind, due_at_ms) WHERE due_at_ms IS NOT NULL;
