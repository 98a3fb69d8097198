package githubtest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-github/v60/github"

	"github.com/cromt/cromt/bot/githubtest"
)

const (
	sha    = "1111111111111111111111111111111111111111"
	other  = "2222222222222222222222222222222222222222"
	unseen = "3333333333333333333333333333333333333333"
	run    = "/repos/octo/app/check-runs"
)

// all are the permissions of an App like ours.
func all() map[string]string {
	return map[string]string{"checks": "write", "pull_requests": "write", "issues": "write", "contents": "read", "statuses": "write"}
}

// world is a server with one repository, one commit and one pull request.
func world(t testing.TB) (*githubtest.Server, *githubtest.Repo, string) {
	s := githubtest.New(t)
	r := s.AddRepo("octo/app")
	r.AddCommit(sha)
	r.AddPull(githubtest.Pull{Number: 7, Title: "A change", HeadSHA: sha, HeadRef: "topic", BaseSHA: other})
	return s, r, s.Token(githubtest.Token{App: true, Permissions: all()})
}

// client is go-github's, as the programs under test use it.
func client(s *githubtest.Server, token string) *github.Client {
	return github.NewClient(&http.Client{Transport: s.Transport()}).WithAuthToken(token)
}

// send sends a request and returns status, header and body.
func send(t testing.TB, s *githubtest.Server, token, method, path, body string) (int, http.Header, string) {
	t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, "https://api.github.test"+path, in)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := s.Transport().RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(out)
}

// check is the body that creates a check run, with what is given changed.
func check(change map[string]any) string {
	o := map[string]any{"name": "cromt", "head_sha": sha}
	for k, v := range change {
		o[k] = v
	}
	return marshal(o)
}

func marshal(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return b.String()
}

// takeOne takes the violations and expects one that contains want, or none for "".
func takeOne(t testing.TB, s *githubtest.Server, want string) {
	t.Helper()
	got := s.Violations()
	switch {
	case want == "" && len(got) > 0:
		t.Errorf("violations %v, want none", got)
	case want != "" && (len(got) == 0 || !strings.Contains(got[0].String(), want)):
		t.Errorf("violations %v, want %q", got, want)
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
