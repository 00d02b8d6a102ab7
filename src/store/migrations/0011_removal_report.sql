-- What became of every resource that was ever made for an infrastructure. No references: it outlives the account's rows,
-- since it is the proof for who has left.
CREATE TABLE removal_report (
  infrastructure_id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL,
  report TEXT NOT NULL,
  made_at INTEGER NOT NULL
) STRICT;
