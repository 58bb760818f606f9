-- An owner's threads in the order that lists show them, those that changed last first: a page reads a page, however many the owner has.

CREATE INDEX thread_owner_changed ON thread (mount, owner, updated_at_ms, id);
