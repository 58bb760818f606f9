-- When somebody proved that an account's e-mail address is theirs; NULL while nobody has.

ALTER TABLE account ADD COLUMN email_confirmed_at_ms BIGINT;
