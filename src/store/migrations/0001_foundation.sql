-- Times are milliseconds since 1970 UTC. Identifiers are lower-case UUIDs. JSON columns hold one object or array.

-- config: what the API stores and echoes beside the columns (privateEndpoints, enableCoreDumps).
CREATE TABLE organization (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  config TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE user (
  id TEXT PRIMARY KEY,
  email TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE member (
  organization_id TEXT NOT NULL REFERENCES organization(id),
  user_id TEXT NOT NULL REFERENCES user(id),
  role TEXT NOT NULL,
  joined_at INTEGER NOT NULL,
  PRIMARY KEY (organization_id, user_id)
) STRICT;

-- Of both halves of Basic authentication (key id and secret, each random) only the SHA-256 is here, in hex.
CREATE TABLE api_key (
  id TEXT PRIMARY KEY,
  key_id_hash TEXT NOT NULL UNIQUE,
  organization_id TEXT NOT NULL REFERENCES organization(id),
  name TEXT NOT NULL,
  secret_hash TEXT NOT NULL,
  suffix TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('enabled', 'disabled')),
  roles TEXT NOT NULL,
  ip_access_list TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expire_at INTEGER,
  used_at INTEGER
) STRICT;

CREATE TABLE account (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organization(id),
  name TEXT NOT NULL,
  provider TEXT NOT NULL,
  config TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  UNIQUE (organization_id, name)
) STRICT;

-- state: the published byocConfig states. want: what the user asked for last.
CREATE TABLE infrastructure (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organization(id),
  account_id TEXT NOT NULL REFERENCES account(id),
  name TEXT NOT NULL,
  display_name TEXT NOT NULL,
  provider TEXT NOT NULL,
  region TEXT NOT NULL,
  cidr TEXT NOT NULL,
  zones TEXT NOT NULL,
  domain TEXT NOT NULL,
  config TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('infra-provisioning', 'infra-ready', 'infra-terminated')),
  want TEXT NOT NULL CHECK (want IN ('present', 'absent')),
  delete_data INTEGER NOT NULL DEFAULT 0,
  error TEXT NOT NULL DEFAULT '',
  created_at INTEGER NOT NULL,
  UNIQUE (account_id, name)
) STRICT;

-- A plan is immutable but for its state; document is canonical JSON and digest its SHA-256.
CREATE TABLE plan (
  id TEXT PRIMARY KEY,
  infrastructure_id TEXT NOT NULL REFERENCES infrastructure(id),
  kind TEXT NOT NULL CHECK (kind IN ('apply', 'destroy')),
  state TEXT NOT NULL CHECK (state IN ('proposed', 'approved', 'applying', 'applied', 'failed', 'superseded', 'discarded')),
  digest TEXT NOT NULL,
  document TEXT NOT NULL,
  error TEXT NOT NULL DEFAULT '',
  created_at INTEGER NOT NULL,
  approved_at INTEGER,
  approved_by TEXT,
  finished_at INTEGER
) STRICT;
CREATE INDEX plan_by_infrastructure ON plan (infrastructure_id, created_at);

-- One row before a step acts (phase 'begin') and one after ('done' or 'failed').
CREATE TABLE journal (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  plan_id TEXT NOT NULL REFERENCES plan(id),
  infrastructure_id TEXT NOT NULL,
  resource TEXT NOT NULL,
  action TEXT NOT NULL,
  phase TEXT NOT NULL CHECK (phase IN ('begin', 'done', 'failed')),
  token TEXT NOT NULL,
  detail TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT;
CREATE INDEX journal_by_plan ON journal (plan_id, seq);

CREATE TABLE resource (
  infrastructure_id TEXT NOT NULL REFERENCES infrastructure(id),
  type TEXT NOT NULL,
  name TEXT NOT NULL,
  attributes TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (infrastructure_id, type, name)
) STRICT;

CREATE TABLE enrolment_token (
  hash TEXT PRIMARY KEY,
  infrastructure_id TEXT NOT NULL REFERENCES infrastructure(id),
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used_at INTEGER,
  agent_id TEXT
) STRICT;

CREATE TABLE agent (
  id TEXT PRIMARY KEY,
  infrastructure_id TEXT NOT NULL REFERENCES infrastructure(id),
  name TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('enrolled', 'revoked')),
  version TEXT NOT NULL DEFAULT '',
  spki TEXT NOT NULL,
  certificate_not_after INTEGER NOT NULL,
  enrolled_at INTEGER NOT NULL,
  connected_since INTEGER,
  last_seen INTEGER,
  round_trip_us INTEGER,
  address TEXT NOT NULL DEFAULT ''
) STRICT;

-- state: the published service states. want: what the user asked for. spec: what the API stores and echoes.
CREATE TABLE service (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organization(id),
  infrastructure_id TEXT NOT NULL REFERENCES infrastructure(id),
  name TEXT NOT NULL,
  slug TEXT NOT NULL,
  ordinal INTEGER NOT NULL,
  state TEXT NOT NULL,
  want TEXT NOT NULL CHECK (want IN ('running', 'stopped', 'deleted')),
  delete_data INTEGER NOT NULL DEFAULT 0,
  spec TEXT NOT NULL,
  password_sha256 TEXT NOT NULL,
  password_double_sha1 TEXT NOT NULL DEFAULT '',
  generation INTEGER NOT NULL DEFAULT 1,
  observed TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  UNIQUE (infrastructure_id, slug),
  UNIQUE (infrastructure_id, ordinal)
) STRICT;
CREATE INDEX service_by_organization ON service (organization_id, created_at);

CREATE TABLE desired_document (
  infrastructure_id TEXT PRIMARY KEY REFERENCES infrastructure(id),
  version INTEGER NOT NULL,
  body TEXT NOT NULL,
  content_digest TEXT NOT NULL,
  signature TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE observed (
  infrastructure_id TEXT PRIMARY KEY REFERENCES infrastructure(id),
  agent_id TEXT NOT NULL,
  desired_version INTEGER NOT NULL,
  body TEXT NOT NULL,
  received_at INTEGER NOT NULL
) STRICT;

-- seq orders what happened within one millisecond. details: JSON, never a secret.
CREATE TABLE activity (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  organization_id TEXT NOT NULL,
  type TEXT NOT NULL,
  actor_type TEXT NOT NULL,
  actor_id TEXT NOT NULL,
  actor_details TEXT NOT NULL,
  actor_address TEXT NOT NULL,
  user_agent TEXT NOT NULL DEFAULT '',
  service_id TEXT,
  infrastructure_id TEXT,
  details TEXT NOT NULL,
  request_id TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX activity_by_organization ON activity (organization_id, created_at);

-- The answer to a create that carried an Idempotency-Key, without its secrets. scope: who asked and for what.
CREATE TABLE idempotency (
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  request_digest TEXT NOT NULL,
  answer TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (scope, key)
) STRICT;
CREATE INDEX idempotency_by_age ON idempotency (created_at);
