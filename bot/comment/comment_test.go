package comment_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cromt/cromt/bot/comment"
)

const sha = "1d4e1c5f7a6b0c9d8e2f3a4b5c6d7e8f90a1b2c3"

// text writes a command as the tables below have it.
func text(c comment.Command) string {
	s := fmt.Sprintf("%d %s %q", c.Line, c.Verb, c.Args)
	for _, v := range c.Vars {
		s += fmt.Sprintf(" %s=%q", v.Name, v.Value)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Flags)) {
		s += " " + name + "=" + c.Flags[name]
	}
	return s
}

func results(body string) string {
	commands, errs := comment.Parse(body)
	var all []string
	for _, c := range commands {
		all = append(all, text(c))
	}
	for _, e := range errs {
		all = append(all, "! "+e.Error())
	}
	return strings.Join(all, "\n")
}

func TestParse(t *testing.T) {
	tests := []struct{ body, want string }{
		{"", ""},
		{"looks good", ""},
		{"/cromt run", `1 run []`},
		{"/cromt run\r\n", `1 run []`},
		{"Thanks!\r\n\r\n/cromt run build test\r\n", `3 run ["build" "test"]`},
		{"text\n/cromt\tRUN\t build  ", `2 run ["build"]`},
		{"/cromt run a\n/cromt Status\ntext\n/cromt why b", "1 run [\"a\"]\n2 status []\n4 why [\"b\"]"},
		{"/cromt run\r/cromt help", "1 run []\n2 help []"},
		{`/cromt run A=1 build B="x y" C= D="" E=a=b`, `1 run ["build"] A="1" B="x y" C="" D="" E="a=b"`},
		{`/cromt run A="a \"b\" \\ \n" `, `1 run [] A="a \"b\" \\ \\n"`},
		{`/cromt run A=$(id);rm B=é`, `1 run [] A="$(id);rm" B="é"`},
		{"/cromt run --fail-fast --timeout 1h30m x", `1 run ["x"] --fail-fast=true --timeout=1h30m`},
		{"/cromt run --timeout=90s", `1 run [] --timeout=90s`},
		{"/cromt retry --fail-fast", `1 retry [] --fail-fast=true`},
		{"/cromt cancel", `1 cancel []`},
		{"/cromt ok " + sha, `1 ok ["` + sha + `"]`},
		{"/cromt plan A=1 x", `1 plan ["x"] A="1"`},
		{"/cromt logs build host.A-1", `1 logs ["build" "host.A-1"]`},

		// Not commands.
		{"/cromtx run", ""},
		{"/cromt-run", ""},
		{"/Cromt run", ""},
		{"please /cromt run", ""},
		{" /cromt run", ""},
		{"\t/cromt run", ""},
		{"    /cromt run", ""},
		{"- /cromt run", ""},
		{"/сromt run", ""},      // Cyrillic es
		{"／cromt run", ""},      // full-width solidus
		{"∕cromt run", ""},      // division slash
		{"/cromt\u00a0run", ""}, // no-break space
		{"/cromt\u200b run", ""},
		{"\ufeff/cromt run", ""},
		{"a\u2028/cromt run", ""}, // ends no line in Markdown
		{"a\u0085/cromt run", ""},
		{"a\v/cromt run\f/cromt run", ""},

		// Errors.
		{"/cromt", "! line 1: the command has no verb; write /cromt help to see them"},
		{"/cromt rnu", `! line 1: unknown verb "rnu"; did you mean run?`},
		{"x\n/cromt STAUS", `! line 2: unknown verb "STAUS"; did you mean status?`},
		{"/cromt deploy", `! line 1: unknown verb "deploy"; verbs are run, retry, cancel, ok, plan, status, why, logs, help`},
		{"/cromt o\u212a", `! line 1: unknown verb "o\u212a"; verbs are run, retry, cancel, ok, plan, status, why, logs, help`}, // Kelvin sign
		{"/cromt run $(id)", `! line 1: "$(id)" is not the name of a project or host; use letters, digits, dots, dashes and underscores, beginning with a letter or a digit`},
		{"/cromt cancel now", "! line 1: wrong number of arguments for cancel: 1; write /cromt cancel"},
		{"/cromt logs", "! line 1: wrong number of arguments for logs: 0; write /cromt logs build hostA"},
		{"/cromt ok", "! line 1: wrong number of arguments for ok: 0; write /cromt ok " + sha},
		{"/cromt ok 1d4e1c5", `! line 1: "1d4e1c5" is not a commit; write all 40 digits of its SHA`},
		{"/cromt ok HEAD", `! line 1: "HEAD" is not a commit; write all 40 digits of its SHA`},
		{`/cromt run A="x`, `! line 1: a quote is not closed; end the value with "`},
		{`/cromt run A="x\"`, `! line 1: a quote is not closed; end the value with "`},
		{`/cromt run A="x"y`, `! line 1: no space after a closing quote; write \" for a quote within the value`},
		{`/cromt run A='x y'`, `! line 1: the value of "A" has a quote in it; write KEY="value", and \" for a quote within`},
		{`/cromt run A-B=1`, `! line 1: "A-B" is not the name of a variable; use letters, digits and underscores, not beginning with a digit`},
		{`/cromt run =1`, `! line 1: "" is not the name of a variable; use letters, digits and underscores, not beginning with a digit`},
		{`/cromt run 1A=1`, `! line 1: "1A" is not the name of a variable; use letters, digits and underscores, not beginning with a digit`},
		{`/cromt run A=1 A="2"`, `! line 1: variable "A" is set twice; remove one`},
		{`/cromt status A=1`, `! line 1: status takes no variables; only run and plan do`},
		{`/cromt run --force`, `! line 1: unknown flag "--force"; there are --fail-fast and --timeout 30m`},
		{`/cromt run -x`, `! line 1: unknown flag "-x"; there are --fail-fast and --timeout 30m`},
		{`/cromt run --fail-fast=1`, `! line 1: --fail-fast takes no value`},
		{`/cromt run --fail-fast --fail-fast`, `! line 1: flag --fail-fast is given twice; remove one`},
		{`/cromt run --timeout`, `! line 1: "" is not a timeout; write --timeout 30m, at most 720h`},
		{`/cromt run --timeout 10000h`, `! line 1: "10000h" is not a timeout; write --timeout 30m, at most 720h`},
		{`/cromt run --timeout -5m`, `! line 1: "-5m" is not a timeout; write --timeout 30m, at most 720h`},
		{`/cromt help --fail-fast`, `! line 1: help takes no flags; only run and retry do`},
		{"/cromt run a\x00b", "! line 1: the command has a control character; remove it"},
		{"/cromt run A=\x1b[31m", "! line 1: the command has a control character; remove it"},
		{"/cromt run A=\xff", "! line 1: the command has a control character; remove it"},
		{"/cromt run A=" + strings.Repeat("x", comment.MaxLine), "! line 1: the command is longer than 4096 bytes"},
		{"/cromt run bad/name\n/cromt status", "2 status []\n" + `! line 1: "bad/name" is not the name of a project or host; use letters, digits, dots, dashes and underscores, beginning with a letter or a digit`},
	}
	for _, test := range tests {
		if got := results(test.body); got != test.want {
			t.Errorf("%.100q:\n got %s\nwant %s", test.body, got, test.want)
		}
	}
}

// TestParseNames holds the arguments to what jobs.yaml allows.
func TestParseNames(t *testing.T) {
	for _, name := range []string{"a", "Z9", "a.b-c_d", "0", strings.Repeat("x", 100)} {
		if got := results("/cromt run " + name); got != fmt.Sprintf("1 run [%q]", name) {
			t.Errorf("%q: %s", name, got)
		}
	}
	bad := []string{
		"../x", "/etc/passwd", "..%2f", "%00", ".git", "_x", "a/b", `a\b`, "a;b", "a|b", "`id`", "$HOME", "a*", "~", "@everyone", "#1", "<b>", "é", "аpp", "a\u202eb",
		strings.Repeat("x", 101), strings.Repeat("@octocat", 1000)[:4000], "'a'", `"a"`, "a\u00a0b", "[x](javascript:alert(1))", "![](http://x)",
	}
	for _, name := range bad {
		commands, errs := comment.Parse("/cromt run " + name)
		if len(commands) != 0 || len(errs) != 1 {
			t.Errorf("%q: %v, %v", name, commands, errs)
			continue
		}
		if msg := errs[0].Msg; len(msg) > 250 || strings.ContainsFunc(msg, func(r rune) bool { return r > '~' || r < ' ' }) {
			t.Errorf("%q: the error is long or not ASCII: %q", name, msg)
		}
	}
}

const askAgain = "not clear whether this line is part of a quote, of code or of HTML; write the command in a comment of its own, or first"

// TestParseMarkdown has commands in and around what Markdown does not show as
// text. A line with RUN is a command, one with ASK is an error, the others are
// nothing.
func TestParseMarkdown(t *testing.T) {
	tests := []string{
		// Fenced code.
		"```\n/cromt run\n```\nRUN",
		"```bash\n/cromt run\n``\n/cromt run\n`````  \nRUN",
		"~~~ `x`\n/cromt run\n```\n/cromt run\n~~~\nRUN",
		"```\n/cromt run",
		"text\n```\n/cromt run\n```\nRUN",
		"  ```\n/cromt run\n   ```\nRUN",
		"```\n/cromt run\n    ```\n/cromt run\n\t```\n/cromt run\n``` x\n/cromt run",
		"``` a`b\nRUN",
		"    ```\nRUN",
		"\t```\nRUN",
		"```\r\n/cromt run\r\n```\r\nRUN",
		"```\n<!--\n```\nRUN",
		"```\n> x\n```\nRUN",
		"- ```\n  /cromt run\n  ```\n\nASK",
		"- text\n  ```\n  x\n  ```\nASK",
		"- text\n\nmore\n\n  ```\n/cromt run\n  ```\nRUN",
		"1. ~~~\nASK",
		"-\n  ```\nASK",
		"10\\. x\n```\n/cromt run\n```\nRUN",
		"* * *\n\nRUN",

		// Inline code.
		"`a\n/cromt run\n`",
		"``a ` b\n/cromt run\n``",
		"`a`\nRUN",
		"`a\nRUN",
		"`a\nRUN\n\n`",
		"`a\n\nRUN\n`",
		"a `b` c `\n/cromt run\n` d",
		"see `b`\nRUN\nand `c`",
		"\\`a\nRUN\n`",
		"\\` `a\n/cromt run\n`",
		"# `\n`a\nASK\n`",
		"fix `a\nb`\nRUN\nand",
		"x\n/cromt run `a`", // the line itself is wrong: see below

		// Quotes.
		"> /cromt run\n\nRUN",
		"> x\nASK",
		"> x\n\nRUN",
		">x\n> y\n\nthanks\nRUN",
		"> ```\n> /cromt run\n\nRUN",
		"> ```\n\nRUN",
		"- > x\nASK",
		"   > x\nASK\n\nRUN",

		// HTML.
		"<!-- /cromt run -->\nRUN",
		"<!--\n/cromt run\n-->\nRUN",
		"<!--\n\n/cromt run\n\n-->\n\nRUN",
		"<!--\n/cromt run",
		"<!--\n```\n-->\nRUN\n\n```\n/cromt run\n```",
		"text <!-- x -->\nRUN",
		"text <!--\nASK\n-->",
		"<!-- a --> <!--\nASK\n-->",
		"<!--\na --> <!--\nASK\n-->",
		"> <!--\n\nASK",
		"text <!-- ` -->\nRUN\n`",
		"<pre>\n/cromt run\n\n/cromt run\n</pre>\nRUN",
		"<PRE class=x>\n/cromt run\n</Pre>\nRUN",
		"<pre>\n</script>\n```\n</pre>\n/cromt run\n```\nRUN",
		"<br>\nASK\n\nRUN",
		"text <code>\nASK\n</code>",
		"text <code>x</code>\nRUN",
		"<code>\nASK\n</code>",
		"<details>\nASK\n</details>\n\nRUN",
		"<details>\n\n```\n/cromt run\n```\n\n</details>\n\nRUN",
		"<div>\n```\n</div>\n\nASK\n\n```\nASK",
		"<?\n\n```\n?>\nRUN\n```\n/cromt run\n```\nRUN",
		"<!X\n```\n>\nRUN",
		"<![CDATA[\n/cromt run\n]]>\nRUN",
		"- <!--\nASK",
		"- a\n  <pre>\nASK",
		"a < b\nRUN",
	}
	for _, test := range tests {
		if strings.Contains(test, "run `a`") {
			if got := results(test); !strings.HasPrefix(got, "! line 2: \"`a`\" is not the name") {
				t.Errorf("%q: %s", test, got)
			}
			continue
		}
		var commands, errs []string
		for i, line := range strings.Split(strings.ReplaceAll(test, "\r\n", "\n"), "\n") {
			switch line {
			case "RUN":
				commands = append(commands, fmt.Sprintf("%d run []", i+1))
			case "ASK":
				errs = append(errs, fmt.Sprintf("! line %d: %s", i+1, askAgain))
			}
		}
		want := strings.Join(append(commands, errs...), "\n")
		body := strings.NewReplacer("RUN", "/cromt run", "ASK", "/cromt run").Replace(test)
		if got := results(body); got != want {
			t.Errorf("%q:\n got %s\nwant %s", test, got, want)
		}
	}
}

func TestParseLimits(t *testing.T) {
	ten := strings.Repeat("/cromt run\n", comment.MaxCommands)
	if commands, errs := comment.Parse(ten); len(commands) != 10 || errs != nil {
		t.Errorf("10 commands: %d, %v", len(commands), errs)
	}
	if got := results(ten + "/cromt help"); got != "! line 11: more than 10 commands in a comment; write several comments" {
		t.Error(got)
	}
	padding := strings.Repeat("@octocat ", comment.MaxBody/9)
	if got := results("/cromt run\n" + padding); got != "! the comment is longer than 65536 bytes; write the command in a comment of its own" {
		t.Error(got)
	}
	if got := results(padding + padding); got != "" {
		t.Errorf("a long comment without a command: %s", got)
	}
	if got := results("/cromt run\n\n" + padding[:60_000]); got != "1 run []" {
		t.Errorf("60,000 bytes of mentions: %s", got)
	}
	// What is slowest: many backticks above as many commands as are looked at.
	slow := strings.Repeat("` ``\n", 40) + strings.Repeat("/cromt run\n", 10) + strings.Repeat("``` ", 15_000)
	commands, errs := comment.Parse(slow)
	if len(commands)+len(errs) > 10 {
		t.Errorf("%d commands, %d errors", len(commands), len(errs))
	}
	if got := results(strings.Repeat("x\n", 51) + "/cromt run"); got != "! line 52: "+askAgain {
		t.Error(got)
	}
}

// TestHelp parses each example, and sees that the help is no command itself.
func TestHelp(t *testing.T) {
	help := comment.Help()
	if got := results(help); got != "" {
		t.Errorf("the help is a command: %s", got)
	}
	var verbs []string
	for line := range strings.Lines(help) {
		_, rest, ok := strings.Cut(line, "- `")
		if !ok {
			continue
		}
		example, does, _ := strings.Cut(rest, "` ")
		commands, errs := comment.Parse(example)
		if len(commands) != 1 || errs != nil || does == "" {
			t.Errorf("%s: %v, %v", example, commands, errs)
			continue
		}
		verbs = append(verbs, commands[0].Verb)
	}
	if got := strings.Join(verbs, " "); got != "run retry cancel ok plan status why logs help" {
		t.Errorf("verbs %s", got)
	}
}
