package agent

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cromt/cromt/sparky"
)

// decodeSpec checks a sparrowdo-config. It returns nil for one that is not of
// a cromt job.
func decodeSpec(data []byte) (*sparky.Spec, error) {
	data = bytes.TrimSpace(data)
	if len(data) == 0 || data[0] != '{' || !bytes.Contains(data, []byte(`"cromt"`)) {
		return nil, nil
	}
	var spec sparky.Spec
	if bytes.HasPrefix(data, usualSpec) && json.Unmarshal(data, &spec) == nil && spec.Cromt == sparky.SpecVersion {
		return completeSpec(&spec)
	}
	var version struct {
		Cromt json.RawMessage `json:"cromt"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return nil, err
	}
	switch string(version.Cromt) {
	case "", "null", "0":
		return nil, nil
	case fmt.Sprint(sparky.SpecVersion):
	default:
		return nil, fmt.Errorf("cromt: version %s of the job's format is not known to this agent, which reads %d; update the agent",
			cut(string(version.Cromt), 20), sparky.SpecVersion)
	}
	spec = sparky.Spec{}
	if err := json.Unmarshal(data, &spec); err != nil {
		return nil, err
	}
	return completeSpec(&spec)
}

// usualSpec is how the jobs of our own client begin, which are read in one go.
var usualSpec = []byte(`{"cromt":` + strconv.Itoa(sparky.SpecVersion) + `,`)

func completeSpec(spec *sparky.Spec) (*sparky.Spec, error) {
	if len(spec.Actions) == 0 {
		spec.Actions = []string{"default"}
	}
	return spec, checkSpec(spec)
}

func checkSpec(s *sparky.Spec) error {
	if err := checkSource(&s.Source); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	for _, action := range s.Actions {
		if !isPlainPath(action) {
			return fmt.Errorf("action %q: not a scenario's name", cut(action, 50))
		}
	}
	for _, option := range s.Options {
		if strings.ContainsRune(option, 0) {
			return errors.New("options: an option has a NUL byte")
		}
	}
	if err := checkEnv(s); err != nil {
		return err
	}
	if err := checkFiles(s); err != nil {
		return err
	}
	if s.Timeout < 0 || s.Timeout > maxSeconds || s.Lease < 0 || s.Lease > maxSeconds {
		return fmt.Errorf("timeout and lease: must be from 0 to %d seconds", maxSeconds)
	}
	return nil
}

func checkEnv(s *sparky.Spec) error {
	for name, value := range s.Env {
		if !isEnvName(name) {
			return fmt.Errorf("env: %q is not a variable's name", cut(name, 50))
		}
		b, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return fmt.Errorf("env: %s: %w", name, err)
		}
		if bytes.IndexByte(b, 0) >= 0 {
			return fmt.Errorf("env: %s: a variable cannot hold a NUL byte", name)
		}
	}
	return nil
}

func isEnvName(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

func checkFiles(s *sparky.Spec) error {
	if len(s.In) > maxInOut || len(s.Out) > maxInOut {
		return fmt.Errorf("in and out: more than %d files", maxInOut)
	}
	for _, in := range s.In {
		if !sparky.FileName.MatchString(in.Name) {
			return fmt.Errorf("in: name %q: must match %s", cut(in.Name, 50), sparky.FileName)
		}
		if !isPlainPath(in.Path) || strings.Count(in.Path, "/") > 1 {
			return fmt.Errorf("in: path %q: must be a file or label/file", cut(in.Path, 50))
		}
	}
	for _, out := range s.Out {
		if !sparky.FileName.MatchString(out.File) {
			return fmt.Errorf("out: file %q: must match %s", cut(out.File, 50), sparky.FileName)
		}
		if !isPlainPath(path.Clean(out.Path)) {
			return fmt.Errorf("out: path %q: must be below the checkout", cut(out.Path, 50))
		}
	}
	return nil
}

func checkSource(s *sparky.SpecSource) error {
	if s.Auth != "" && s.Kind != sparky.SpecGit {
		return errors.New("auth: is for git alone")
	}
	switch s.Kind {
	case sparky.SpecGit:
		if err := checkGit(s); err != nil {
			return err
		}
	case sparky.SpecArchive:
		if !sparky.ProjectName.MatchString(s.Project) || !sparky.JobID.MatchString(s.JobID) || !sparky.FileName.MatchString(s.File) {
			return errors.New("archive: project, job_id and file must name a file of this host")
		}
		if len(s.SHA256) != 64 || !isHex(s.SHA256) {
			return errors.New("archive: sha256 must have 64 hexadecimal digits")
		}
	case sparky.SpecDir:
		if s.Dir != "~" && !strings.HasPrefix(s.Dir, "~/") && !filepath.IsAbs(s.Dir) || strings.ContainsRune(s.Dir, 0) {
			return fmt.Errorf("dir %q: must begin with / or ~/", cut(s.Dir, 100))
		}
		return nil
	default:
		return fmt.Errorf("kind %q is not known to this agent; it knows git, dir and archive", cut(s.Kind, 20))
	}
	if s.Dir != "" && s.Dir != "." && !isPlainPath(s.Dir) {
		return fmt.Errorf("dir %q: must be below the checkout's root", cut(s.Dir, 100))
	}
	return nil
}

func checkGit(s *sparky.SpecSource) error {
	if s.URL == "" || s.URL[0] == '-' || namesHelper(s.URL) || hasControl(s.URL) {
		return fmt.Errorf("url %q: not a repository's address", cut(s.URL, 100))
	}
	if !isRef(s.Ref) {
		return fmt.Errorf("ref %q: not a branch, tag or commit", cut(s.Ref, 100))
	}
	if s.Commit != "" && !isCommit(s.Commit) {
		return fmt.Errorf("commit %q: must have 40 or 64 hexadecimal digits", cut(s.Commit, 70))
	}
	if s.Auth == "" {
		return nil
	}
	if _, ok := password(s.Auth); !ok {
		return errors.New("auth: must be base64 of user:password")
	}
	if sparky.GitAuth(s.URL, s.Auth) == nil {
		return errors.New("auth: is sent to an https URL without a password only")
	}
	return nil
}

// password returns what is secret in a SpecSource.Auth.
func password(auth string) (string, bool) {
	b, err := base64.StdEncoding.DecodeString(auth)
	_, word, ok := strings.Cut(string(b), ":")
	return word, ok && err == nil && !hasControl(auth) // the decoder leaves out line feeds
}

// namesHelper reports whether git would take url for helper::address, which
// names a program to run as the transport.
func namesHelper(url string) bool {
	helper, _, found := strings.Cut(url, "::")
	return found && !strings.ContainsAny(helper, "/[@:")
}

// isRef reports whether s is empty or follows git's rules for names of refs,
// so that it can be no option, refspec or revision expression.
func isRef(s string) bool {
	if s == "" {
		return true
	}
	if strings.ContainsAny(s, " ~^:?*[\\") || hasControl(s) || strings.Contains(s, "..") || strings.Contains(s, "@{") || len(s) > 1000 {
		return false
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || part[0] == '.' || part[0] == '-' || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return !strings.HasSuffix(s, ".") && s != "@"
}

func isCommit(s string) bool { return (len(s) == 40 || len(s) == 64) && isHex(s) }

func isHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// isPlainPath reports whether s is a relative slash-separated path without
// . and .., options or control characters in it.
func isPlainPath(s string) bool {
	if s == "" || len(s) > 1000 || hasControl(s) || strings.Contains(s, `\`) {
		return false
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || part == "." || part == ".." || part[0] == '-' {
			return false
		}
	}
	return true
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
