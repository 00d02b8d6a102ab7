-- What the control plane carries between people and data planes: requests, their approvals, pre-approvals, and what the
-- agents say of them. It decides nothing: the signatures in the documents count, and the agent checks them.
CREATE TABLE consent (
  infrastructure_id TEXT PRIMARY KEY REFERENCES infrastructure(id),
  generation INTEGER NOT NULL DEFAULT 0,
  policy TEXT,
  policy_digest TEXT,
  reported_at INTEGER,
  ledger_verifier TEXT,
  ledger_size INTEGER NOT NULL DEFAULT 0,
  ledger_note TEXT,
  ledger_at INTEGER,
  ledger_error TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE consent_request (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL REFERENCES organization(id),
  infrastructure_id TEXT NOT NULL REFERENCES infrastructure(id),
  document TEXT NOT NULL,
  digest TEXT NOT NULL,
  origin TEXT NOT NULL,
  state TEXT NOT NULL,
  why TEXT NOT NULL DEFAULT '',
  need_customer INTEGER NOT NULL DEFAULT 0,
  have_customer INTEGER NOT NULL DEFAULT 0,
  need_vendor INTEGER NOT NULL DEFAULT 0,
  have_vendor INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  not_after INTEGER NOT NULL
) STRICT;
CREATE INDEX consent_request_by_infrastructure ON consent_request (infrastructure_id, not_after);
CREATE TABLE consent_approval (
  id TEXT PRIMARY KEY,
  request_id TEXT NOT NULL REFERENCES consent_request(id),
  document TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX consent_approval_by_request ON consent_approval (request_id);
CREATE TABLE consent_preapproval (
  id TEXT PRIMARY KEY,
  infrastructure_id TEXT NOT NULL REFERENCES infrastructure(id),
  document TEXT NOT NULL,
  not_after INTEGER NOT NULL
) STRICT;
