package trust_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/cromt/cromt/bot/trust"
	"github.com/cromt/cromt/flow"
)

const configured = `
- {url: https://hostA:4000, name: a, repos: ["owner/*"]}
- {url: http://127.0.0.1:4000, name: local, repos: ["owner/repo"], forks: true}
- {url: "http://[::1]:4000", name: six, repos: ["*/*"]}
- {url: https://tls.example.com, name: tls, repos: ["owner/*", "other/x"], forks: true}
- {url: http://plain.example.com:80, name: plain, repos: ["o?ner/*"]}
- {url: https://nobody:4000, name: nobody}
- {url: https://theirs:4000, name: theirs, repos: ["victim/*"], forks: true}
- {url: "https://xn--bcher-kva.example", name: puny, repos: ["owner/*"]}
`

func entries(t testing.TB) []flow.HostEntry {
	t.Helper()
	list, err := flow.ParseHosts("bot.yaml", []byte(configured))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestResolve: which host a URL selects, "" for none.
func TestResolve(t *testing.T) {
	tests := []struct {
		url, repo  string
		fork       bool
		want, says string // name of the host; else part of the error
	}{
		// Ways to write the same address.
		{"https://hostA:4000", "owner/repo", false, "a", ""},
		{"https://hosta:4000/", "owner/repo", false, "a", ""},
		{"HTTPS://HOSTA:4000", "owner/repo", false, "a", ""},
		{"https://tls.example.com:443", "owner/repo", false, "tls", ""},
		{"http://plain.example.com", "owner/repo", false, "plain", ""},
		{"http://[0:0:0:0:0:0:0:1]:4000", "any/one", false, "six", ""},
		{"http://[0000::0001]:4000", "any/one", false, "six", ""},
		{"https://XN--BCHER-KVA.example", "owner/repo", false, "puny", ""},

		// Who may use it: repos, by default nobody; case does not matter.
		{"https://hostA:4000", "Owner/Repo", false, "a", ""},
		{"https://hostA:4000", "owner2/repo", false, "", "not one that owner2/repo may use"},
		{"https://hostA:4000", "xowner/repo", false, "", "not one that"},
		{"https://hostA:4000", "owner", false, "", "not one that"},
		{"https://hostA:4000", "owner/", false, "", "not one that"},
		{"https://hostA:4000", "/repo", false, "", "not one that"},
		{"https://hostA:4000", "owner/a/b", false, "", "not one that"},
		{"https://hostA:4000", "", false, "", "not one that"},
		{"http://127.0.0.1:4000", "owner/repo2", false, "", "not one that"},
		{"https://tls.example.com", "other/x", false, "tls", ""},
		{"https://tls.example.com", "other/y", false, "", "not one that"},
		{"https://nobody:4000", "owner/repo", false, "", "not one that"},
		{"https://theirs:4000", "owner/repo", false, "", "not one that owner/repo may use"},
		{"https://unknown:4000", "owner/repo", false, "", "not one that owner/repo may use"},

		// Forks: only where forks is true, and repos still count.
		{"https://hostA:4000", "owner/repo", true, "", "does not run code of forks"},
		{"http://[::1]:4000", "owner/repo", true, "", "does not run code of forks"},
		{"http://127.0.0.1:4000", "owner/repo", true, "local", ""},
		{"http://127.0.0.1:4000", "owner/repo2", true, "", "not one that"},
		{"https://theirs:4000", "owner/repo", true, "", "not one that"},

		// Another scheme or port is another host.
		{"http://hostA:4000", "owner/repo", false, "", "not one that"},
		{"https://127.0.0.1:4000", "owner/repo", false, "", "not one that"},
		{"https://hostA", "owner/repo", false, "", "not one that"},
		{"https://hostA:443", "owner/repo", false, "", "not one that"},
		{"https://hostA:4001", "owner/repo", false, "", "not one that"},
		{"http://tls.example.com:443", "owner/repo", false, "", "not one that"},
		{"https://tls.example.com:80", "owner/repo", false, "", "not one that"},
		{"file:///etc/passwd", "owner/repo", false, "", "must be an http or https URL"},
		{"unix:/var/run/docker.sock", "owner/repo", false, "", "must be an http or https URL"},
		{"ftp://hostA:4000", "owner/repo", false, "", "must be an http or https URL"},
		{"javascript:alert(1)", "owner/repo", false, "", "must be an http or https URL"},
		{"//hostA:4000", "owner/repo", false, "", "must be an http or https URL"},
		{"hostA:4000", "owner/repo", false, "", "must be an http or https URL"},
		{"https:hostA:4000", "owner/repo", false, "", "must be an http or https URL"},
		{"https:/hostA:4000", "owner/repo", false, "", "must not have a path"},
		{"https:///hostA:4000", "owner/repo", false, "", "must not have a path"},
		{"", "owner/repo", false, "", "must be an http or https URL"},

		// Users, queries, fragments, paths.
		{"https://hostA:4000@evil.example", "owner/repo", false, "", "user or password"},
		{"https://user:hunter2@hostA:4000", "owner/repo", false, "", "user or password"},
		{"https://@hostA:4000", "owner/repo", false, "", "user or password"},
		{"https://evil.example#https://hostA:4000", "owner/repo", false, "", "plain characters"},
		{"https://evil.example?@hostA:4000", "owner/repo", false, "", "user or password"},
		{"https://hostA:4000?", "owner/repo", false, "", "plain characters"},
		{"https://hostA:4000/path", "owner/repo", false, "", "must not have a path"},
		{"https://hostA:4000//", "owner/repo", false, "", "must not have a path"},
		{"https://hostA:4000/../", "owner/repo", false, "", "must not have a path"},
		{`https://hostA:4000\@evil.example`, "owner/repo", false, "", "user or password"},
		{`https:\\hostA:4000`, "owner/repo", false, "", "plain characters"},

		// Addresses of the machine itself and of the cloud, in disguise.
		{"http://169.254.169.254", "owner/repo", false, "", "not one that"},
		{"http://localhost:4000", "owner/repo", false, "", "not one that"},
		{"http://[::ffff:127.0.0.1]:4000", "owner/repo", false, "", "not one that"},
		{"http://[::ffff:7f00:1]:4000", "owner/repo", false, "", "not one that"},
		{"http://[::127.0.0.1]:4000", "owner/repo", false, "", "not one that"},
		{"http://[::1%25eth0]:4000", "any/one", false, "", "plain characters"},
		{"http://[::1%eth0]:4000", "any/one", false, "", "plain characters"},
		{"http://[127.0.0.1]:4000", "owner/repo", false, "", "http"},
		{"http://[hostA]:4000", "owner/repo", false, "", "http"},
		{"http://::1:4000", "any/one", false, "", ""},
		{"http://2130706433:4000", "owner/repo", false, "", "not one that"},
		{"http://0x7f000001:4000", "owner/repo", false, "", "not one that"},
		{"http://0177.0.0.1:4000", "owner/repo", false, "", "not one that"},
		{"http://127.1:4000", "owner/repo", false, "", "not one that"},
		{"http://127.000.000.001:4000", "owner/repo", false, "", "not one that"},
		{"http://0.0.0.0:4000", "owner/repo", false, "", "not one that"},

		// Names that look alike.
		{"https://hostA.:4000", "owner/repo", false, "", "no valid host name"},
		{"https://.hostA:4000", "owner/repo", false, "", "no valid host name"},
		{"https://tls..example.com", "owner/repo", false, "", "no valid host name"},
		{"https://hostА:4000", "owner/repo", false, "", "plain characters"}, // Cyrillic A
		{"https://ｈostA:4000", "owner/repo", false, "", "plain characters"}, // full width
		{"https://tls。example.com", "owner/repo", false, "", "plain characters"},
		{"https://bücher.example", "owner/repo", false, "", "plain characters"},
		{"https://hostA\u200b:4000", "owner/repo", false, "", "plain characters"},
		{"https://host%41:4000", "owner/repo", false, "", "plain characters"},
		{"https://hostA%00.evil.example:4000", "owner/repo", false, "", "plain characters"},
		{"https://hostA:4000\r\nX: y", "owner/repo", false, "", "plain characters"},
		{" https://hostA:4000", "owner/repo", false, "", "plain characters"},
		{"https://hostA:4000\t", "owner/repo", false, "", "plain characters"},
		{"https://*:4000", "owner/repo", false, "", "no valid host name"},
		{"https://hostA.evil.example:4000", "owner/repo", false, "", "not one that"},

		// Ports.
		{"https://hostA:04000", "owner/repo", false, "", "no valid port"},
		{"https://hostA:", "owner/repo", false, "", "no valid port"},
		{"https://hostA:0", "owner/repo", false, "", "no valid port"},
		{"https://hostA:69536", "owner/repo", false, "", "no valid port"}, // 4000 + 2^16
		{"https://hostA:4000:4000", "owner/repo", false, "", ""},
		{"https://hostA:+4000", "owner/repo", false, "", "http"},
		{"https://hostA:٤٠٠٠", "owner/repo", false, "", "plain characters"},
		{"https://" + strings.Repeat("a", 300), "owner/repo", false, "", "too long"},
	}
	list := entries(t)
	for _, tt := range tests {
		pos := flow.Pos{Line: 7, Col: 3}
		got, err := trust.Hosts(list, tt.repo, tt.fork).Resolve(tt.url, pos)
		var problem *flow.Error
		switch {
		case tt.want != "":
			if err != nil || got.Name != tt.want {
				t.Errorf("%q for %q, fork %v: %q, %v; want %s", tt.url, tt.repo, tt.fork, got.Name, err, tt.want)
			}
		case !errors.As(err, &problem) || got.URL != "" || !strings.Contains(problem.Msg, tt.says) || problem.Pos != pos || problem.Hint == "":
			t.Errorf("%q for %q, fork %v: %q, %v; want an error with %q", tt.url, tt.repo, tt.fork, got.Name, err, tt.says)
		case strings.Contains(problem.Msg, "hunter2") || strings.ContainsFunc(problem.Msg, func(r rune) bool { return r < ' ' || r > 0x7e }):
			t.Errorf("%q: the error repeats too much: %s", tt.url, problem.Msg)
		}
	}
	if _, err := (trust.Resolver{}).Resolve("https://hostA:4000", flow.Pos{}); err == nil {
		t.Error("the zero Resolver knows a host")
	}
}

// TestResolveSaysNothingOfOthers: a host of someone else and one that does not
// exist cannot be told apart.
func TestResolveSaysNothingOfOthers(t *testing.T) {
	for _, fork := range []bool{false, true} {
		r := trust.Hosts(entries(t), "owner/repo", fork)
		_, theirs := r.Resolve("https://theirs:4000", flow.Pos{})
		_, none := r.Resolve("https://nosuch:4000", flow.Pos{})
		if strings.ReplaceAll(theirs.Error(), "theirs", "nosuch") != none.Error() {
			t.Errorf("%v\n%v", theirs, none)
		}
	}
}

func TestCheck(t *testing.T) {
	const jobs = `projects:
  ok:
    url: https://hostA:4000
  bad:
    hosts:
      - url: https://hosta:4000/
      - url: https://evil.example
      - url: http://169.254.169.254
storage: https://evil.example
`
	f, err := flow.Parse("jobs.yaml", []byte(jobs))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := flow.NewPlan(f, flow.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	err = trust.Hosts(entries(t), "owner/repo", false).Check(plan)
	want := `jobs.yaml:7:9: host "https://evil.example" is not one that owner/repo may use; the operator of the App can list it, with this repository in its repos
jobs.yaml:8:9: host "http://169.254.169.254" is not one that owner/repo may use; the operator of the App can list it, with this repository in its repos
jobs.yaml:9:10: host "https://evil.example" is not one that owner/repo may use; the operator of the App can list it, with this repository in its repos`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	plan.Jobs, plan.File.Storage = plan.Jobs[:1], flow.Text{}
	if err := trust.Hosts(entries(t), "owner/repo", false).Check(plan); err != nil {
		t.Error(err)
	}
}

// FuzzResolve: what resolves is, to the standard library, the very host of the
// entry that it resolves to.
func FuzzResolve(f *testing.F) {
	for _, seed := range []string{"https://hostA:4000", "http://[::1]:4000", "https://hostA:4000@x", "http://127.0.0.1:4000/", `https://tls.example.com\`, "https://tls.example.com:443"} {
		f.Add(seed)
	}
	list := entries(f)
	f.Fuzz(func(t *testing.T, raw string) {
		h, err := trust.Hosts(list, "owner/repo", false).Resolve(raw, flow.Pos{})
		if err != nil {
			return
		}
		got, err1 := url.Parse(raw)
		want, err2 := url.Parse(h.URL)
		if err1 != nil || err2 != nil {
			t.Fatalf("%q: %v, %v", raw, err1, err2)
		}
		ip := strings.Contains(h.URL, "[") // has more than one form
		if got.Scheme != want.Scheme || !ip && !strings.EqualFold(got.Hostname(), want.Hostname()) || port(got) != port(want) || got.User != nil {
			t.Errorf("%q is %s", raw, h.URL)
		}
	})
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}
