package flow_test

import (
	"strings"
	"testing"

	"github.com/cromt/cromt/flow"
)

func TestRelocate(t *testing.T) {
	const url = "https://git.example.com/me/flow.git"
	for name, c := range map[string]struct{ in, want string }{
		"paths": {
			"projects:\n  a: {path: .}\n  b: {path: ./, branch: dev}\n  c: {}\n  d:\n  e: {path: /srv}\n  f: {path: https://x/y}\n",
			`a=` + url + `@main b=` + url + `@dev c=` + url + `@main d=` + url + `@main e=/srv@ f=https://x/y@`,
		},
		"anchors": {
			"projects:\n  a: &a {path: &p ., action: x}\n  b: *a\n  c: {<<: *a, action: y}\n  d: {path: *p}\n",
			`a=` + url + `@main b=` + url + `@main c=` + url + `@main d=` + url + `@main`,
		},
		"none": {"projects: {a: {path: /srv}}\n", "a=/srv@"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := flow.Relocate("jobs.yaml", []byte(c.in), url, "main")
			if err != nil {
				t.Fatal(err)
			}
			f, err := flow.Parse("copy", out)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			var got []string
			for _, p := range f.Projects {
				got = append(got, p.Name+"="+p.Path.Value+"@"+p.Branch.Value)
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("%s\nwant %s\n%s", text, c.want, out)
			}
		})
	}
	for in, want := range map[string]string{
		"projects: {a: {path: ./x}}": `jobs.yaml:1:22: the path of "a" is a folder of this repository`,
		"projects: {a: {pth: x}}":    `unknown key "pth"`,
	} {
		if _, err := flow.Relocate("jobs.yaml", []byte(in), url, "main"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", in, err)
		}
	}
}
