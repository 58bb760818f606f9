-- Events on their way to webhooks.

CREATE TABLE delivery (
    webhook  TEXT NOT NULL,
    id       TEXT NOT NULL,
    event    TEXT NOT NULL,
    at_ms    BIGINT NOT NULL,
    body     TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    due_ms   BIGINT NOT NULL,
    PRIMARY KEY (webhook, id)
);
CREATE INDEX delivery_due ON delivery (webhook, due_ms);
CREATE INDEX delivery_at ON delivery (at_ms);
