package checks_test

import (
	"html"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/flow"
)

// hostile are texts that mean something to Markdown, HTML or GitHub.
var hostile = []string{
	"|", `\|`, "a | b | c", `a\\| b`, "`", "``` | ```", "`a`b``c```", "\\`", "x`", "a``b", " ` ", "# head", "- item", "1. one", "> quote", "---", "===", "***",
	"*a* _b_ ~~c~~ **d**", "[x](javascript:alert(1))", "![x](https://evil.example/x.png)", "[x]: https://evil.example", "[^1]", "- [ ] task",
	"<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</details>", "</code></summary>", "<!-- ", "--><b>", "&lt;b&gt; &amp; &#64;octocat",
	"@octocat", "hi @octo-org/team!", "me@example.com", "#123", "octo/repo#1", "GH-7", "https://evil.example/", "www.evil.example", "WWW.evil.example",
	"http://evil.example", "ftp://evil.example", "<https://evil.example>", ":tada:", ":+1:", "$a$ $$b$$", "0123456789abcdef0123456789abcdef01234567",
	"line\nbreak\n\n# head\n| a | b |\n|---|---|\n", "\r\n\r\n", "\x00\x1b[31mred\x1b[0m\u202egnp.exe", "\u2028x", "\xff\xfe", "\t\ttab", "    indented", "",
	" ", "\u200b@\u200bx", "```\n~~~\n</details>\n\n# head", strings.Repeat("`", 300), strings.Repeat("界", 400), strings.Repeat("@a", 300), "a\\", "\\", "!", "![",
}

// fill puts a text wherever one of a stranger can be.
func fill(v checks.View, s string) checks.View {
	r := v.Run
	r.ID, r.SHA, r.Notes = s, s, []string{"run " + s}
	v.Notes = []string{"view " + s}
	v.RunURL, v.JobURL = s, func(string) string { return "https://x/" + s }
	for i := range r.Jobs {
		j := &r.Jobs[i]
		j.Key, j.Project, j.Title, j.Host, j.Label, j.Queue, j.Error, j.SHA = j.Key+s, s, s+"t", s, s+"l", s, s, s
		j.Needs = []string{s}
		for k := range j.Attempts {
			a := &j.Attempts[k]
			a.JobID, a.Error, a.Log = s, s, s+"\nerror: "+s+"\n"
		}
		for k := range j.Artifacts {
			j.Artifacts[k] = flow.Artifact{File: s, SHA256: s, Bytes: 1, Host: s}
		}
	}
	return v
}

// structure is what a text may not change.
func structure(p page) [6]int {
	return [6]int{p.rows, p.cells, p.items, p.fences, p.details, len(p.others)}
}

func TestHostile(t *testing.T) {
	for _, s := range hostile {
		for _, view := range []func(testing.TB) checks.View{passing, failing, cancelled, running} {
			plain, v := fill(view(t), "plain"), fill(view(t), s)
			want := structure(check(t, checks.Summary(plain, checks.MaxOutput), checks.MaxOutput))
			got := checks.Summary(v, checks.MaxOutput)
			if have := structure(check(t, got, checks.MaxOutput)); have != want {
				t.Errorf("%q changes rows, cells, items, fences, details, others from %v to %v:\n%s", s, want, have, got)
			}
			for i := range v.Run.Jobs {
				checkJob(t, v, plain, i, checks.MaxOutput)
			}
		}
	}
}

// checkJob checks a job's output against that of a harmless one.
func checkJob(t testing.TB, v, plain checks.View, i, limit int) {
	t.Helper()
	j := &v.Run.Jobs[i]
	if title := checks.JobTitle(v, j); len([]rune(title)) > checks.MaxTitle || strings.ContainsAny(title, "\n\x1b\x00") {
		t.Errorf("title %q", title)
	}
	p := check(t, checks.JobSummary(v, j, limit), limit)
	if limit >= checks.MaxOutput && j.SHA != "" && j.Title != "" {
		want := structure(check(t, checks.JobSummary(plain, &plain.Run.Jobs[i], limit), limit))
		if have := structure(p); have[0] != want[0] || have[1] != want[1] {
			t.Errorf("rows and cells %v, want %v", have, want)
		}
	}
	if p := check(t, checks.JobText(v, j, limit), limit); p.rows+p.items+p.details > 0 || p.fences > 1 {
		t.Errorf("text has %+v", p)
	}
}

// What is escaped still reads as it was.
func TestReadsRight(t *testing.T) {
	normal := func(s string) string {
		return strings.Join(strings.Fields(strings.ReplaceAll(flow.PlainText(s), "\u200b", "")), " ")
	}
	item := regexp.MustCompile(`(?s)<li>(.*?)</li>`)
	cell := regexp.MustCompile(`(?s)<td><code>(.*?)</code>`)
	summary := regexp.MustCompile(`(?s)<summary>❌ <code>(.*?)</code> failed.*?: <code>(.*?)</code></summary>`)
	for _, s := range hostile {
		if len(s) > 60 {
			continue
		}
		v := failing(t)
		v.Notes, v.Run.Notes = []string{"a " + s + " b"}, nil
		j := job(t, v, "build@hostB")
		j.Key, j.Project, j.Cause, j.Error = "k "+s+"k", s+"p", "", "e"+s+" e"
		source := checks.Summary(v, checks.MaxOutput)
		page := check(t, source, checks.MaxOutput).html
		// GitHub's parser ends a cell at the bar of this, goldmark does not.
		if strings.Contains(source, `\\|`) && !strings.Contains(s, `\\|`) {
			t.Errorf("%q gives a bar behind two backslashes", s)
		}
		var got []string
		for _, pattern := range []*regexp.Regexp{item, cell, summary} {
			m := pattern.FindStringSubmatch(page)
			if m == nil {
				t.Fatalf("%q: no %v in %s", s, pattern, page)
			}
			for _, text := range m[1:] {
				got = append(got, normal(html.UnescapeString(text)))
			}
		}
		want := []string{normal("Note: a " + s + " b"), normal(s + "p"), normal("k " + s + "k"), normal("e" + s + " e")}
		if !slices.Equal(got, want) {
			t.Errorf("%q reads\n%q, want\n%q", s, got, want)
		}
	}
}

func TestLinks(t *testing.T) {
	v := passing(t)
	for address, want := range map[string]string{
		"javascript:alert(1)":                "",
		"javascript://a.example/%0aalert(1)": "",
		"data:text/html,x":                   "",
		"//evil.example":                     "",
		"https:///x":                         "",
		" https://a.example":                 "",
		"HTTPS://a.example/(x)|y`z":          "HTTPS://a.example/%28x%29%7Cy%60z",
		"https://a.example/?a=1&copy=2":      "https://a.example/?a=1&copy=2",
		"https://a.example/a b<c>\"d":        "https://a.example/a%20b%3Cc%3E%22d",
	} {
		v.RunURL, v.JobURL = address, nil
		var wantLinks []string
		if want != "" {
			wantLinks = []string{want}
		}
		p := parsePage(t, checks.Summary(v, checks.MaxOutput))
		for i, l := range p.links { // as the browser gets it
			p.links[i] = strings.ReplaceAll(l, "&amp;", "&")
		}
		if !slices.Equal(p.links, wantLinks) {
			t.Errorf("%q: links %q, want %q", address, p.links, wantLinks)
		}
	}
}

func FuzzSummary(f *testing.F) {
	for i, s := range hostile {
		f.Add(s, hostile[(i+7)%len(hostile)], uint16(i*1500), byte(i))
	}
	f.Fuzz(func(t *testing.T, a, b string, limit uint16, which byte) {
		views := []func(testing.TB) checks.View{passing, failing, cancelled, running}
		view := views[int(which)%len(views)]
		v, plain := fill(view(t), a), fill(view(t), "plain")
		for i := range v.Run.Jobs { // two texts side by side
			j := &v.Run.Jobs[i]
			j.Host, j.Error = b, b
			for k := range j.Attempts {
				j.Attempts[k].Log += b
			}
		}
		check(t, checks.Summary(v, int(limit)), int(limit))
		p := check(t, checks.Summary(v, checks.MaxStepSummary), checks.MaxStepSummary)
		want := check(t, checks.Summary(plain, checks.MaxStepSummary), checks.MaxStepSummary)
		if p.rows != want.rows || p.details != want.details {
			t.Errorf("%d rows, %d details, want %d, %d", p.rows, p.details, want.rows, want.details)
		}
		checkJob(t, v, plain, int(which)%len(v.Run.Jobs), int(limit))
	})
}
