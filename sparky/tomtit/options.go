package tomtit

import (
	"strings"
	"unicode"
)

// usage is what tom prints for options that it does not know.
const usage = `Usage:
  tom [--verbose] [--no_index_update] [--quiet] [-q] [--color] [--completion] [--clean] [--help] [--init] [--list] [--profile] [--remove] [--doc] [--cat] [--lines] [--last] [--edit] [--env-set] [--dump_task] [--env-edit] [--env-list] [--env-cat] [--env=<Str>] [--tags=<Str>] [<run>]`

// options are those of tom that say how a scenario runs.
type options struct {
	quiet, verbose, color, dump bool
	env                         string
	tags                        map[string]any
}

// parseOptions reads command line options; ok is false for one that is not
// known or that does something else than run a scenario.
func parseOptions(args []string) (o options, ok bool) {
	o.tags = make(map[string]any)
	for _, arg := range args {
		name, value, hasValue := strings.Cut(arg, "=")
		switch {
		case name == "--env" && hasValue:
			o.env = value
		case name == "--tags" && hasValue:
			o.tags = parseTags(value)
		case arg == "--verbose":
			o.verbose = true
		case arg == "--quiet" || arg == "-q":
			o.quiet = true
		case arg == "--color":
			o.color = true
		case arg == "--dump_task":
			o.dump = true
		case arg == "--no_index_update":
		default:
			return o, false
		}
	}
	return o, true
}

// parseTags decodes a=1,b=2: the key goes to the last = before any white
// space, the markers stand for what would end a value.
func parseTags(s string) map[string]any {
	markers := strings.NewReplacer("___comma___", ",", "___eq___", "=", "___nl___", "\n", "___space___", " ")
	tags := make(map[string]any)
	if s == "" {
		return tags
	}
	for part := range strings.SplitSeq(s, ",") {
		word := part
		if i := strings.IndexFunc(part, unicode.IsSpace); i >= 0 {
			word = part[:i]
		}
		if i := strings.LastIndexByte(word, '='); i > 0 {
			tags[part[:i]] = markers.Replace(part[i+1:])
		} else {
			tags[part] = true
		}
	}
	return tags
}
