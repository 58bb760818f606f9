-- What is kept in workspaces, what is noted of them, and who else may be in one.

ALTER TABLE workspace ADD COLUMN members TEXT NOT NULL DEFAULT '{}';

-- `parent` is an alias in the same workspace, or ''. `bytes` is how much manifest and config take.
CREATE TABLE artifact (
    workspace     TEXT NOT NULL,
    alias         TEXT NOT NULL,
    parent        TEXT NOT NULL,
    id            TEXT NOT NULL,
    kind          TEXT NOT NULL,
    manifest      TEXT NOT NULL,
    config        TEXT NOT NULL,
    remark        TEXT NOT NULL,
    created_by    TEXT NOT NULL,
    maker         TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    changed_at_ms BIGINT NOT NULL,
    revision      BIGINT NOT NULL,
    views         BIGINT NOT NULL,
    bytes         BIGINT NOT NULL,
    PRIMARY KEY (workspace, alias)
);
CREATE UNIQUE INDEX artifact_id ON artifact (id);
CREATE INDEX artifact_parent ON artifact (workspace, parent, id);
CREATE INDEX artifact_bytes ON artifact (workspace, bytes);

CREATE TABLE note (
    workspace TEXT NOT NULL,
    kind      TEXT NOT NULL,
    name      TEXT NOT NULL,
    value     BYTEA NOT NULL,
    PRIMARY KEY (workspace, kind, name)
);
