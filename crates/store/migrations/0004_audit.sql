-- The audit log: one gapless, hash-chained sequence per node.

CREATE TABLE audit (
    node       TEXT NOT NULL,
    seq        BIGINT NOT NULL,
    at_ms      BIGINT NOT NULL,
    request    TEXT NOT NULL,
    mount      TEXT NOT NULL,
    action     TEXT NOT NULL,
    resource   TEXT,
    principal  TEXT NOT NULL,
    method     TEXT NOT NULL,
    credential TEXT,
    outcome    TEXT NOT NULL,
    reason     TEXT,
    address    TEXT,
    count      BIGINT NOT NULL,
    hash       TEXT NOT NULL,
    PRIMARY KEY (node, seq)
);
CREATE INDEX audit_at ON audit (at_ms);
CREATE INDEX audit_principal ON audit (principal, at_ms);
