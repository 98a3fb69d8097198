package trigger

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func matches(t testing.TB, pattern, name string) bool {
	t.Helper()
	g, ok := parseGlob(pattern)
	if !ok {
		return false
	}
	m := matcher{work: MaxWork}
	got, done := m.match(g, name)
	if !done {
		t.Fatalf("%q of %q takes all work", pattern, name)
	}
	return got
}

// TestGlob: the examples of GitHub's documentation come first.
func TestGlob(t *testing.T) {
	tests := []struct{ glob, yes, no string }{ // names, separated by spaces
		{"feature/*", "feature/my-branch feature/your-branch", "feature feature/beta-a/my-branch xfeature/a"},
		{"feature/**", "feature/beta-a/my-branch feature/your-branch feature/mona/the/octocat", "feature features/x"},
		{"main", "main", "Main mainly domain main/x"},
		{"releases/mona-the-octocat", "releases/mona-the-octocat", "releases"},
		{"*", "main releases README.md server.rb", "a/b"},
		{"**", "all/the/branches every/tag all/the/files.md", ""},
		{"*feature", "mona-feature feature ver-10-feature", "features a/feature"},
		{"v2*", "v2 v2.0 v2.9", "v1 v2/x"},
		{"v[12].[0-9]+.[0-9]+", "v1.10.1 v2.0.0", "v3.0.0 v1.10 v1..1 v1.10.x v12.1.1"},
		{"*.jsx?", "page.js page.jsx", "page.jsxx page.j a/page.js"},
		{"*.js", "app.js index.js", "src/app.js app.jsx"},
		{"**.js", "index.js js/index.js src/js/app.js", "index.jsx"},
		{"docs/*", "docs/README.md docs/file.txt", "docs/mona/octocat.txt docs x/docs/a"},
		{"docs/**", "docs/README.md docs/mona/octocat.txt", "docs documents/a x/docs/a"},
		{"docs/**/*.md", "docs/README.md docs/mona/hello-world.md docs/a/markdown/file.md", "docs/a.txt README.md docs.md docsx/a.md"},
		{"**/docs/**", "docs/hello.md dir/docs/my-file.txt space/docs/plan/space.doc", "mydocs/a docs"},
		{"**/README.md", "README.md js/README.md a/b/README.md", "XREADME.md README.mdx"},
		{"**/*src/**", "a/src/app.js my-src/code/js/app.js", "src2/a"},
		{"**/*-post.md", "my-post.md path/their-post.md", "post.md"},
		{"**/migrate-*.sql", "migrate-10909.sql db/migrate-v1.0.sql db/sept/migrate-v1.sql", "db/migrate.sql"},

		// What is beyond them.
		{"a**/b", "a/b ab/b a/x/b", "b ab"},
		{"a/**/b", "a/b a/x/b a/x/y/b", "ab a/xb axb a/x/yb"},
		{"**/**/a", "a x/a x/y/a", "xa x/ya"},
		{"***", "a/b a", ""},
		{"a**", "a a/b", "b"},
		{"*?", "a ab", "a/b"},
		{"*+", "a ab", "a/b"},
		{"ab+?c", "ac abc abbc", "abd"},
		{"ab?+c", "ac abc abbc", "abd"},
		{"[a-c]?x", "x ax cx", "dx aax"},
		{"[^a]x", "bx", "ax /x"},
		{"a[^b]c", "axc", "abc a/c"},
		{"[a-]x", "ax -x", "bx"},
		{"a[.-0]b", "a.b a0b", "a/b"}, // a set is never a slash
		{`\*`, "*", "a"},
		{`a\+b`, "a+b", "aab ab"},
		{`\[a]`, "[a]", "a"},
		{`[\]]`, "]", `\`},
		{"é?x", "x éx", "ex"},
		{"日本", "日本", "日"},
		{"a.b", "a.b", "axb"},
		{"(a|b)", "(a|b)", "a b"},
		{"^a$", "^a$", "a"},

		// Without a meaning.
		{"?", "", "? a"},
		{"+a", "", "+a a"},
		{"[a", "", "[a a"},
		{`a\`, "", `a a\`},
		{strings.Repeat("a", MaxGlob+1), "", strings.Repeat("a", MaxGlob+1)},
	}
	for _, tt := range tests {
		for _, name := range strings.Fields(tt.yes) {
			if !matches(t, tt.glob, name) {
				t.Errorf("%q does not match %q", tt.glob, name)
			}
		}
		for _, name := range strings.Fields(tt.no) {
			if matches(t, tt.glob, name) {
				t.Errorf("%.80q matches %.80q", tt.glob, name)
			}
		}
	}
}

// TestGlobBounded: the work ends a match that would take long, and counts all
// that takes time.
func TestGlobBounded(t *testing.T) {
	const work = MaxWork / 20
	name := strings.Repeat("a", MaxGlob)
	for _, pattern := range []string{
		strings.Repeat("*a", MaxGlob/2-1) + "b",
		strings.Repeat("a?", MaxGlob/2-1) + "b",
		strings.Repeat("a?", MaxGlob/4) + strings.Repeat("a+", MaxGlob/4-1),
		strings.Repeat("**/", MaxGlob/3),
		strings.Repeat("[a-z]+", MaxGlob/6),
		strings.Repeat("[^"+strings.Repeat("b", 1000)+"]+", 4),
		strings.Repeat("a", MaxGlob-1) + "?",
	} {
		g, ok := parseGlob(pattern)
		if !ok {
			t.Fatalf("%.20q", pattern)
		}
		m := matcher{work: work}
		begin, n := time.Now(), 0
		for done := true; done && n < 2*work; n++ {
			_, done = m.match(g, name)
		}
		t.Logf("%.8q: %d matches in %v", pattern, n, time.Since(begin))
		if m.work >= 0 {
			t.Errorf("%.8q: %d matches cost %d only", pattern, n, work-m.work)
		}
	}
}

// FuzzGlob compares with the regular expression that says the same.
func FuzzGlob(f *testing.F) {
	for _, seed := range [][2]string{{"docs/**/*.md", "docs/a/b.md"}, {"v[12].[0-9]+", "v1.22"}, {"**/a?b+", "x/bb"}, {"*.jsx?", "a.js"}, {"a**/b", "a/b"}, {`\*[^a-c]`, "*d"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		whole, ok := parseGlob(pattern)
		if !ok || len(pattern) > 50 || len(name) > 50 || !utf8.ValidString(pattern) || !utf8.ValidString(name) {
			return
		}
		g := whole.rest
		var b strings.Builder
		b.WriteString(`(?s)\A` + regexp.QuoteMeta(whole.prefix))
		for i := 0; i < len(g); i++ {
			quantifier := map[[2]bool]string{{false, false}: "", {true, false}: "?", {false, true}: "+", {true, true}: "*"}[[2]bool{g[i].optional, g[i].repeated}]
			switch {
			case g[i].folders && !g[i+1].optional && !g[i+1].repeated:
				b.WriteString("(?:.*/)?")
				i++
			case g[i].folders || g[i].kind == class:
				return // the expression would not be simpler than the code
			case g[i].kind == any:
				b.WriteString(".*")
			case g[i].kind == star:
				b.WriteString("[^/]*")
			default:
				b.WriteString("(?:" + regexp.QuoteMeta(string(g[i].char)) + ")" + quantifier)
			}
		}
		re, err := regexp.Compile(b.String() + `\z`)
		if err != nil {
			return
		}
		if got, want := matches(t, pattern, name), re.MatchString(name); got != want {
			t.Errorf("%q of %q: %v, %s says %v", pattern, name, got, re, want)
		}
	})
}
