//go:build unix

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// hostileText is what a stranger may print, by a line each: commands for the
// runner in all their forms, for terminals, for Markdown and for HTML.
var hostileText = []string{
	"::error::injected", "  ::error file=jobs.yaml,line=1::injected", "\u00a0::warning::injected", "::add-mask::e", "::stop-commands::mine", "::mine::",
	"::endgroup::", "::group::injected", "::set-output name=conclusion::injected", "::debug::injected", "##[error]injected", "##[endgroup]", "x ##[add-mask]e",
	"#\x00#[error]injected", "%0A::error::injected", "%0D%0A::error::injected", "50%\r::error::injected", "x\x0b::error::injected", "\x1b[31m::error::injected",
	"\x1b]0;title\x07::error::injected", "\x1b]8;;https://evil.example\x07link\x1b]8;;\x07", "\x1b[2J\x1b[H::error::injected", "\u202egnp.exe\u2066",
	"x\u2028::error::injected", "x\u0085::error::injected", "```", "~~~~~~", strings.Repeat("`", 40), "</pre></code></summary></details><img src=x onerror=alert(1)>",
	"<script>alert(1)</script>", "@octocat and @octo/team, #1, octo/app#2", "| a | b |", "|---|---|", "# head", "[x](javascript:alert(1)) ![x](https://evil.example/x.png)",
	"<!-- cromt-action", "-->", "https://evil.example www.evil.example :tada: $a$", "\xff\xfe",
	"src/x.go:1:2: error: ::error::injected %0A::error::injected ``` </details> <img src=x> @octocat | x ##[error]injected",
	"::warning file=src/x.go,line=1,title=a%2Cb%3A::%0A::error::injected%0A@octocat",
}

// titles are those that a flow may give to projects and hosts.
var hostileTitles = []string{
	"::error::injected", "%0A::error::injected", "##[error]injected", "``` </code></details><img src=x onerror=alert(1)>", "@octocat #1 | a | b", "[x](javascript:alert(1))", "\u202egnp.exe",
}

// newHostileJob returns a job for a pull request of a stranger who knows all
// about us, and whose hosts do, too.
func newHostileJob(t *testing.T, say func(string) string) *workflowJob {
	t.Helper()
	lines := make([]string, len(hostileText))
	for i, l := range hostileText {
		lines[i] = say(l)
	}
	answer := strings.Join(lines, "\n")
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(host.Close)
	_, agent := startAgentProcess(t)
	var jobs strings.Builder
	fmt.Fprintf(&jobs, "projects:\n  bad:\n    title: %q\n    path: .\n    action: step\n    hosts:\n      - url: %s\n      - {url: '%s', title: host}\n", say("::error::injected ##[error]"), agent, host.URL)
	for i, title := range hostileTitles {
		fmt.Fprintf(&jobs, "  p%d.x_y-z:\n    path: .\n    title: %q\n    action: make\n    artifacts: {out: [{file: A%d.error__x-1, path: made}]}\n    hosts: [{url: '%s', title: %q}]\n",
			i, say(title), i, agent, say(title))
	}
	j := newReportedJob(t, "cat text; cat text >&2; exit 1\n")
	j.inputs(map[string]string{"local": "false", "ref": "merge"})
	j.env["GITHUB_SHA"] = j.commit(map[string]string{
		"jobs.yaml": jobs.String(), "text": answer + "\n", "src/x.go": "package x\n", ".tom/make.bash": "cat text; echo made > made\n",
	})
	branch := say("a`b<img/src=x/onerror=alert(1)>%0A@octocat|x")
	j.event("pull_request", map[string]any{
		"action": "opened", "number": 3, "pull_request": map[string]any{
			"number": 3, "title": answer, "body": answer, "state": "open", "user": map[string]any{"login": "octo", "id": 1, "type": "User"},
			"head": map[string]any{"ref": branch, "sha": j.sha, "repo": map[string]any{"id": 1, "name": "app", "full_name": actionRepo, "owner": map[string]any{"login": "octo", "id": 1}}},
			"base": map[string]any{"ref": branch, "sha": strings.Repeat("1", 40)}, "author_association": "OWNER", "html_url": "https://github.com/" + actionRepo + "/pull/3",
		},
	})
	return j
}

// Nothing that strangers say is a command, moves a terminal's cursor or makes
// an element on a page: all is as with a harmless text in its place.
func TestActionHostileText(t *testing.T) {
	t.Parallel()
	j := newHostileJob(t, func(s string) string { return s })
	r := j.run()
	r.expect(t, 1, "failure")
	ours := regexp.MustCompile(`^(::add-mask::ghs_fake\d+|::endgroup::|::group::[a-z0-9._-]+@\S+ on http://127\.0\.0\.1:\d+( \(continued\))?(, attempt \d)?` +
		`|::(error|warning) [^:]*title=[a-z0-9._-]+@\S+( on http[^ ]*)?(%3A a%2Cb%3A)?::.*)$`)
	for _, c := range workflowCommands(r.log) {
		if !ours.MatchString(c) {
			t.Errorf("a command that is not ours: %q", c)
		}
		if strings.Contains(c, "\x1b") || strings.Contains(c, "##[") {
			t.Errorf("a command with a control sequence: %q", c)
		}
	}
	colours := regexp.MustCompile("\x1b\\[[0-9;:]*m")
	if i := strings.IndexFunc(colours.ReplaceAllString(r.log, ""), func(c rune) bool {
		return c != '\n' && c != '\t' && unicode.IsControl(c) || c == '\u2028' || '\u202a' <= c && c <= '\u202e' || '\u2066' <= c && c <= '\u2069'
	}); i >= 0 {
		t.Errorf("a control character in the log: %.200q", colours.ReplaceAllString(r.log, "")[max(0, i-100):])
	}
	if n := strings.Count(r.log, "injected"); n < len(hostileTitles)*20 {
		t.Errorf("the log lacks what was printed: %d lines", n)
	}

	plain := newHostileJob(t, func(s string) string {
		if strings.HasPrefix(s, "src/x.go:") || strings.HasPrefix(s, "::warning file") {
			return s // becomes an annotation
		}
		return "plain"
	})
	want := plain.run()
	compare(t, "summary", r.summary, want.summary)
	compare(t, "comment", j.repo.Comments(3)[0].Body, plain.repo.Comments(3)[0].Body)
	got, harmless := j.repo.CheckRuns(), plain.repo.CheckRuns()
	if len(got) != len(harmless) || len(got) < 4 {
		t.Fatalf("%d check runs, %d of harmless text", len(got), len(harmless))
	}
	for i := range got {
		expectPlain(t, got[i].Name+": summary", got[i].Summary)
		expectPlain(t, got[i].Name+": text", got[i].Text)
		if strings.ContainsAny(got[i].Title+got[i].Name, "\n\x1b\u202e") {
			t.Errorf("title %q of %q", got[i].Title, got[i].Name)
		}
	}
	if r.outputs["conclusion"] != "failure" || !strings.HasPrefix(r.outputs["failed"], `["bad@`) {
		t.Errorf("outputs %v", r.outputs)
	}
}

// compare checks that a page has the elements of a harmless one and no others.
func compare(t *testing.T, what, page, harmless string) {
	t.Helper()
	got, want := expectPlain(t, what, page), expectPlain(t, what, harmless)
	for _, kind := range []string{"TableRow", "TableCell", "ListItem", "HTMLBlock", "Link"} {
		if got[kind] != want[kind] {
			t.Errorf("%s has %d elements %s, with harmless text %d\n%s", what, got[kind], kind, want[kind], page)
		}
	}
}

var (
	detailsBlock = regexp.MustCompile(`^(<!-- cromt-action [0-9a-f]{16} -->\n|<details( open)?><summary>❌ <code>[^<>]*</code> [^<>]*(: <code>[^<>]*</code>)?</summary>\n|</details>\n)$`)
	inertHTML    = regexp.MustCompile(`(?s)<pre>.*?</pre>|<code>.*?</code>|<[^>]*>`)
	activeText   = regexp.MustCompile(`@[A-Za-z0-9]|#[0-9]|(?i:www)\.evil|https?://evil|:tada:|<img|<script`)
)

// expectPlain checks that a page's Markdown has no element but those that we
// write, and counts them by kind.
func expectPlain(t *testing.T, what, page string) map[string]int {
	t.Helper()
	src := []byte(page)
	count := map[string]int{}
	md := goldmark.New(goldmark.WithExtensions(extension.GFM))
	err := ast.Walk(md.Parser().Parse(text.NewReader(src)), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		count[n.Kind().String()]++
		switch n := n.(type) {
		case *ast.Document, *ast.Paragraph, *ast.Text, *ast.String, *ast.CodeSpan, *ast.Emphasis, *ast.List, *ast.ListItem, *ast.TextBlock, *ast.FencedCodeBlock,
			*east.Table, *east.TableHeader, *east.TableRow, *east.TableCell:
		case *ast.Link:
			if d := string(n.Destination); !strings.HasPrefix(d, "https://github.com/octo/app/actions/runs/17") {
				t.Errorf("%s: a link to %q", what, d)
			}
		case *ast.HTMLBlock:
			if block := string(n.Lines().Value(src)); !detailsBlock.MatchString(block) {
				t.Errorf("%s: HTML %q", what, block)
			}
		default:
			t.Errorf("%s: an element %s", what, n.Kind())
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var html strings.Builder
	if err := md.Convert(src, &html); err != nil {
		t.Fatal(err)
	}
	if s := activeText.FindString(inertHTML.ReplaceAllString(html.String(), " ")); s != "" {
		t.Errorf("%s: %q outside of code\n%s", what, s, page)
	}
	if strings.ContainsAny(page, "\x1b\u202e\u2066\r\x00") {
		t.Errorf("%s: control characters", what)
	}
	return count
}
