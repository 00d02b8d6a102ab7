-- password_hash '' = the identity provider is the only way in. totp_sealed: the authenticator's secret, sealed by the
-- signer's key; totp_pending: one that was shown and not yet confirmed; totp_step: the last time step whose code was used.
ALTER TABLE user ADD COLUMN totp_sealed TEXT;
ALTER TABLE user ADD COLUMN totp_pending TEXT;
ALTER TABLE user ADD COLUMN totp_step INTEGER NOT NULL DEFAULT 0;
-- issuer, a space, and the subject there.
ALTER TABLE user ADD COLUMN oidc_subject TEXT;
CREATE UNIQUE INDEX user_by_oidc_subject ON user (oidc_subject);

-- Of the cookie only the SHA-256 is here, in hex. seen_at: to the minute.
CREATE TABLE session (
  id TEXT PRIMARY KEY,
  token_hash TEXT NOT NULL UNIQUE,
  user_id TEXT NOT NULL REFERENCES user(id),
  method TEXT NOT NULL CHECK (method IN ('password', 'oidc', 'set-up', 'invitation')),
  second_factor INTEGER NOT NULL,
  address TEXT NOT NULL,
  user_agent TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX session_by_user ON session (user_id, created_at);
CREATE INDEX session_by_end ON session (expires_at);

-- Browsers from which an account has signed in: their attempts are counted apart, so that strangers cannot lock them out.
CREATE TABLE device (
  token_hash TEXT NOT NULL,
  user_id TEXT NOT NULL REFERENCES user(id),
  used_at INTEGER NOT NULL,
  PRIMARY KEY (user_id, token_hash)
) STRICT;

CREATE TABLE recovery_code (
  user_id TEXT NOT NULL REFERENCES user(id),
  hash TEXT NOT NULL,
  PRIMARY KEY (user_id, hash)
) STRICT;

-- A link with which an account is taken up or its password set anew; one an account.
CREATE TABLE set_up_link (
  user_id TEXT PRIMARY KEY REFERENCES user(id),
  token_hash TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
