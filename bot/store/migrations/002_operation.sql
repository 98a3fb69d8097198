-- What is done now and then, by one replica at a time.
CREATE TABLE duties (
	name    TEXT PRIMARY KEY,
	owner   TEXT NOT NULL DEFAULT '', -- a replica
	fence   BIGINT NOT NULL DEFAULT 0,
	done_at BIGINT NOT NULL DEFAULT 0,
	note    TEXT NOT NULL DEFAULT '' -- what it goes on from
);

-- The repositories that the App is installed for, with their default branch.
CREATE TABLE repos (
	repo         TEXT PRIMARY KEY,
	installation BIGINT NOT NULL,
	branch       TEXT NOT NULL,
	since        BIGINT NOT NULL,
	sha          TEXT NOT NULL DEFAULT '', -- at which config was read
	config       {{blob}}, -- NULL: none
	read_at      BIGINT NOT NULL DEFAULT 0,
	pulls_at     BIGINT NOT NULL DEFAULT 0, -- when its pull requests were compared
	version      BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX repos_installation ON repos (installation);
CREATE INDEX repos_read ON repos (read_at);

CREATE TABLE schedules (
	repo    TEXT NOT NULL,
	project TEXT NOT NULL,
	crontab TEXT NOT NULL,
	since   BIGINT NOT NULL,
	due_at  BIGINT NOT NULL,
	PRIMARY KEY (repo, project)
);
CREATE INDEX schedules_due ON schedules (due_at);

-- Deliveries that GitHub was asked to send again.
CREATE TABLE redeliveries (
	guid     TEXT PRIMARY KEY,
	asks     BIGINT NOT NULL,
	asked_at BIGINT NOT NULL
);
CREATE INDEX redeliveries_asked ON redeliveries (asked_at);
