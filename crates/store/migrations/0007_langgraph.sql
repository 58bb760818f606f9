-- What a surface keeps of a run's request, runs that wait for their turn, and finding resources by a label.

ALTER TABLE run ADD COLUMN details TEXT NOT NULL DEFAULT '{}';

DROP INDEX run_running;
CREATE INDEX run_unfinished ON run (id) WHERE status IN ('pending', 'running');

-- Labels that are short enough for an index of either database; queries for longer ones look at each resource.
CREATE INDEX label_value ON label (key, value, item, resource) WHERE length(key) <= 200 AND length(value) <= 200;
