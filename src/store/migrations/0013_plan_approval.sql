-- Signatures of the customer's approvers on plans: kept as evidence, and counted where the customer's policy asks for them.
CREATE TABLE plan_approval (
  id TEXT PRIMARY KEY,
  plan_id TEXT NOT NULL REFERENCES plan(id),
  document TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX plan_approval_by_plan ON plan_approval (plan_id);
