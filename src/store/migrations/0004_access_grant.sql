-- What the control plane knows of an engineer's access: where it leads and when it ends. Whether it is allowed at all,
-- the data plane decides by the customer's signatures. id: of the consent request. device_key: Ed25519, hex.
CREATE TABLE access_grant (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organization(id),
  infrastructure_id TEXT NOT NULL REFERENCES infrastructure(id),
  device_key TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  revoked_at INTEGER,
  revoked_by TEXT,
  ended_at INTEGER
) STRICT;
CREATE INDEX access_grant_by_organization ON access_grant (organization_id, created_at);
