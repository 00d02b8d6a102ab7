-- Failed attempts to sign in at accounts that do not exist: nobody's, so no activity of an organization, and made by anybody,
-- so only the newest are kept (control/api/person.c). What was typed is not here.
CREATE TABLE unknown_sign_in (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  address TEXT NOT NULL,
  user_agent TEXT NOT NULL,
  request_id TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
