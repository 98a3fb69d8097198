//go:build unix

package main

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cromt/cromt/bot/githubtest"
)

// failing is chain with a trigger on test: build succeeds, test fails.
func failing(s *appSite) string {
	return chain(s) + s.project("deploy", s.hosts[0], "    before: [{name: test}]\n    trigger: [pull_request]\n")
}

func newFailingSite(t *testing.T) (s *appSite, sha string, k githubtest.CheckRun) {
	t.Helper()
	s, sha = newPullSite(t, func(s *appSite) string {
		s.work(map[string]string{"deploy": "echo deploy >> " + s.dir + "/log\n"})
		return failing(s)
	})
	k = s.concluded("cromt", sha)
	if k.Conclusion != "failure" || !has(k, "rerun_failed") || !has(k, "rerun_all") {
		t.Fatalf("%+v", k)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "ok"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return s, sha, k
}

func TestServeButtonRerunFailed(t *testing.T) {
	t.Parallel()
	s, sha, k := newFailingSite(t)
	// Clicks that are nobody's who may, and of what is not ours.
	s.clickBy("stranger", k, "rerun_failed", nil)
	s.reply(1, "The click of `stranger`", "needs write permission")
	s.clickBy("octo", k, "rerun_failed", map[string]any{"app": map[string]any{"id": s.app + 1}})
	s.clickBy("octo", k, "rerun_failed", map[string]any{"external_id": "261129-000000-0123456789ab"})
	s.clickBy("octo", k, "explode", nil)
	s.settled()
	if got := s.ran(); got != "build test" {
		t.Errorf("ran %q", got)
	}
	s.click(k, "rerun_failed")
	s.click(k, "rerun_failed")
	again := s.concludedTimes(2, "cromt", sha)
	if again.Conclusion != "success" || again.ExternalID == k.ExternalID || has(again, "rerun_failed") {
		t.Errorf("%+v", again)
	}
	s.click(k, "rerun_failed") // the same click, delivered late once more
	s.settled()
	if got := s.ran(); got != "build deploy test test" {
		t.Errorf("ran %q", got)
	}
	s.click(again, "rerun_all")
	if all := s.concludedTimes(3, "cromt", sha); all.Conclusion != "success" {
		t.Errorf("%+v", all)
	}
	if got := s.ran(); got != "build build deploy deploy test test test" {
		t.Errorf("ran %q", got)
	}
}

// GitHub's own button beside a job runs its project again, and what needs it;
// that of the suite everything.
func TestServeButtonRerequested(t *testing.T) {
	t.Parallel()
	s, sha, _ := newFailingSite(t)
	s.click(s.concluded("cromt / test@hostB", sha), "")
	if k := s.concludedTimes(2, "cromt", sha); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	if got := s.ran(); got != "build deploy test test" {
		t.Errorf("ran %q", got)
	}
	if k := s.concludedTimes(2, "cromt / test@hostB", sha); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	suite := map[string]any{"action": "rerequested", "check_suite": map[string]any{"id": 5, "head_sha": sha, "app": map[string]any{"id": s.app}}}
	if code := s.deliver("check_suite", suite); code != http.StatusAccepted {
		t.Errorf("check_suite: %d", code)
	}
	if k := s.concludedTimes(3, "cromt", sha); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	s.deliver("check_suite", suite) // the same one once more
	s.settled()
	if got := s.ran(); got != "build build deploy deploy test test test" {
		t.Errorf("ran %q", got)
	}
}

func TestServeButtonCancel(t *testing.T) {
	t.Parallel()
	s, sha := newPullSite(t, func(s *appSite) string { return s.onPulls("echo run >> $DIR/log; sleep 300\n") })
	var k githubtest.CheckRun
	s.eventually("there is a button", func() bool {
		all := s.checks("cromt", sha)
		i := slices.IndexFunc(all, func(k githubtest.CheckRun) bool { return has(k, "cancel") })
		if i >= 0 {
			k = all[i]
		}
		return i >= 0 && s.ran() == "run run"
	})
	s.click(k, "rerun_all") // what has not ended is not repeated
	s.reply(1, "has not ended")
	s.click(k, "cancel")
	if k := s.concludedTimes(1, "cromt", sha); k.Conclusion != "cancelled" || !strings.Contains(k.Summary, "octo") {
		t.Errorf("%+v", k)
	}
}
