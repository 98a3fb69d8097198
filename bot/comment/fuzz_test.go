package comment_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/cromt/cromt/bot/comment"
)

var (
	nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
	varForm  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,99}$`)
)

// check holds what is true of the commands of every comment.
func check(t *testing.T, body string) []comment.Command {
	commands, errs := comment.Parse(body)
	lines := strings.Split(strings.ReplaceAll(strings.ReplaceAll(body, "\r\n", "\n"), "\r", "\n"), "\n")
	if len(commands)+len(errs) > 20*comment.MaxCommands {
		t.Errorf("%d commands, %d errors", len(commands), len(errs))
	}
	for _, e := range errs {
		if e.Line < 0 || e.Line > len(lines) || e.Msg == "" || strings.ContainsAny(e.Error(), "\n\r\x1b") {
			t.Errorf("%+v of %q", e, body)
		}
	}
	for _, c := range commands {
		if c.Line < 1 || c.Line > len(lines) || !strings.HasPrefix(lines[c.Line-1], "/cromt") || !strings.HasPrefix(lines[c.Line-1], c.Text) {
			t.Errorf("%+v is not a line of %q", c, body)
		}
		for _, arg := range c.Args {
			if !nameForm.MatchString(arg) {
				t.Errorf("argument %q", arg)
			}
		}
		for i, v := range c.Vars {
			if !varForm.MatchString(v.Name) || strings.ContainsFunc(v.Value, func(r rune) bool { return r != '\t' && unicode.IsControl(r) }) {
				t.Errorf("variable %q", v)
			}
			if slices.ContainsFunc(c.Vars[:i], func(w comment.Var) bool { return w.Name == v.Name }) {
				t.Errorf("variable %s twice", v.Name)
			}
		}
		for name := range c.Flags {
			if name != "--fail-fast" && name != "--timeout" {
				t.Errorf("flag %q", name)
			}
		}
	}
	return commands
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "/cromt run", "/cromt run a B=\"c d\" --timeout 5m\r\n/cromt help", "> x\n/cromt run", "```\n/cromt run\n```", "`a\n/cromt status\n`",
		"<!--\n/cromt run\n-->", "- ```\n/cromt run", "/cromt run A=\"\\\"\" $(id) ../x --x", "<pre>\n\t/cromt\n</pre>",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) { check(t, body) })
}

// parts builds a comment of pieces of Markdown, one for each byte of plan:
// whatever the pieces before it are, no command in one of these is one.
func parts(plan []byte) string {
	pieces := []string{
		"text\n\n", "- item\n\n", "1. item\n   more\n\n", "> quote\n> /cromt run evil\n\n", "```\n/cromt run evil\n```\n", "~~~~ sh\n```\n/cromt run evil\n~~~~\n",
		"    /cromt run evil\n\n", "\n\t/cromt run evil\n\n", "`code\n/cromt run evil\n`\n\n", "``a `\n/cromt run evil\n``\n\n", "<!-- x\n/cromt run evil\n\n/cromt run evil\n-->\n",
		"<!-- a -->\n\n", "<pre>\n/cromt run evil\n</pre>\n\n", "# `heading\n", "\n", "see `x` and `y`\n\n", "<details>\n\n", "</details>\n\n", "text ``` more\n\n",
		"> a\n>\n> ```\n> /cromt run evil\n> ```\n\n", "- a\n  ```\n  /cromt run evil\n  ```\n\n", "a \\` b\n\n", "/cromt run good\n\n", "***\n", "a `` b ` c\n\n", "<br>\n\n",
	}
	var b strings.Builder
	for _, n := range plan {
		b.WriteString(pieces[int(n)%len(pieces)])
	}
	return b.String()
}

func FuzzParseParts(f *testing.F) {
	for i := range 26 {
		f.Add([]byte{byte(i), 22, byte(i + 4), 22})
	}
	f.Fuzz(func(t *testing.T, plan []byte) {
		body := parts(plan)
		for _, c := range check(t, body) {
			if slices.Contains(c.Args, "evil") {
				t.Errorf("line %d is a command in %q", c.Line, body)
			}
		}
	})
}
