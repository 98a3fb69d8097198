package trigger_test

import (
	"testing"

	"github.com/cromt/cromt/bot/trigger"
)

func TestCommentOf(t *testing.T) {
	for _, c := range []struct {
		key string
		id  int64
		ok  bool
	}{
		{trigger.CommentKey("octo/app", "issue_comment", 17, 3), 17, true},
		{trigger.CommentKey("octo/app", "pull_request_review_comment", 17, 3), 0, false},
		{trigger.CodeKey("octo/app", "abc", "def"), 0, false},
		{trigger.RerunKey("comment:octo/app:issue_comment:17", "3"), 0, false},
		{"", 0, false},
	} {
		if id, ok := trigger.CommentOf(c.key); id != c.id || ok != c.ok {
			t.Errorf("%s: %d, %v", c.key, id, ok)
		}
	}
}

// A fork's commit has runs of its own: it may be the repository's as well, and
// in several pull requests.
func TestForkKey(t *testing.T) {
	seen := map[string]bool{}
	for _, key := range []string{
		trigger.CodeKey("octo/app", "abc", "def"), trigger.ForkKey("octo/app", 1, "abc", "def"), trigger.ForkKey("octo/app", 2, "abc", "def"),
		trigger.ForkKey("octo/app", 1, "abd", "def"), trigger.ForkKey("octo/app", 1, "abc", "dee"),
	} {
		if seen[key] {
			t.Errorf("%s twice", key)
		}
		seen[key] = true
	}
	if trigger.ForkKey("Octo/App", 1, "ABC", "def") != trigger.ForkKey("octo/app", 1, "abc", "def") {
		t.Error("case matters")
	}
}
