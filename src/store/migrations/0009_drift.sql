-- What in the world differs from what was settled, and what somebody has decided of it. An accepted row says, for good,
-- that the world's values are the wanted ones; its neighbour without `accepted` is what differs beside it. why, needs and
-- needed_by: JSON. digest names what was looked at when somebody decided.
CREATE TABLE drift (
  id TEXT PRIMARY KEY,
  infrastructure_id TEXT NOT NULL REFERENCES infrastructure(id),
  resource TEXT NOT NULL,
  accepted INTEGER NOT NULL DEFAULT 0,
  action TEXT NOT NULL CHECK (action IN ('create', 'change', 'replace')),
  why TEXT NOT NULL,
  destroys_data INTEGER NOT NULL,
  needs TEXT NOT NULL,
  needed_by TEXT NOT NULL,
  digest TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'accepted', 'ignored', 'reverting')),
  until INTEGER,
  decided_at INTEGER,
  decided_by TEXT,
  seen_at INTEGER NOT NULL,
  UNIQUE (infrastructure_id, resource, accepted)
) STRICT;

-- settled: digest of what was wanted when all last was so; only against that is a difference drift, else it is work.
ALTER TABLE infrastructure ADD COLUMN settled TEXT NOT NULL DEFAULT '';
ALTER TABLE infrastructure ADD COLUMN drift_checked_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE infrastructure ADD COLUMN drift_asked_at INTEGER NOT NULL DEFAULT 0;
