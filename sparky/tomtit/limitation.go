package tomtit

import (
	"strings"

	"github.com/cromt/cromt/flow"
)

// limit is something that Tomtit and Sparrow have and the built-in runner
// does not. It is refused before the first task of a scenario runs, with its
// place and its name. README.md of this package has the same table.
type limit struct {
	name    string // for the tests: the archives of testdata/refused name it
	where   string // kind of file
	what    string // what is not supported
	instead string // what to write instead, "" when there is only the host's own tom
}

// The limits of the built-in runner.
var (
	limitSyntax = &limit{"syntax", "scenario, configuration",
		"Raku beyond the documented part: blocks, loops, conditions, methods, operators, heredocs, `die`, `exit`", ""}
	limitModule    = &limit{"module", "scenario", "`use` of modules other than Sparrow6::DSL", ""}
	limitPlugin    = &limit{"plugin", "scenario", "plugins of a Sparrow repository: `task-run \"title\", \"plugin\"`, and the functions of the DSL that are one", "write a task of the checkout"}
	limitArguments = &limit{"arguments", "scenario", "`bash` with a user or options other than cwd, envvars, description and debug; `directory` with options; named arguments", "write a task of the checkout"}
	limitOutside   = &limit{"outside", "scenario", "tasks in folders outside of the checkout", "move the task into the checkout"}
	limitLanguage  = &limit{"language", "task", "tasks and hooks in Raku, Go, PowerShell and PHP", "write it in Bash, Perl, Ruby or Python"}
	limitModules   = &limit{"dependencies", "task", "dependencies that are installed first: cpanfile, Gemfile, requirements.txt, rakufile", "install them on the host and remove the file"}
	limitCode      = &limit{"code", "task.check", "`code:` and `generator:`, which run programs between checks", "check in the task itself, and let it fail"}
	limitSource    = &limit{"source", "task.check", "`source:`, which checks a file instead of the output", "print the file in a task"}
	limitDirective = &limit{"directive", "task.check", "`begin:`, `end:`, `between:` and `within:` with something else on the line, or inside of each other", "put each on a line of its own, and end: before the next"}
	limitBetween   = &limit{"between", "task.check", "`between:` from a regex to a line number", "give two regexes or begin with a line number"}
	limitRegex     = &limit{"regex", "task.check", "of regexes: lookaround, word boundaries, backreferences, `&`, `~`, `**?`, possessive `:`, modifiers other than :i, rules with a name other than alpha, digit, alnum, upper, lower, space, blank, cntrl, punct and xdigit, properties other than general categories, quotes other than ' and \"", ""}
	limitCapture   = &limit{"capture", "task.check", "in `within:`, where a check looks into the first capture of the one before: captures that are repeated, and captures beside `|`", "capture once, and write || for |"}
	limitRegexSize = &limit{"regex-size", "task.check", "regexes of more than 4096 bytes, with more than 64 brackets inside of each other, or that repeat too much", ""}
)

// limits are all of them, in the order of the documentation.
var limits = []*limit{
	limitSyntax, limitModule, limitPlugin, limitArguments, limitOutside, limitLanguage, limitModules,
	limitCode, limitSource, limitDirective, limitBetween, limitRegex, limitCapture, limitRegexSize,
}

// hint says what to do.
func (l *limit) hint() string {
	if l.instead == "" {
		return needsHost
	}
	return needsHost + "; or " + l.instead
}

// error refuses a construct at its place.
func (l *limit) error(file string, pos flow.Pos, construct string) *flow.Error {
	return &flow.Error{File: file, Pos: pos, Msg: construct + " is not supported by the built-in runner", Hint: l.hint()}
}

// limitTable is the table of README.md.
func limitTable() string {
	var b strings.Builder
	b.WriteString("| in | not supported | instead of it, without Raku on the host |\n|---|---|---|\n")
	for _, l := range limits {
		b.WriteString("| " + l.where + " | " + strings.ReplaceAll(l.what, "|", `\|`) + " | " + strings.ReplaceAll(l.instead, "|", `\|`) + " |\n")
	}
	return b.String()
}
