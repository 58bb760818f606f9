-- Texts that start-up files made in the place of tokens of ours, by hash; `sealed` is the token. What ended is kept for a while without it.

CREATE TABLE stand_in (
    hash     BYTEA PRIMARY KEY,
    sealed   BYTEA NOT NULL,
    until_ms BIGINT NOT NULL
);
CREATE INDEX stand_in_until ON stand_in (until_ms);
