-- A look into a cloud account, asked for through the API and made by the controller. results: JSON, never a secret.
CREATE TABLE account_check (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES account(id),
  kind TEXT NOT NULL,
  region TEXT NOT NULL,
  cidr TEXT NOT NULL,
  state TEXT NOT NULL,
  results TEXT NOT NULL,
  error TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  finished_at INTEGER
) STRICT;
CREATE INDEX account_check_by_account ON account_check (account_id, created_at);

-- Who may apply an infrastructure's plan now. The epoch grows with each taking: a controller that was thought dead and
-- comes back finds that it is no longer its own.
CREATE TABLE infrastructure_lease (
  infrastructure_id TEXT PRIMARY KEY REFERENCES infrastructure(id),
  holder TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
