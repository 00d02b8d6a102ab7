-- What the agent said last of a release of its own: digest of it, so that each becomes one activity.
ALTER TABLE infrastructure ADD COLUMN agent_release TEXT NOT NULL DEFAULT '';
