package trust_test

import (
	"os"
	"testing"

	"github.com/cromt/cromt/bot/event"
	"github.com/cromt/cromt/bot/trust"
)

func TestIgnore(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*event.Event)
		want   string
	}{
		{"new", func(*event.Event) {}, ""},
		{"by a user through another App", func(e *event.Event) { e.Comment.AppID = 8 }, ""},
		{"edited", func(e *event.Event) { e.Action, e.Comment.Edited = "edited", true }, "it is not new"},
		{"edited, says the payload", func(e *event.Event) { e.Comment.Edited = true }, "it is not new"},
		{"deleted", func(e *event.Event) { e.Action = "deleted" }, "it is not new"},
		{"issue", func(e *event.Event) { e.Comment.OnPull = false }, "it is not on a pull request"},
		{"bot", func(e *event.Event) { e.Comment.Author.Bot = true }, "it is by a bot"},
		{"sent by a bot", func(e *event.Event) { e.Sender.Bot = true }, "it is by a bot"},
		{"own", func(e *event.Event) { e.Comment.AppID = 7 }, "it is by this App"},
		{"deleted account", func(e *event.Event) { e.Comment.Author, e.Sender = event.User{}, event.User{} }, "its author is not known"},
		{"sent by another", func(e *event.Event) { e.Sender.Login = "eve" }, "its author is not known"},
		{"no comment", func(e *event.Event) { e.Comment = nil }, "it is no comment"},
	} {
		e := &event.Event{Action: "created", Sender: event.User{Login: "ann"}, Comment: &event.Comment{OnPull: true, Author: event.User{Login: "ann"}}}
		tt.change(e)
		if got := trust.Ignore(e, 7); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	e := &event.Event{Action: "created", Sender: event.User{Login: "ann"}, Comment: &event.Comment{OnPull: true, Author: event.User{Login: "ann"}}}
	if got := trust.Ignore(e, 0); got != "" {
		t.Errorf("own App not known: %q", got)
	}
}

// TestIgnorePayload reads a comment as GitHub sends it.
func TestIgnorePayload(t *testing.T) {
	for file, want := range map[string]string{
		"created.on-pr.derived.json": "",
		"created.json":               "it is not on a pull request",
		"edited.on-pr.derived.json":  "it is not new",
		"deleted.on-pr.derived.json": "it is not new",
	} {
		data, err := os.ReadFile("../../testdata/webhooks/issue_comment/" + file)
		if err != nil {
			t.Fatal(err)
		}
		e, err := event.Parse("issue_comment", data)
		if err != nil {
			t.Fatal(err)
		}
		if got := trust.Ignore(&e, 7); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}

func TestConfigCommit(t *testing.T) {
	if trust.ConfigCommit(false, sha1, sha2) != sha1 || trust.ConfigCommit(true, sha1, sha2) != sha2 {
		t.Error("a fork's own jobs.yaml is read, or the base's for a branch")
	}
}
