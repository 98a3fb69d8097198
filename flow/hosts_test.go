package flow_test

import (
	"reflect"
	"testing"

	"github.com/cromt/cromt/flow"
)

func TestParseHosts(t *testing.T) {
	full := `url: https://hostA:4000/
    name: hostA
    token_file: hostA.token
    ca_file: hostA.pem
    repos: ["owner/*", owner/repo]
    forks: yes
    slots: 4
    sparrow_repo: file:///tmp/sparrow-repo
    public_port: ok
  - url: http://127.0.0.1:4000
    insecure_skip_verify: true
    token_secret: HOST_TOKEN
`
	want := []flow.HostEntry{{
		URL: "https://hostA:4000", Name: "hostA", TokenFile: "hostA.token", CAFile: "hostA.pem", Repos: []string{"owner/*", "owner/repo"},
		Forks: true, Slots: 4, SparrowRepo: "file:///tmp/sparrow-repo", PublicPort: true,
	}, {URL: "http://127.0.0.1:4000", InsecureSkipVerify: true, TokenSecret: "HOST_TOKEN"}}
	tests := []struct {
		name, yaml string
		want       []flow.HostEntry
	}{
		{"map", "hosts:\n  - " + full, want},
		{"list", "  - " + full, want},
		{"bot.yaml", "listen: 127.0.0.1:8080\nhosts:\n  - " + full, want},
		{"empty", "", nil},
		{"null", "hosts:\n", nil},
		{"none", "hosts: []", []flow.HostEntry{}},
		{"alias", "hosts: [{url: http://a, repos: &r [o/*]}, {url: http://b, repos: *r}]", []flow.HostEntry{
			{URL: "http://a", Repos: []string{"o/*"}}, {URL: "http://b", Repos: []string{"o/*"}}}},
	}
	for _, tt := range tests {
		got, err := flow.ParseHosts("hosts.yaml", []byte(tt.yaml))
		for i := range got {
			if !got[i].Pos.IsSet() {
				t.Errorf("%s: entry %d has no place", tt.name, i)
			}
			got[i].Pos = flow.Pos{}
		}
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, %v, want %+v", tt.name, got, err, tt.want)
		}
	}
}

func TestParseHostsErrors(t *testing.T) {
	tests := []struct{ yaml, want string }{
		{"hosts: https://a", "hosts.yaml:1:8: hosts must be a list; write - url: https://hostA:4000"},
		{"host:\n- url: https://a", `hosts.yaml:1:1: "hosts" is missing; write hosts instead of "host"`},
		{"url: https://a", `hosts.yaml:1:1: "hosts" is missing; write "-" before the keys of each host`},
		{"hosts: []\nhosts: []", `hosts.yaml:2:1: duplicate key "hosts" in the file (first at line 1)`},
		{"- https://a", "hosts.yaml:1:3: an entry of hosts must be a map; write - url: https://a"},
		{"- name: a", `hosts.yaml:1:3: an entry of hosts has no "url"; write url: https://hostA:4000`},
		{"- url: https://a\n- url: https://A/", `hosts.yaml:2:3: duplicate url "https://a" (first at line 1)`},
		{"- {url: https://a, name: x}\n- {url: https://b, name: x}", `hosts.yaml:2:3: duplicate name "x" (first at line 1)`},
		{"- {url: https://a, slots: 0}", `hosts.yaml:1:27: "slots" must be a whole number from 1 to 10000, not "0"`},
		{"- {url: https://a, public_port: yes}", `hosts.yaml:1:33: "public_port" must be ok, not "yes"`},
		{"- {url: https://a, repos: [owner, 'a/b/c', '[/x']}", "hosts.yaml:1:28: \"owner\" is not a repository; write owner/repo or owner/*\n" +
			"hosts.yaml:1:35: \"a/b/c\" is not a repository; write owner/repo or owner/*\nhosts.yaml:1:44: \"[/x\" is not a repository; write owner/repo or owner/*"},
		{"- {url: https://a, ca_file: x, insecure_skip_verify: true}", `hosts.yaml:1:3: "ca_file" and "insecure_skip_verify" exclude each other; remove one`},
		{"- {url: https://a, token_file: x, token_secret: X}", `hosts.yaml:1:3: "token_file" and "token_secret" exclude each other; remove one`},
		{"- {url: https://a, token_secret: t0ken-in-clear}", `hosts.yaml:1:34: "token_secret" must be the name of a secret; use letters, digits and underscores, not beginning with a digit`},
		{"- {url: https://a, tokenfile: x}", `hosts.yaml:1:20: unknown key "tokenfile"; did you mean "token_file"?`},
		{"- {url: https://a, token_file: }", `hosts.yaml:1:20: "token_file" is null; give it a value, or remove it`},
		{"- {url: https://a, sparrow_repo: 'x; id'}", `hosts.yaml:1:34: "sparrow_repo" contains ";", which would reach a shell; use letters, digits and . _ : / @ = , + - only, after ~/ if need be`},
		{"- url: [", "hosts.yaml:1:8: invalid YAML: did not find expected node content; a bracket or brace is not closed, or a comma is missing"},
	}
	for _, tt := range tests {
		got, err := flow.ParseHosts("hosts.yaml", []byte(tt.yaml))
		if err == nil || err.Error() != tt.want || got != nil {
			t.Errorf("%q: %+v, %v\nwant %s", tt.yaml, got, err, tt.want)
		}
	}
}
