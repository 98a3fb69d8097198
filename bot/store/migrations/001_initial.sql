-- Times are microseconds since 1970, 0: none. The words in double
-- braces differ between the databases: see dialect.go.

CREATE TABLE replicas (
	id      TEXT PRIMARY KEY,
	seen_at BIGINT NOT NULL
);

CREATE TABLE deliveries (
	id           {{serial}},
	guid         TEXT NOT NULL UNIQUE,
	event        TEXT NOT NULL,
	action       TEXT NOT NULL,
	repo         TEXT NOT NULL,
	installation BIGINT NOT NULL,
	digest       TEXT, -- NULL: none
	payload      {{blob}} NOT NULL,
	received_at  BIGINT NOT NULL,
	state        TEXT NOT NULL,
	error        TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX deliveries_digest ON deliveries (digest) WHERE digest IS NOT NULL;
CREATE INDEX deliveries_received ON deliveries (received_at);

CREATE TABLE runs (
	id            TEXT PRIMARY KEY,
	key           TEXT NOT NULL UNIQUE,
	class         TEXT NOT NULL,
	repo          TEXT NOT NULL,
	installation  BIGINT NOT NULL,
	sha           TEXT NOT NULL,
	ref           TEXT NOT NULL,
	branch        TEXT NOT NULL,
	event         TEXT NOT NULL,
	pull          BIGINT NOT NULL,
	fork          BOOLEAN NOT NULL,
	sender        TEXT NOT NULL,
	title         TEXT NOT NULL,
	reason        TEXT NOT NULL,
	rerun_of      TEXT NOT NULL,
	state         TEXT NOT NULL,
	conclusion    TEXT NOT NULL DEFAULT '',
	created_at    BIGINT NOT NULL,
	started_at    BIGINT NOT NULL DEFAULT 0,
	completed_at  BIGINT NOT NULL DEFAULT 0,
	cancelled_by  TEXT NOT NULL DEFAULT '',
	superseded_by TEXT NOT NULL DEFAULT ''
);
CREATE INDEX runs_newest ON runs (created_at, id);
CREATE INDEX runs_repo ON runs (repo, created_at, id);
CREATE INDEX runs_branch ON runs (repo, branch, created_at, id);
CREATE INDEX runs_pull ON runs (repo, pull, created_at, id) WHERE pull > 0;
CREATE INDEX runs_sha ON runs (repo, sha);
CREATE INDEX runs_open ON runs (repo, id) WHERE state <> 'completed';
CREATE INDEX runs_completed ON runs (completed_at) WHERE state = 'completed';

-- What is large, and rarely read.
CREATE TABLE run_data (
	run         TEXT PRIMARY KEY,
	config_path TEXT NOT NULL,
	config      {{blob}} NOT NULL,
	roots       TEXT NOT NULL, -- JSON
	vars        TEXT NOT NULL, -- JSON
	fail_fast   BOOLEAN NOT NULL,
	timeout     BIGINT NOT NULL, -- microseconds
	kept        {{blob}}, -- JSON
	report      {{blob}}
);

-- What is small, and written with every change of a run.
CREATE TABLE leases (
	run     TEXT PRIMARY KEY,
	owner   TEXT NOT NULL DEFAULT '', -- a replica
	fence   BIGINT NOT NULL DEFAULT 0,
	changes BIGINT NOT NULL DEFAULT 0,
	job_id  BIGINT NOT NULL DEFAULT 0, -- of the queue
	woken   BOOLEAN NOT NULL DEFAULT FALSE -- while its work was at hand
);

CREATE TABLE events (
	id   {{serial}},
	run  TEXT NOT NULL,
	data {{blob}} NOT NULL -- a batch: one event a line
);
CREATE INDEX events_run ON events (run, id);

CREATE TABLE jobs (
	run          TEXT NOT NULL,
	job          TEXT NOT NULL,
	place        BIGINT NOT NULL, -- in the plan
	project      TEXT NOT NULL,
	title        TEXT NOT NULL,
	host         TEXT NOT NULL,
	label        TEXT NOT NULL,
	queue        TEXT NOT NULL,
	state        TEXT NOT NULL,
	conclusion   TEXT NOT NULL DEFAULT '',
	cause        TEXT NOT NULL DEFAULT '',
	error        TEXT NOT NULL DEFAULT '',
	sha          TEXT NOT NULL DEFAULT '',
	attempts     BIGINT NOT NULL DEFAULT 0,
	queued_at    BIGINT NOT NULL DEFAULT 0,
	started_at   BIGINT NOT NULL DEFAULT 0,
	completed_at BIGINT NOT NULL DEFAULT 0,
	PRIMARY KEY (run, job)
);

CREATE TABLE attempts (
	run          TEXT NOT NULL,
	job          TEXT NOT NULL,
	number       BIGINT NOT NULL,
	job_id       TEXT NOT NULL,
	state        TEXT NOT NULL,
	conclusion   TEXT NOT NULL DEFAULT '',
	cause        TEXT NOT NULL DEFAULT '',
	error        TEXT NOT NULL DEFAULT '',
	exit_code    BIGINT NOT NULL DEFAULT 0,
	queued_at    BIGINT NOT NULL,
	started_at   BIGINT NOT NULL DEFAULT 0,
	completed_at BIGINT NOT NULL DEFAULT 0,
	tail         {{blob}},
	PRIMARY KEY (run, job, number)
);

CREATE TABLE artifacts (
	run    TEXT NOT NULL,
	job    TEXT NOT NULL,
	file   TEXT NOT NULL,
	sha256 TEXT NOT NULL,
	bytes  BIGINT NOT NULL,
	host   TEXT NOT NULL,
	queue  TEXT NOT NULL,
	job_id TEXT NOT NULL,
	PRIMARY KEY (run, job, file)
);

CREATE TABLE logs (
	run     TEXT NOT NULL,
	job     TEXT NOT NULL,
	attempt BIGINT NOT NULL,
	start   BIGINT NOT NULL,
	bytes   BIGINT NOT NULL,
	lines   BIGINT NOT NULL, -- line ends in data
	data    {{blob}} NOT NULL,
	PRIMARY KEY (run, job, attempt, start)
);

CREATE TABLE checks (
	run         TEXT NOT NULL,
	external_id TEXT NOT NULL,
	check_id    BIGINT NOT NULL, -- 0: not created yet, or not known
	final       {{blob}},
	version     BIGINT NOT NULL DEFAULT 0, -- of final
	acked       BIGINT NOT NULL DEFAULT 0, -- the version that GitHub has
	PRIMARY KEY (run, external_id)
);
CREATE INDEX checks_unposted ON checks (run) WHERE acked < version;

CREATE TABLE approvals (
	repo TEXT NOT NULL,
	pull BIGINT NOT NULL,
	sha  TEXT NOT NULL,
	by_  TEXT NOT NULL,
	at   BIGINT NOT NULL,
	PRIMARY KEY (repo, pull, sha)
);

-- What is the head of a fork's pull request, and when that was told.
CREATE TABLE heads (
	repo TEXT NOT NULL,
	pull BIGINT NOT NULL,
	sha  TEXT NOT NULL,
	at   BIGINT NOT NULL,
	PRIMARY KEY (repo, pull)
);

CREATE TABLE ticks (
	repo    TEXT NOT NULL,
	project TEXT NOT NULL,
	tick    BIGINT NOT NULL,
	PRIMARY KEY (repo, project, tick)
);

CREATE TABLE hosts (
	url      TEXT PRIMARY KEY,
	ok_at    BIGINT NOT NULL DEFAULT 0,
	fail_at  BIGINT NOT NULL DEFAULT 0,
	failures BIGINT NOT NULL DEFAULT 0, -- since the last success
	error    TEXT NOT NULL DEFAULT '',
	version  TEXT NOT NULL DEFAULT '',
	queued   BIGINT NOT NULL DEFAULT 0,
	running  BIGINT NOT NULL DEFAULT 0,
	latency  BIGINT NOT NULL DEFAULT 0 -- microseconds
);
