package action

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Inputs are those of action.yml, from the environment.
type Inputs struct {
	Config      string   // the flow file; "" is the first of the usual names
	Projects    []string // none: the file's roots
	Vars        map[string]string
	Secrets     map[string]string
	Hosts       string // YAML
	CloneToken  string
	Local       bool
	Checks      string // off, aggregate or per-host
	GitHubToken string
	Timeout     time.Duration // 0: none
	FailFast    bool
	Report      string // path; "" is below RUNNER_TEMP
	Annotations bool
	Comment     bool
	Merge       bool // of a pull request, run the merge commit and not its head
	Cancel      bool // command: cancel
}

// ReadInputs reads the inputs. The error names every one that is wrong, and
// tells no value of a secret.
func ReadInputs(getenv func(string) string) (Inputs, error) {
	r := inputReader{getenv: getenv}
	in := Inputs{
		Config:      r.text("config"),
		Projects:    strings.Fields(r.text("projects")),
		Vars:        r.pairs("vars"),
		Secrets:     r.pairs("secrets"),
		Hosts:       r.raw("hosts"),
		CloneToken:  r.text("clone-token"),
		Local:       r.boolean("local", false),
		Checks:      r.word("checks", "off", "aggregate", "per-host"),
		GitHubToken: r.text("github-token"),
		Timeout:     r.duration("timeout"),
		FailFast:    r.boolean("fail-fast", false),
		Report:      r.text("report"),
		Annotations: r.boolean("annotations", true),
		Comment:     r.boolean("comment", false),
		Merge:       r.word("ref", "head", "merge") == "merge",
		Cancel:      r.word("command", "run", "cancel") == "cancel",
	}
	return in, errors.Join(r.errs...)
}

// Masked returns what of the inputs must never be shown.
func (in *Inputs) Masked() []string {
	values := []string{in.CloneToken, in.GitHubToken}
	for _, v := range in.Secrets {
		values = append(values, v)
	}
	return values
}

type inputReader struct {
	getenv func(string) string
	errs   []error
}

func (r *inputReader) fail(name, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("input %s: %s", name, fmt.Sprintf(format, args...)))
}

// raw is an input as it is. action.yml writes "_" for "-" in the names: a
// shell does not pass on others.
func (r *inputReader) raw(name string) string {
	v := r.getenv("INPUT_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
	if len(v) > maxInput {
		r.fail(name, "it has more than %d bytes", maxInput)
		return ""
	}
	return v
}

func (r *inputReader) text(name string) string { return strings.TrimSpace(r.raw(name)) }

func (r *inputReader) boolean(name string, otherwise bool) bool {
	switch v := r.text(name); strings.ToLower(v) {
	case "":
		return otherwise
	case "true":
		return true
	case "false":
		return false
	default:
		r.fail(name, "%q is neither true nor false", v)
		return otherwise
	}
}

// word is one of the words; the first one is the default.
func (r *inputReader) word(name string, words ...string) string {
	v := r.text(name)
	if v == "" {
		return words[0]
	}
	for _, w := range words {
		if v == w {
			return w
		}
	}
	r.fail(name, "%q is none of %s", v, strings.Join(words, ", "))
	return words[0]
}

func (r *inputReader) duration(name string) time.Duration {
	v := r.text(name)
	if v == "" {
		return 0
	}
	d, err := time.ParseDuration(v)
	if n, nerr := strconv.Atoi(v); nerr == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d <= 0 {
		r.fail(name, "%q is no time; write it like 90s or 1h30m", v)
		return 0
	}
	return d
}

// pairs reads NAME=value lines, and values of several lines written as
// NAME<<END, the lines, END, as in the runner's own files. Errors tell a line's
// number and not what is in it.
func (r *inputReader) pairs(name string) map[string]string {
	pairs := map[string]string{}
	lines := strings.Split(strings.ReplaceAll(r.raw(name), "\r\n", "\n"), "\n")
	for at := 0; at < len(lines); {
		if t := strings.TrimSpace(lines[at]); t == "" || strings.HasPrefix(t, "#") {
			at++
			continue
		}
		key, value, used, problem := readPair(lines[at:])
		_, twice := pairs[key]
		switch {
		case problem != "":
			r.fail(name, "line %d %s", at+1, problem)
		case !isName(key):
			r.fail(name, "line %d: a name has letters, digits and _, and does not begin with a digit", at+1)
		case twice:
			r.fail(name, "line %d: %s is given twice", at+1, key)
		default:
			pairs[key] = value
		}
		at += used
	}
	return pairs
}

// readPair reads the pair that begins at the first of the lines, and says how
// many it took.
func readPair(lines []string) (key, value string, used int, problem string) {
	key, value, single := strings.Cut(lines[0], "=")
	name, end, several := strings.Cut(lines[0], "<<")
	if several && len(name) < len(key) {
		key, end = strings.TrimSpace(name), strings.TrimSpace(end)
		for i, line := range lines[1:] {
			if line == end {
				return key, strings.Join(lines[1:1+i], "\n"), i + 2, ""
			}
		}
		return key, "", len(lines), "begins a value that nothing ends"
	}
	if !single {
		return "", "", 1, "is not NAME=value"
	}
	return strings.TrimSpace(key), value, 1, ""
}

func isName(s string) bool {
	return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789") == "" && (s[0] < '0' || s[0] > '9')
}
