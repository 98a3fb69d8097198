package checks

import (
	"strings"
	"time"

	"github.com/cromt/cromt/flow"
)

// Text returns a text of strangers as one line of Markdown, of a few hundred
// characters at most, that mentions, refers to and formats nothing. It must
// not begin a line.
func Text(s string) string { return plain(oneLine(s, maxNote)) }

// Code is Text as code: as it was, and not looked at for mentions.
func Code(s string) string { return code(oneLine(s, maxReason)) }

// Block returns a text of strangers, what is no text removed, as a block of
// code that it cannot end. info is the block's language, "" for none.
func Block(info, text string) string {
	return fence(info, strings.Split(strings.TrimRight(flow.PlainText(text), "\n"), "\n"))
}

// Link returns text, which is Markdown already, as a link; only text when the
// address is not one of the web.
func Link(text, address string) string { return link(text, address) }

// Duration returns a duration for people, in its two largest units.
func Duration(d time.Duration) string { return readable(d) }

// Graph returns the graph of a run's plan as GitHub draws it, "" where there
// is none to draw; one that is too large is a sentence that says so.
func Graph(v View) string { return graphPart(v, MaxGraphBytes) }
