//go:build unix

package agent_test

import (
	"strings"
	"testing"

	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
)

func TestAuth(t *testing.T) {
	const auth = "eDpzZXNhbWU=" // x:sesame
	for _, tt := range []struct {
		kind, url, auth string
		want            string // in the error; "": accepted
	}{
		{sparky.SpecGit, "https://h.example/r", auth, ""},
		{sparky.SpecGit, "https://git@h.example:8443/r", auth, ""},
		{sparky.SpecGit, "https://h.example/r", "sesame", "must be base64 of user:password"},
		{sparky.SpecGit, "https://h.example/r", "c2VzYW1l", "must be base64 of user:password"}, // no colon
		{sparky.SpecGit, "https://h.example/r", "eDpz\nZXNhbWU=", "must be base64 of user:password"},
		{sparky.SpecGit, "http://h.example/r", auth, "an https URL"},
		{sparky.SpecGit, "https://a:b@h.example/r", auth, "an https URL"},
		{sparky.SpecGit, "git@h.example:r", auth, "an https URL"},
		{sparky.SpecGit, "/r", auth, "an https URL"},
		{sparky.SpecDir, "", auth, "is for git alone"},
	} {
		spec := inDir("/x", "x")
		spec.Source = sparky.SpecSource{Kind: tt.kind, URL: tt.url, Auth: tt.auth}
		_, _, _, err := agent.DecodeQueue([]byte(queueBody("p", "j", spec)))
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s %s %q: %v, want %q", tt.kind, tt.url, tt.auth, err, tt.want)
		}
		if err != nil && (strings.Contains(err.Error(), tt.auth) || strings.Contains(err.Error(), "sesame")) {
			t.Errorf("the error tells it: %v", err)
		}
	}
}
