package comment

import (
	"fmt"
	"strings"
)

// Command is one line of a comment.
type Command struct {
	Verb string // of those that Help lists, in lower case
	// Args are projects of the form that jobs.yaml wants, the project and
	// host of logs, or the commit of ok: 40 or 64 hexadecimal digits.
	Args  []string
	Vars  []Var             // in order, no name twice
	Flags map[string]string // --fail-fast: "true"; --timeout: a duration, 30m
	Line  int               // of the comment, from 1
	Text  string            // the line as it was written: escape it where it is shown
}

// Var is KEY=value. The value is any text without control characters.
type Var struct{ Name, Value string }

// Error is what is wrong with a comment. Msg and Hint are plain text in one
// line; what they cite of the comment is quoted, in ASCII and short, but must
// still be escaped for Markdown.
type Error struct {
	Line int // from 1; 0 for the comment as a whole
	Msg  string
	Hint string // what to do; "" when there is nothing to say
}

func (e Error) Error() string {
	text := e.Msg
	if e.Line > 0 {
		text = fmt.Sprintf("line %d: %s", e.Line, e.Msg)
	}
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// Parse returns the commands of a comment in order, and what is wrong with
// it. A line with an error is no command; a comment with too many commands,
// or too long, has none. A comment without a command has no errors.
func Parse(body string) ([]Command, []Error) {
	body = strings.ReplaceAll(strings.ReplaceAll(body, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(body, "\n")
	if len(body) > MaxBody {
		for _, line := range lines {
			if isCommand(line) {
				return nil, []Error{{0, fmt.Sprintf("the comment is longer than %d bytes", MaxBody), "write the command in a comment of its own"}}
			}
		}
		return nil, nil
	}
	var commands []Command
	var errs []Error
	seen := 0
	for i, kind := range classify(lines) {
		if !isCommand(lines[i]) || kind == hidden {
			continue
		}
		if seen++; seen > MaxCommands {
			return nil, []Error{{i + 1, fmt.Sprintf("more than %d commands in a comment", MaxCommands), "write several comments"}}
		}
		if kind == unclear {
			errs = append(errs, Error{i + 1, "not clear whether this line is part of a quote, of code or of HTML", "write the command in a comment of its own, or first"})
			continue
		}
		command, problems := parseLine(lines[i])
		for _, e := range problems {
			errs = append(errs, Error{i + 1, e.Msg, e.Hint})
		}
		if problems == nil {
			command.Line = i + 1
			commands = append(commands, command)
		}
	}
	return commands, errs
}

// isCommand says whether line begins as a command does.
func isCommand(line string) bool {
	rest, ok := strings.CutPrefix(line, "/cromt")
	return ok && (rest == "" || rest[0] == ' ' || rest[0] == '\t')
}
