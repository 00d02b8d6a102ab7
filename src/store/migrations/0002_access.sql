-- Custom roles. policies: a JSON array of {id, allowDeny, permissions, resources, tags}.
CREATE TABLE custom_role (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organization(id),
  name TEXT NOT NULL,
  policies TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  UNIQUE (organization_id, name)
) STRICT;

-- A member may have several roles now: a JSON array of their ids, as an API key has it.
ALTER TABLE member RENAME COLUMN role TO roles;
UPDATE member SET roles = '["' || roles || '"]';
