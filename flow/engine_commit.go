package flow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
)

// commitState is what a run knows of the commit of one source. Every job of
// the source runs at the same one.
type commitState struct {
	sha     string
	asked   bool      // Resolve has been asked and did not know
	busy    bool      // Resolve, or the scout on its host, is finding out
	scout   *jobState // the first job, which runs without knowing
	waiting []*jobState
}

// commit returns the state of a source, whatever folder of it a job uses.
func (r *runner) commit(s Source) *commitState {
	key := Source{URL: s.URL, Ref: s.Ref}
	c := r.commits[key]
	if c == nil {
		c = &commitState{}
		if isCommit(s.Ref) {
			c.sha = s.Ref
		}
		r.commits[key] = c
	}
	return c
}

// isCommit reports whether a ref is an exact commit already.
func isCommit(ref string) bool {
	if len(ref) != 40 && len(ref) != 64 {
		return false
	}
	return strings.Trim(ref, "0123456789abcdef") == ""
}

// resolve asks Engine.Resolve in a worker.
func (r *runner) resolve(s Source, c *commitState) {
	if r.e.Resolve == nil {
		c.asked = true
		r.wakeSource(c)
		return
	}
	c.busy = true
	r.effects = append(r.effects, func() {
		r.worker(func() func() {
			ctx, cancel := context.WithTimeout(r.base, ResolveTimeout)
			defer cancel()
			sha, err := r.e.Resolve(ctx, s)
			return func() {
				if r.detached && err != nil {
					return // it was not given the time to know
				}
				c.busy, c.asked = false, true
				if err == nil && isCommit(sha) {
					r.resolved(s, sha)
				}
				r.wakeSource(c)
			}
		})
	})
}

// resolved fixes a source's commit for the rest of the run.
func (r *runner) resolved(s Source, sha string) {
	c := r.commit(s)
	if c.sha != "" || !isCommit(sha) {
		return
	}
	c.sha = sha
	r.emit(Event{Kind: CommitResolved, Source: s, Commit: sha})
	r.wakeSource(c)
}

// scoutEnded lets the next job be the scout, if this one was it and did not
// find out.
func (r *runner) scoutEnded(js *jobState) {
	if js.Source.Kind != SourceGit {
		return
	}
	if c := r.commit(js.Source); c.scout == js {
		c.scout, c.busy = nil, false
		r.wakeSource(c)
	}
}

// wakeSource gives those that waited for the commit their turn again: all of
// them when it is known, else the first as the scout.
func (r *runner) wakeSource(c *commitState) {
	waiting := c.waiting
	c.waiting = nil
	for _, js := range waiting {
		r.begun(js)
	}
}

var unsafeID = regexp.MustCompile(`[^a-z0-9]+`)

// attemptJobID derives the job-id of an attempt: readable, and unique over
// all runs, jobs and attempts.
func attemptJobID(run, key string, number int) string {
	sum := sha256.Sum256([]byte(key))
	slug := strings.Trim(unsafeID.ReplaceAllString(strings.ToLower(key), "-"), "-")
	if len(slug) > 32 {
		slug = slug[:32]
	}
	return run + "-" + slug + "-" + hex.EncodeToString(sum[:4]) + "." + strconv.Itoa(number)
}
