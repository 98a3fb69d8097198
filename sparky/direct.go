package sparky

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Direct is a command that stands in the first line of a sparrowfile, for our
// agent to run in place of the Raku below it:
//
//	# cromt: {"argv":["/usr/local/bin/cromt","run","job1"],"dir":"/home/me/flow"}
//
// A real Sparky takes the line for the comment that it is and runs the Raku,
// which should do the same. Our agent needs no Raku then, and its cancel reaches
// the command as TERM, with [DirectGrace] to end what it has started elsewhere.
type Direct struct {
	// Argv is the program and its arguments. The program is an absolute path,
	// or a name that is looked up in the PATH of the agent's jobs.
	Argv []string `json:"argv"`
	// Dir is where it runs: an absolute path, or ~ or ~/… of the agent's user.
	Dir string `json:"dir"`
}

const directPrefix = "# cromt: "

// Line returns the line, with its line feed. It fails for a command that
// [ParseDirect] would refuse.
func (d Direct) Line() (string, error) {
	if err := d.check(); err != nil {
		return "", fmt.Errorf("first line of the sparrowfile: %w", err)
	}
	var b strings.Builder
	enc := json.NewEncoder(&b) // ends with a line feed
	enc.SetEscapeHTML(false)
	if err := enc.Encode(d); err != nil {
		return "", fmt.Errorf("first line of the sparrowfile: %w", err)
	}
	return directPrefix + b.String(), nil
}

// ParseDirect returns the command in the first line of a sparrowfile, nil when
// there is none. The error says what is wrong with one that is there.
func ParseDirect(sparrowfile string) (*Direct, error) {
	line, _, _ := strings.Cut(sparrowfile, "\n")
	text, found := strings.CutPrefix(line, directPrefix)
	if !found {
		return nil, nil
	}
	var d Direct
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields() // of a later version: half a command must not run
	err := dec.Decode(&d)
	if err == nil && strings.TrimSpace(text[dec.InputOffset():]) != "" {
		err = errors.New("something follows the object")
	}
	if err == nil {
		err = d.check()
	}
	if err != nil {
		return nil, fmt.Errorf("first line of the sparrowfile: %w", err)
	}
	return &d, nil
}

func (d Direct) check() error {
	if len(d.Argv) == 0 || d.Argv[0] == "" {
		return errors.New("argv: names no program")
	}
	for _, arg := range d.Argv {
		if strings.ContainsRune(arg, 0) {
			return errors.New("argv: an argument has a NUL byte")
		}
	}
	if strings.Contains(d.Argv[0], "/") && !filepath.IsAbs(d.Argv[0]) {
		return fmt.Errorf("argv: program %q: must be an absolute path or a plain name", d.Argv[0])
	}
	if d.Dir != "~" && !strings.HasPrefix(d.Dir, "~/") && !filepath.IsAbs(d.Dir) || strings.ContainsRune(d.Dir, 0) {
		return fmt.Errorf("dir %q: must begin with / or ~/", d.Dir)
	}
	return nil
}
