package trust_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/comment"
	"github.com/cromt/cromt/bot/trust"
	"github.com/cromt/cromt/flow"
)

var (
	sha1 = strings.Repeat("1", 39) + "a"
	sha2 = strings.Repeat("2", 40)
	noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
)

// subjects are the states that a pull request can be in.
func subjects() map[string]trust.Subject {
	before, after := noon.Add(-time.Minute), noon.Add(time.Minute)
	return map[string]trust.Subject{
		"own":                {Head: sha1, Pushed: after},
		"fork":               {Fork: true, Head: sha1, Pushed: before},
		"fork, approved":     {Fork: true, Head: sha1, Pushed: before, Approval: trust.Approval{SHA: sha1}},
		"fork, old approval": {Fork: true, Head: sha1, Pushed: before, Approval: trust.Approval{SHA: sha2}},
		"fork, short":        {Fork: true, Head: sha1, Pushed: before, Approval: trust.Approval{SHA: sha1[:39]}},
		"fork, pushed since": {Fork: true, Head: sha1, Pushed: after, Approval: trust.Approval{SHA: sha1}},
		"fork, same second":  {Fork: true, Head: sha1, Pushed: noon, Approval: trust.Approval{SHA: sha1}},
		"fork, pushed when?": {Fork: true, Head: sha1, Approval: trust.Approval{SHA: sha1}},
		"fork, no head":      {Fork: true, Pushed: before},
		"fork, zeros":        {Fork: true, Head: strings.Repeat("0", 40), Pushed: before, Approval: trust.Approval{SHA: strings.Repeat("0", 40)}},
	}
}

// TestCommand: with write permission or more, by verb and state, what is the
// reason against it, "" for none. With less it is always the permission.
func TestCommand(t *testing.T) {
	const (
		approve = "the head of this fork is not approved"
		since   = "the fork was pushed to after this comment, or at an unknown time"
		nothing = "the pull request is not from a fork, so there is nothing to approve"
		write   = "this needs write permission in the repository"
	)
	runs := map[string]string{
		"own": "", "fork": approve, "fork, approved": "", "fork, old approval": approve, "fork, short": approve,
		"fork, pushed since": since, "fork, same second": since, "fork, pushed when?": since, "fork, no head": approve, "fork, zeros": approve,
	}
	harmless := map[string]string{}
	ok := map[string]string{"own": nothing}
	table := map[string]map[string]string{
		"run": runs, "retry": runs, "ok": ok,
		"cancel": harmless, "plan": harmless, "status": harmless, "why": harmless, "logs": harmless, "help": harmless,
	}
	for verb, reasons := range table {
		if !strings.Contains(comment.Help(), "`/cromt "+verb) {
			t.Errorf("%s is no verb", verb)
		}
		for state, s := range subjects() {
			for _, role := range []trust.Role{"", trust.RoleNone, trust.RoleRead, trust.RoleWrite, trust.RoleAdmin, "owner"} {
				want := reasons[state]
				if role != trust.RoleWrite && role != trust.RoleAdmin {
					want = write
				}
				d := trust.Command(verb, role, s, noon)
				if d.Why != want || d.Allowed != (want == "") || !d.Allowed && d.Hint == "" {
					t.Errorf("%s by %q on %s: %+v, want %q", verb, role, state, d, want)
				}
			}
		}
	}
	if n := strings.Count(comment.Help(), "\n- `"); n != len(table) {
		t.Errorf("%d verbs in the table, %d in the grammar", len(table), n)
	}
	for _, verb := range []string{"", "RUN", "deploy", "approve"} {
		if d := trust.Command(verb, trust.RoleAdmin, trust.Subject{}, noon); d.Allowed {
			t.Errorf("%q is allowed", verb)
		}
	}
	if d := trust.Command("run", trust.RoleWrite, subjects()["fork, approved"], time.Time{}); d.Why != since {
		t.Errorf("a comment of an unknown time: %+v", d)
	}
}

func TestCommandHints(t *testing.T) {
	for state, want := range map[string]string{
		"fork":               "look at it and write /cromt ok " + sha1,
		"fork, no head":      "look at its newest commit and write /cromt ok with its full SHA",
		"fork, pushed since": "look at " + sha1 + " and ask again",
	} {
		if d := trust.Command("run", trust.RoleWrite, subjects()[state], noon); d.Hint != want {
			t.Errorf("%s: %q, want %q", state, d.Hint, want)
		}
	}
}

// TestButton: a button is on the check run of a commit, sha1 or an older one.
func TestButton(t *testing.T) {
	const (
		approve = "the head of this fork is not approved"
		old     = "this commit is not the head of the pull request any more"
		nothing = "the pull request is not from a fork, so there is nothing to approve"
		write   = "this needs write permission in the repository"
		full    = "an approval names a commit by its full SHA"
	)
	tests := []struct{ button, state, sha, want string }{
		{"cancel", "own", sha1, ""},
		{"cancel", "fork", sha2, ""},
		{"approve", "own", sha1, nothing},
		{"approve", "fork", sha1, ""},
		{"approve", "fork", sha2, old},
		{"approve", "fork", "", full},
		{"approve", "fork, old approval", sha1, ""},
		{"approve", "fork, old approval", sha2, old},
		{"approve", "fork, no head", sha1, old},
		{"click", "own", sha1, "there is no such button"},
	}
	for _, button := range []string{"rerun_failed", "rerun_all", "rerequest"} {
		tests = append(tests, []struct{ button, state, sha, want string }{
			{button, "own", sha1, ""},
			{button, "own", sha2, ""}, // an older commit of this repository: its writers wrote it
			{button, "fork", sha1, approve},
			{button, "fork", sha2, old},
			{button, "fork, approved", sha1, ""},
			{button, "fork, approved", sha2, old},
			{button, "fork, approved", "", old},
			{button, "fork, old approval", sha1, approve},
			{button, "fork, old approval", sha2, old},
			{button, "fork, short", sha1, approve},
			{button, "fork, zeros", strings.Repeat("0", 40), old},
		}...)
	}
	for _, tt := range tests {
		for _, role := range []trust.Role{"", trust.RoleNone, trust.RoleRead, trust.RoleWrite, trust.RoleAdmin} {
			want := tt.want
			if role != trust.RoleWrite && role != trust.RoleAdmin && tt.button != "click" {
				want = write
			}
			if d := trust.Button(tt.button, role, subjects()[tt.state], tt.sha); d.Why != want || d.Allowed != (want == "") {
				t.Errorf("%s of %.8s by %q on %s: %+v, want %q", tt.button, tt.sha, role, tt.state, d, want)
			}
		}
	}
}

func TestRoleOf(t *testing.T) {
	for _, tt := range []struct {
		permission, role string
		want             trust.Role
	}{
		{"admin", "admin", trust.RoleAdmin},
		{"write", "maintain", trust.RoleWrite},
		{"write", "write", trust.RoleWrite},
		{"write", "our-deployers", trust.RoleWrite},
		{"read", "triage", trust.RoleRead},
		{"read", "admin", trust.RoleRead}, // a custom role may have any name
		{"read", "read", trust.RoleRead},
		{"none", "none", trust.RoleNone},
		{"none", "admin", trust.RoleNone},
		{"", "maintain", trust.RoleWrite},
		{"", "triage", trust.RoleRead},
		{"", "our-deployers", trust.RoleNone},
		{"", "", trust.RoleNone},
		{"Admin", "", trust.RoleNone},
		{"owner", "", trust.RoleNone},
	} {
		if got := trust.RoleOf(tt.permission, tt.role); got != tt.want {
			t.Errorf("%q, %q: %s, want %s", tt.permission, tt.role, got, tt.want)
		}
	}
}

// TestApproval follows a fork's pull request through pushes.
func TestApproval(t *testing.T) {
	long := strings.Repeat("c", 64)
	for _, tt := range []struct {
		sha, head string
		ok        bool
	}{
		{sha1, sha1, true},
		{strings.ToUpper(sha1), sha1, true},
		{long, long, true},
		{sha1, sha2, false},
		{sha1[:39], sha1, false},
		{sha1[:7], sha1, false},
		{sha1[:7], sha1[:7], false},
		{"", "", false},
		{"main", "main", false},
		{"HEAD", sha1, false},
		{long[:40], long, false},
		{sha1 + "\n", sha1, false},
	} {
		s := trust.Subject{Fork: true, Head: tt.head}
		a, d := trust.Approve(tt.sha, s)
		s.Approval = a
		if d.Allowed != tt.ok || s.Approved() != tt.ok || !tt.ok && a != (trust.Approval{}) {
			t.Errorf("approve %q of %q: %+v, %+v", tt.sha, tt.head, a, d)
		}
	}
	a, _ := trust.Approve(sha1, trust.Subject{Fork: true, Head: sha1})
	if again := a.AfterPush(sha1); again != a {
		t.Error("the same delivery once more revokes the approval")
	}
	if a = a.AfterPush(sha2); a != (trust.Approval{}) {
		t.Error("a push leaves the approval")
	}
	if a = a.AfterPush(sha1); (trust.Subject{Fork: true, Head: sha1, Approval: a}).Approved() {
		t.Error("pushing the approved commit again brings the approval back")
	}
	if (trust.Approval{}).AfterPush("") != (trust.Approval{}) {
		t.Error("an approval out of nothing")
	}
}

func TestNeedsApproval(t *testing.T) {
	for _, tt := range []struct {
		head, repo string
		want       bool
	}{
		{"owner/repo", "owner/repo", false},
		{"Owner/Repo", "owner/repo", false},
		{"stranger/repo", "owner/repo", true},
		{"owner/repo-fork", "owner/repo", true},
		{"", "owner/repo", true}, // the fork is gone
		{"", "", true},
	} {
		if got := trust.NeedsApproval(tt.head, tt.repo); got != tt.want {
			t.Errorf("%q into %q: %v", tt.head, tt.repo, got)
		}
	}
}

func TestPrivate(t *testing.T) {
	for _, tt := range []struct {
		public, agent, secrets, code bool
		why                          string // "" is allowed
	}{
		{false, false, false, false, ""},
		{false, false, true, false, "secrets may not go"},
		{false, false, false, true, "private code may not go"},
		{false, false, true, true, "secrets and private code may not go"},
		{true, false, true, true, ""},
		{false, true, true, true, ""},
		{true, true, true, true, ""},
	} {
		d := trust.Private(flow.HostEntry{PublicPort: tt.public}, tt.agent, tt.secrets, tt.code)
		if d.Allowed != (tt.why == "") || !strings.HasPrefix(d.Why, tt.why) || !d.Allowed && !strings.Contains(d.Hint, "public_port: ok") {
			t.Errorf("%+v: %+v", tt, d)
		}
	}
	if !trust.Secrets(false).Allowed || trust.Secrets(true).Allowed {
		t.Error("secrets of forks")
	}
}

func TestClone(t *testing.T) {
	rules := []trust.CloneRule{{From: "owner/lib", To: "owner/app"}, {From: "owner/shared", To: "owner/*"}}
	for _, tt := range []struct {
		repo, target string
		fork, want   bool
	}{
		{"owner/app", "owner/app", false, true},
		{"owner/app", "Owner/App", false, true},
		{"owner/app", "owner/app", true, false},
		{"owner/app", "owner/lib", false, true},
		{"owner/app", "owner/lib", true, false},
		{"owner/lib", "owner/app", false, false}, // not the other way round
		{"owner/other", "owner/lib", false, false},
		{"owner/other", "owner/shared", false, true},
		{"stranger/x", "owner/shared", false, false},
		{"owner/app", "owner/secret", false, false},
		{"owner/app", "owner/*", false, false},
		{"", "", false, false},
		{"owner", "owner", false, false},
		{"owner/..", "owner/..", false, false},
		{"../x", "../x", false, false},
		{"a/b/c", "a/b/c", false, false},
	} {
		if d := trust.Clone(rules, tt.repo, tt.target, tt.fork); d.Allowed != tt.want || d.Allowed != (d.Why == "") {
			t.Errorf("%s clones %s, fork %v: %+v", tt.repo, tt.target, tt.fork, d)
		}
	}
}
