-- Whoever finds threads by a label, as handlers do, finds them in the order of their changes: a page reads a page, however many bear it.
-- Other resources stand at 0.

ALTER TABLE label ADD COLUMN changed_at_ms BIGINT NOT NULL DEFAULT 0;
UPDATE label SET changed_at_ms = COALESCE((SELECT thread.updated_at_ms FROM thread WHERE thread.id = substr(label.resource, 8)), 0)
 WHERE resource LIKE 'thread:%';
DROP INDEX label_value;
CREATE INDEX label_value ON label (key, value, item, changed_at_ms, resource) WHERE length(key) <= 200 AND length(value) <= 200;

-- Where a thread stands is told by its newest run; the index alone says so.
DROP INDEX run_thread;
CREATE INDEX run_thread ON run (thread, id, status);
