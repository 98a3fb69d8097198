package checks_test

import (
	"strings"
	"testing"

	"github.com/cromt/cromt/bot/checks"
)

func TestText(t *testing.T) {
	const hostile = "@octo #1 [a](http://b) <img> `x` **y**\n> z\x1b[31m"
	text := checks.Text(hostile)
	for _, bad := range []string{"@octo", "#1", "](", "<img", "`x`", "**y", "\n", "\x1b"} {
		if strings.Contains(text, bad) {
			t.Errorf("%q in %q", bad, text)
		}
	}
	if code := checks.Code("a``b\nc"); code != "```a``b c```" {
		t.Errorf("code %q", code)
	}
	block := checks.Block("", "one\n````\n@octo\x1b[0m\n")
	if block != "`````\none\n````\n@octo\n`````\n" {
		t.Errorf("block %q", block)
	}
	if link := checks.Link("x", "javascript:alert(1)"); link != "x" {
		t.Errorf("link %q", link)
	}
}
