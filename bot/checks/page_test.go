package checks_test

import (
	"bytes"
	"html"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	east "github.com/yuin/goldmark/extension/ast"
	ghtml "github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
)

// page is what a reader of GitHub's Markdown makes of a text.
type page struct {
	html     string
	rows     int // of tables, without their heads
	cells    int
	items    int // of lists
	fences   int
	details  int
	headings int
	links    []string
	others   []string // elements that we never write
}

var (
	markdown = goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(ghtml.WithUnsafe()))
	opening  = regexp.MustCompile(`^<details( open)?><summary>❌ <code>[^<>]*</code> [^<>]*(: <code>[^<>]*</code>)?</summary>\n$`)
)

func parsePage(t testing.TB, source string) page {
	t.Helper()
	var p page
	src := []byte(source)
	var out bytes.Buffer
	if err := markdown.Convert(src, &out); err != nil {
		t.Fatal(err)
	}
	p.html = out.String()
	doc := markdown.Parser().Parse(text.NewReader(src))
	err := ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			p.add(n, src)
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *page) add(n ast.Node, src []byte) {
	switch n := n.(type) {
	case *ast.Document, *ast.Paragraph, *ast.Text, *ast.String, *ast.CodeSpan, *ast.Emphasis, *ast.List, *ast.TextBlock,
		*east.Table, *east.TableHeader:
	case *east.TableRow:
		p.rows++
	case *east.TableCell:
		p.cells++
	case *ast.ListItem:
		p.items++
	case *ast.FencedCodeBlock:
		p.fences++
	case *ast.Heading:
		p.headings++
	case *ast.Link:
		p.links = append(p.links, string(n.Destination))
	case *ast.HTMLBlock:
		switch s := string(n.Lines().Value(src)); {
		case opening.MatchString(s):
			p.details++
		case s == "</details>\n":
		default:
			p.others = append(p.others, s)
		}
	default: // images, automatic links, raw HTML, quotes, rules, …
		p.others = append(p.others, n.Kind().String())
	}
}

var (
	inert = regexp.MustCompile(`(?s)<pre>.*?</pre>|<code>.*?</code>|<a [^>]*>.*?</a>|<[^>]*>`)
	// What GitHub makes something of outside code.
	active = regexp.MustCompile(`@[A-Za-z0-9]|#[0-9]|(?i:gh-)[0-9]|://|(?i:www)\.|:[a-z0-9_+-]+:|\$[^\s\x{200b}]`)
)

// check fails the test when the text could do what we did not mean.
func check(t testing.TB, source string, limit int) page {
	t.Helper()
	if len(source) > limit {
		t.Errorf("%d bytes, limit %d", len(source), limit)
	}
	if !utf8.ValidString(source) {
		t.Errorf("not UTF-8: %q", source)
	}
	if i := strings.IndexFunc(source, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' || 0x7f <= r && r < 0xa0 || 0x202a <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069
	}); i >= 0 {
		t.Errorf("control character in %q", source[i:min(len(source), i+20)])
	}
	p := parsePage(t, source)
	if len(p.others) > 0 || p.headings > 0 {
		t.Errorf("elements that nobody wrote: %q, %d headings\n%s", p.others, p.headings, source)
	}
	for _, l := range p.links {
		if !strings.HasPrefix(l, "https://") && !strings.HasPrefix(l, "http://") {
			t.Errorf("link to %q", l)
		}
	}
	shown := html.UnescapeString(inert.ReplaceAllString(p.html, " "))
	if s := active.FindString(shown); s != "" {
		t.Errorf("%q outside code in %q", s, shown)
	}
	return p
}
