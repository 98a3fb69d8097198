-- Hosts that have announced themselves. They prove who they are with a
-- credential of their own, of which this is the SHA-256 sum in hex.
CREATE TABLE members (
	pool       TEXT NOT NULL,
	name       TEXT NOT NULL,
	credential TEXT NOT NULL,
	lasting    BOOLEAN NOT NULL, -- it cannot join again by itself
	labels     TEXT NOT NULL DEFAULT '[]', -- JSON
	slots      BIGINT NOT NULL DEFAULT 0,
	version    TEXT NOT NULL DEFAULT '',
	draining   BOOLEAN NOT NULL DEFAULT FALSE,
	running    BIGINT NOT NULL DEFAULT 0,
	queued     BIGINT NOT NULL DEFAULT 0,
	joined_at  BIGINT NOT NULL,
	seen_at    BIGINT NOT NULL,
	PRIMARY KEY (pool, name)
);

-- Which replicas a member is connected to.
CREATE TABLE member_links (
	pool    TEXT NOT NULL,
	name    TEXT NOT NULL,
	replica TEXT NOT NULL,
	seen_at BIGINT NOT NULL,
	PRIMARY KEY (pool, name, replica)
);
CREATE INDEX member_links_replica ON member_links (replica);

-- One-time tokens that were used, and for which credential.
CREATE TABLE spent_tokens (
	id         TEXT PRIMARY KEY,
	credential TEXT NOT NULL,
	expires_at BIGINT NOT NULL
)
