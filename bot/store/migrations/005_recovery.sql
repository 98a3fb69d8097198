-- By which of its attempts a delivery was last asked for; 0: by none.
ALTER TABLE redeliveries ADD COLUMN attempt BIGINT NOT NULL DEFAULT 0;
-- The advisory lock that a replica holds while it lives; 0: none.
ALTER TABLE replicas ADD COLUMN lock_key BIGINT NOT NULL DEFAULT 0;
