-- The JSON that the customer signs, as the engineer's device sent it.
ALTER TABLE access_grant ADD COLUMN request TEXT NOT NULL DEFAULT '{}';
