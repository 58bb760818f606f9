-- What Supabase's clients know of an account beside: a number, bans, strangers who stay, and a move to another address.

ALTER TABLE account ADD COLUMN phone TEXT;
ALTER TABLE account ADD COLUMN phone_confirmed_at_ms BIGINT;
ALTER TABLE account ADD COLUMN banned_until_ms BIGINT;
ALTER TABLE account ADD COLUMN anonymous SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN deleted_at_ms BIGINT;
ALTER TABLE account ADD COLUMN invited_at_ms BIGINT;
-- JSON; NULL while the account stays at its address.
ALTER TABLE account ADD COLUMN moving TEXT;
