package trigger_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/trigger"
)

// TestKeys: the form never changes, and no two causes have one key.
func TestKeys(t *testing.T) {
	sha := strings.Repeat("ab", 20)
	tick := time.Date(2026, 5, 1, 12, 0, 0, 0, time.FixedZone("", 7200))
	for got, want := range map[string]string{
		trigger.CodeKey("Owner/Repo", strings.ToUpper(sha), trigger.Digest(nil)): "code:owner%2Frepo:" + sha + ":e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		trigger.MergeGroupKey("o/r", sha):                                        "merge:o%2Fr:" + sha,
		trigger.CommentKey("o/r", "issue_comment", 12, 3):                        "comment:o%2Fr:issue_comment:12:3",
		trigger.ScheduleKey("o/r", "Build.x", tick):                              "schedule:o%2Fr:Build.x:2026-05-01T10%3A00%3A00Z",
		trigger.RerunKey("run-1", "check_run/7/rerun_all"):                       "rerun:run-1:check_run%2F7%2Frerun_all",
		trigger.RerunKey("a:b\n", "c%3Ad é"):                                     "rerun:a%3Ab%0A:c%253Ad%20%C3%A9",
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	// Every kind over parts that try to run into one another.
	parts := []string{"", "a", "b", ":", "a:", ":a", "a:b", "%3A", "a%3Ab", "a/b", "code", "code:a", "1", "1:2", "\n"}
	seen := map[string]string{}
	add := func(key, cause string) {
		if before, ok := seen[key]; ok && before != cause {
			t.Errorf("%s: of %s and of %s", key, before, cause)
		}
		seen[key] = cause
		if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > 0x7e }) {
			t.Errorf("%q is not one line of ASCII", key)
		}
	}
	for _, a := range parts {
		for _, b := range parts {
			add(trigger.MergeGroupKey(a, b), fmt.Sprintf("merge %q %q", a, b))
			add(trigger.RerunKey(a, b), fmt.Sprintf("rerun %q %q", a, b))
			for i, c := range parts {
				add(trigger.CodeKey(a, b, c), fmt.Sprintf("code %q %q %q", a, b, c))
				at := tick.Add(time.Duration(i) * time.Second)
				add(trigger.ScheduleKey(a, b, at), fmt.Sprintf("schedule %q %q %d", a, b, i))
				for line := range 13 {
					add(trigger.CommentKey(a, b, int64(i), line), fmt.Sprintf("comment %q %q %d %d", a, b, i, line))
				}
			}
		}
	}
	// 12:1 is not 1:21 or the like.
	add(trigger.CommentKey("o/r", "issue_comment", 1, 21), "line 21 of 1")
	add(trigger.CommentKey("o/r", "issue_comment", 12, 1), "line 1 of 12")
}

// TestReplay: one body again, under another delivery id, or a redelivery of
// another day, is the same run; a second command is not.
func TestReplay(t *testing.T) {
	sha, digest := strings.Repeat("1", 40), trigger.Digest([]byte("projects: {}"))
	runs := map[string]bool{}
	for range 1000 {
		runs[trigger.CodeKey("o/r", sha, digest)] = true
		runs[trigger.CommentKey("o/r", "issue_comment", 5, 1)] = true
	}
	if len(runs) != 2 {
		t.Errorf("%d runs", len(runs))
	}
	if trigger.CommentKey("o/r", "issue_comment", 5, 1) == trigger.CommentKey("o/r", "issue_comment", 5, 2) ||
		trigger.CodeKey("o/r", sha, digest) == trigger.CodeKey("o/r", sha, trigger.Digest([]byte("projects: {a: }"))) {
		t.Error("two runs have one key")
	}
}

func TestSchedule(t *testing.T) {
	f := parse(t, "projects: {night: {crontab: '30 2 * * *'}, often: {crontab: '*/10 * * * *'}, none: {}}")
	at := func(s string) time.Time {
		v, err := time.Parse("01-02 15:04:05 -0700", s)
		if err != nil {
			t.Fatal(err)
		}
		return v.AddDate(2026, 0, 0)
	}
	zero := "01-01 00:00"
	for _, tt := range []struct{ project, after, want string }{
		{"night", "05-01 02:29:59 +0000", "05-01 02:30"},
		{"night", "05-01 02:30:00 +0000", "05-02 02:30"},
		{"night", "05-01 04:29:00 +0200", "05-01 02:30"},
		{"night", "12-31 12:00:00 +0000", "01-01 02:30"},
		{"often", "05-01 00:00:00 +0000", "05-01 00:10"},
		{"none", "05-01 00:00:00 +0000", zero},
		{"nosuch", "05-01 00:00:00 +0000", zero},
	} {
		if got := trigger.Next(f, tt.project, at(tt.after)); got.Format("01-02 15:04") != tt.want || got.Location() != time.UTC {
			t.Errorf("%s after %s: %v", tt.project, tt.after, got)
		}
	}
	for _, tt := range []struct{ project, last, now, want string }{
		{"night", "05-01 02:00:00 +0000", "05-01 02:29:59 +0000", zero},
		{"night", "05-01 02:00:00 +0000", "05-01 02:30:00 +0000", "05-01 02:30"},
		{"night", "05-01 02:30:00 +0000", "05-01 02:30:01 +0000", zero},          // was served
		{"night", "04-30 02:30:00 +0000", "05-01 03:30:00 +0000", "05-01 02:30"}, // at the limit
		{"night", "04-30 02:30:00 +0000", "05-01 03:30:01 +0000", zero},          // beyond it
		{"night", "01-01 00:00:00 +0000", "05-01 02:31:00 +0000", "05-01 02:30"}, // of months, one
		{"often", "05-01 00:00:00 +0000", "05-01 00:59:00 +0000", "05-01 00:50"}, // of five, the latest
		{"often", "01-01 00:00:00 +0000", "05-01 00:00:00 +0000", "05-01 00:00"},
		{"often", "05-01 01:00:00 +0000", "05-01 00:30:00 +0000", zero}, // the clock was set back
		{"none", "01-01 00:00:00 +0000", "05-01 00:00:00 +0000", zero},
	} {
		if got := trigger.Due(f, tt.project, at(tt.last), at(tt.now)); got.Format("01-02 15:04") != tt.want {
			t.Errorf("%s at %s, last %s: %v", tt.project, tt.now, tt.last, got)
		}
	}
	if got := trigger.Due(f, "often", time.Time{}, at("05-01 00:30:00 +0000")); got.IsZero() {
		t.Error("a first look after an unknown time finds nothing")
	}
}

func TestOverlap(t *testing.T) {
	type line = trigger.Line
	tests := []struct {
		newer, older line
		def          trigger.Action // without overlap; "" when it is never about it
	}{
		{line{Branch: "main"}, line{Branch: "main"}, trigger.QueueBehind},
		{line{Branch: "x"}, line{Branch: "x"}, trigger.QueueBehind},
		{line{Pull: 7}, line{Pull: 7}, trigger.CancelOlder},
		{line{Branch: "x", Pull: 7}, line{Pull: 7}, trigger.CancelOlder},
		{line{Branch: "x", Pull: 7}, line{Branch: "x", Pull: 7}, trigger.QueueBehind},
		{line{Pull: 7}, line{Branch: "x", Pull: 7}, trigger.QueueBehind},
		{line{Branch: "x"}, line{Branch: "x", Pull: 7}, trigger.QueueBehind},
		{line{Branch: "main"}, line{Branch: "dev"}, ""},
		{line{Pull: 7}, line{Pull: 8}, ""},
		{line{Branch: "x"}, line{Pull: 7}, ""},
		{line{}, line{}, ""},
		{line{Branch: "main"}, line{}, ""},
		{line{}, line{Pull: 7}, ""},
		{line{Branch: "x", Pull: 7}, line{Branch: "y", Pull: 8}, ""},
	}
	for _, tt := range tests {
		for _, overlap := range []string{"", "cancel", "queue", "allow"} {
			yaml, want := "projects: {p: }", tt.def
			if overlap != "" {
				yaml += "\noverlap: " + overlap
				want = trigger.Action(overlap)
			}
			if tt.def == "" {
				want = trigger.RunBeside
			}
			if got := trigger.Overlap(parse(t, yaml), tt.newer, tt.older); got != want {
				t.Errorf("%+v after %+v, overlap %q: %s, want %s", tt.newer, tt.older, overlap, got, want)
			}
		}
	}
}

func TestOutdated(t *testing.T) {
	a, b := strings.Repeat("a", 40), strings.Repeat("b", 40)
	for _, tt := range []struct {
		name string
		now  trigger.Truth
		want string
	}{
		{"push", trigger.Truth{Head: a}, ""},
		{"push", trigger.Truth{Head: strings.ToUpper(a)}, ""},
		{"push", trigger.Truth{Head: b}, "there is a newer commit"},
		{"push", trigger.Truth{}, "the branch does not exist any more"},
		{"pull_request", trigger.Truth{Head: a, Open: true}, ""},
		{"pull_request", trigger.Truth{Head: b, Open: true}, "there is a newer commit"},
		{"pull_request", trigger.Truth{Head: a}, "the pull request is closed"},
		{"pull_request", trigger.Truth{}, "the pull request does not exist any more"},
		{"merge_group", trigger.Truth{Head: a}, ""},
		{"merge_group", trigger.Truth{}, "the branch does not exist any more"},
	} {
		if got := trigger.Outdated(tt.name, a, tt.now); got != tt.want {
			t.Errorf("%s, %+v: %q, want %q", tt.name, tt.now, got, tt.want)
		}
	}
}
