-- By which of its attempts a delivery was last asked for; 0: by none.
ALTER TABLE redeliveries ADD COLUMN attempt BIGINT NOT NULL DEFAULT 0;
