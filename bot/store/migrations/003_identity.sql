-- GitHub's number of a repository, 0: not known. A name may come to be that of
-- another repository.
ALTER TABLE runs ADD COLUMN repo_id BIGINT NOT NULL DEFAULT 0;
ALTER TABLE repos ADD COLUMN repo_id BIGINT NOT NULL DEFAULT 0;
