package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/tomtit"
)

// triggerLoop starts the builds for which the time has come, or a commit.
func (a *Agent) triggerLoop() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		select {
		case <-a.quit:
			stop()
		case <-ctx.Done():
		}
	}()
	polls := scmPolls{}
	minute := time.Now().Truncate(time.Minute)
	for {
		next := minute.Add(time.Minute)
		scan := time.NewTimer(min(scmPause, max(0, time.Until(next))))
		select {
		case <-scan.C:
		case <-a.quit:
			scan.Stop()
			return
		}
		// Polls may have taken longer than a minute. What was missed while the
		// machine slept is not made up for.
		now := time.Now().Truncate(time.Minute)
		if now.Sub(minute) > cronPatience {
			minute = now.Add(-time.Minute)
		}
		for minute.Before(now) {
			minute = minute.Add(time.Minute)
			a.startCron(ctx, minute)
		}
		a.pollAll(ctx, polls)
	}
}

// eachFolder calls do for every project with a sparky.yaml that can be read.
func (a *Agent) eachFolder(do func(*projectFolder)) {
	names, err := a.folderNames()
	if err != nil {
		a.log.Warn("project folders", "error", err)
	}
	for _, name := range names {
		p, err := a.readFolder(name)
		if err != nil {
			a.log.Info("project folder", "error", err) // its page says so, too
			continue
		}
		if !p.Disabled {
			do(p)
		}
	}
}

// startCron starts the projects whose crontab names the minute. The job-ids
// follow from it, so that a restart starts nothing twice.
func (a *Agent) startCron(ctx context.Context, minute time.Time) {
	a.eachFolder(func(p *projectFolder) {
		if p.Crontab == "" || !isDue(p.Crontab, minute) {
			return
		}
		_, err := a.start(ctx, p, build{
			id:          "cron." + hashOf(p.name) + "." + minute.UTC().Format("200601021504"),
			description: "triggered by cron", by: "cron",
		})
		if err != nil {
			a.log.Warn("crontab", "project", p.name, "error", err)
		}
	})
}

// isDue reports whether the crontab names the minute, in its time zone.
func isDue(crontab string, minute time.Time) bool {
	// NextTime reads crontabs in UTC: the same wall clock there.
	wall := time.Date(minute.Year(), minute.Month(), minute.Day(), minute.Hour(), minute.Minute(), 0, 0, time.UTC)
	return flow.NextTime(crontab, wall.Add(-time.Second)).Equal(wall)
}

// nextCron returns when the crontab comes next, in the time zone of now.
func nextCron(crontab string, now time.Time) time.Time {
	wall := time.Date(now.Year(), now.Month(), now.Day(), now.Hour(), now.Minute(), now.Second(), 0, time.UTC)
	next := flow.NextTime(crontab, wall)
	if next.IsZero() {
		return next
	}
	return time.Date(next.Year(), next.Month(), next.Day(), next.Hour(), next.Minute(), 0, 0, now.Location())
}

// hashOf shortens a name to what any job-id may hold.
func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:6])
}

// scmPolls is when each project's repository is asked next, and how often in
// a row that has failed.
type scmPolls map[string]*scmPoll

type scmPoll struct {
	next  time.Time
	fails int
}

func (a *Agent) pollAll(ctx context.Context, polls scmPolls) {
	slots := make(chan struct{}, scmParallel)
	a.eachFolder(func(p *projectFolder) {
		if p.SCM == nil || ctx.Err() != nil {
			return
		}
		poll := polls[p.name]
		if poll == nil {
			poll = &scmPoll{}
			polls[p.name] = poll
		}
		if time.Now().Before(poll.next) {
			return
		}
		slots <- struct{}{}
		a.tasks.Go(func() {
			defer func() { <-slots }()
			err := a.pollSCM(ctx, p)
			pause := scmPause
			if err != nil && ctx.Err() == nil {
				if old, _ := a.trouble.Swap(p.name, err.Error()); old != err.Error() {
					a.log.Warn("scm", "project", p.name, "error", err)
				}
				poll.fails = min(poll.fails+1, 10)
				pause = min(scmPause<<poll.fails, scmMaxPause)
			} else {
				poll.fails = 0
				a.trouble.Delete(p.name)
			}
			poll.next = time.Now().Add(pause)
		})
	})
	for range cap(slots) { // until all have ended
		slots <- struct{}{}
	}
}

// lastCommit is what is known of a project's branch, in ROOT/scm/NAME.json.
type lastCommit struct {
	URL    string `json:"url"`
	Branch string `json:"branch"`
	Commit string `json:"commit"`
	N      int    `json:"n"` // commits seen so far
}

// pollSCM starts a build when the branch has another commit than last time.
// The job-id follows from the commit and its number, so that an agent that
// dies before it has noted the commit starts nothing twice.
func (a *Agent) pollSCM(ctx context.Context, p *projectFolder) error {
	path := filepath.Join(a.cfg.Root, dirSCM, p.name+".json")
	var last lastCommit
	if data, err := readRegular(path, maxSettings); err == nil {
		if err := json.Unmarshal(data, &last); err != nil {
			return fmt.Errorf("%s: %w; remove it", path, err)
		}
	} else if !os.IsNotExist(err) {
		return err
	}
	commit, err := a.headOf(ctx, p.SCM)
	if err != nil {
		return err
	}
	now := lastCommit{p.SCM.URL, p.SCM.Branch, commit, last.N}
	if now == last {
		return nil
	}
	now.N++
	short := commit[:8]
	_, err = a.start(ctx, p, build{
		id:          fmt.Sprintf("scm.%s.%d.%s", hashOf(p.name), now.N, short),
		description: fmt.Sprintf("run by scm %s [%s]", p.SCM.Branch, short), by: "scm",
		tags: map[string]string{"SCM_SHA": short, "SCM_URL": p.SCM.URL, "SCM_BRANCH": p.SCM.Branch},
	})
	if err != nil {
		return err
	}
	data, err := json.Marshal(now)
	if err != nil {
		return err
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// headOf asks the repository for the branch's commit.
func (a *Agent) headOf(ctx context.Context, s *scm) (string, error) {
	ctx, stop := context.WithTimeout(ctx, scmTimeout)
	defer stop()
	cmd := exec.Command("git", "-c", "protocol.ext.allow=never", "ls-remote", "--quiet", "--heads", "--", s.URL, "refs/heads/"+s.Branch) //nolint:noctx // tomtit.Exec ends the whole tree, not git alone
	cmd.Dir, cmd.Env = a.cfg.Root, a.env.git
	out, said := &limitedBuffer{}, &lastLines{}
	cmd.Stdout, cmd.Stderr = out, teeLast{io.Discard, said}
	if err := tomtit.Exec(ctx, cmd, time.Second); err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %s", scmTimeout)
		}
		return "", fmt.Errorf("git ls-remote %s: %w", s.URL, said.explain(err))
	}
	commit, _, _ := bytes.Cut(out.buf, []byte("\t"))
	if !isCommit(string(commit)) {
		return "", fmt.Errorf("git ls-remote %s: no branch %s", s.URL, s.Branch)
	}
	return string(commit), nil
}

// limitedBuffer keeps the beginning of what a program prints.
type limitedBuffer struct{ buf []byte }

func (l *limitedBuffer) Write(p []byte) (int, error) {
	l.buf = append(l.buf, p[:min(len(p), maxErrorLine-len(l.buf))]...)
	return len(p), nil
}

// keepBuilds returns how many builds of the project are kept.
func (a *Agent) keepBuilds(project string) int {
	if !sparky.ProjectName.MatchString(project) {
		return a.cfg.KeepBuilds
	}
	if p, err := a.readFolder(project); err == nil && p.KeepBuilds > 0 {
		return p.KeepBuilds
	}
	return a.cfg.KeepBuilds
}
