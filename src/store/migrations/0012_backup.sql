-- Backups of services, as their agents tell of them: identifiers, times, sizes and outcomes, never what is in them.
-- state: asked (by a user; no agent has begun yet), in_progress, done, error. base: what an incremental one builds on, ''
-- for a full one. drill: '' (not tried), passed, failed. Rows outlive their service, as the backups do.
CREATE TABLE backup (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organization(id),
  infrastructure_id TEXT NOT NULL REFERENCES infrastructure(id),
  service_id TEXT NOT NULL,
  state TEXT NOT NULL,
  base TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  finished_at INTEGER,
  bytes INTEGER NOT NULL,
  drill TEXT NOT NULL,
  error TEXT NOT NULL
) STRICT;
CREATE INDEX backup_by_service ON backup (service_id, started_at);
CREATE INDEX backup_by_infrastructure ON backup (infrastructure_id, state);
