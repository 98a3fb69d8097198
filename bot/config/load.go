package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cromt/cromt/bot/trust"
	"github.com/cromt/cromt/flow"
)

// Load reads the configuration. path is that of bot.yaml, "" for variables
// alone; getenv is os.Getenv. The error is a [flow.ErrorList] of every
// problem, with its place in the file, or the name of the variable instead. No
// error repeats a secret, nor what may be one in the wrong place.
func Load(path string, getenv func(string) string) (*Config, error) {
	l := &loader{
		name: path, dir: filepath.Dir(path), getenv: getenv, texts: map[string]flow.Text{},
		c: &Config{Listen: DefaultListen, ConfigPath: DefaultConfigPath, Retention: DefaultRetention, GitHub: GitHub{APIURL: DefaultAPIURL}},
	}
	var data []byte
	if path != "" {
		var err error
		if data, err = readFile(path, flow.MaxFileSize); err != nil {
			return nil, flow.ErrorList{{File: path, Msg: err.Error(), Hint: "give another with --config, or set the variables CROMT_…"}}
		}
		l.addErrors(flow.ReadSettings(path, data, l.fileSettings()))
		l.unread = len(l.errs) > 0 && len(l.texts) == 0
	}
	for _, s := range settings() {
		l.read(s)
	}
	l.readHosts(data)
	l.readPools(data)
	l.readClones()
	l.checkAll()
	if len(l.errs) > 0 {
		l.errs.Sort()
		return nil, l.errs
	}
	return l.c, nil
}

// loader holds what reading a configuration needs.
type loader struct {
	c        *Config
	name     string // of bot.yaml
	dir      string // that files in it are relative to
	getenv   func(string) string
	texts    map[string]flow.Text // what the file says, by the setting's name
	clones   []clone              // likewise
	hasHosts bool                 // likewise
	hasPools bool                 // likewise
	unread   bool                 // the file is so wrong that nothing is known of it
	errs     flow.ErrorList
}

// value is what one setting is set to.
type value struct {
	text   string
	file   string // for messages: bot.yaml, or the name of the variable
	pos    flow.Pos
	dir    string // that files are relative to
	inYAML bool
}

func (l *loader) fail(v value, problem, hint string) {
	e := &flow.Error{File: v.file, Pos: v.pos, Msg: problem, Hint: hint}
	for _, known := range l.errs {
		if *known == *e { // bot.yaml is read for its hosts once more
			return
		}
	}
	l.errs = append(l.errs, e)
}

func (l *loader) addErrors(err error) {
	var list flow.ErrorList
	if errors.As(err, &list) {
		for _, e := range list {
			hint := e.Hint
			if e.Msg == `unknown key "token"` {
				hint = "write it to a file and token_file: FILE here, or token_secret: NAME and set CROMT_SECRET_NAME"
			}
			l.fail(value{file: e.File, pos: e.Pos}, e.Msg, hint)
		}
	}
}

func (l *loader) warn(format string, args ...any) {
	l.c.Warnings = append(l.c.Warnings, fmt.Sprintf(format, args...))
}

// lookup returns what the setting of that name is set to.
func (l *loader) lookup(name string) (value, bool) {
	env := variable(name)
	if text := strings.TrimSpace(l.getenv(env)); text != "" {
		return value{text: text, file: env}, true
	}
	t, ok := l.texts[name]
	return value{text: t.Value, file: l.name, pos: t.Pos, dir: l.dir, inYAML: true}, ok
}

// variable returns the name of a setting in the environment.
func variable(name string) string {
	return "CROMT_" + strings.ToUpper(strings.ReplaceAll(name, ".", "_"))
}

// read reads one setting.
func (l *loader) read(s setting) {
	v, ok := l.lookup(s.name)
	if s.secret && (!ok || v.inYAML) { // a variable with the secret goes before files
		named, found := l.lookup(s.name + "_file")
		if found && named.inYAML && ok {
			l.fail(named, fmt.Sprintf("%q and %q exclude each other", s.name, s.name+"_file"), "remove one")
			return
		}
		if found {
			text, err := l.secretFile(named)
			if err != nil {
				l.fail(named, fmt.Sprintf("%s_file: %v", s.name, err), "")
				return
			}
			v, ok = named, true
			v.text, v.inYAML = text, false
		}
	}
	if !ok {
		return
	}
	if problem, hint := s.take(l, v); problem != "" {
		l.fail(v, problem, hint)
	}
}

// secretFile returns what is in the file that v names, without white space
// around it.
func (l *loader) secretFile(v value) (string, error) {
	if strings.Contains(v.text, "-----BEGIN") {
		return "", errors.New("this is the secret itself, not the name of a file with it")
	}
	path := l.path(v)
	data, err := readFile(path, MaxSecret)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return "", errors.New("the file is empty")
	}
	if worldReadable(path) {
		l.warn("%s can be read by every user of this machine; chmod 600 it", path)
	}
	return text, nil
}

// path returns the path of the file that v names.
func (l *loader) path(v value) string {
	if rest, ok := strings.CutPrefix(v.text, "~/"); ok {
		return filepath.Join(l.getenv("HOME"), rest)
	}
	if filepath.IsAbs(v.text) {
		return v.text
	}
	return filepath.Join(v.dir, v.text)
}

// checkAll reports what is missing, and what does not fit together.
func (l *loader) checkAll() {
	for _, s := range settings() {
		if s.missing == nil || !s.missing(l.c) || l.failed(s.name) {
			continue
		}
		key := s.name
		if s.secret {
			key += "_file"
		}
		hint := fmt.Sprintf("write it, or set %s", variable(s.name))
		if below, ok := strings.CutPrefix(key, "github."); ok {
			hint = fmt.Sprintf("write %s under github, or set %s", below, variable(s.name))
		}
		l.fail(value{file: l.fileOrEnv()}, fmt.Sprintf("%q is missing", key), hint)
	}
	if g := l.c.GitHub; (g.ClientID != "") != g.ClientSecret.IsSet() && !l.failed("github.client_secret") {
		l.fail(value{file: l.fileOrEnv()}, `"github.client_id" and "github.client_secret_file" go together`, "give both, or none to have no sign-in")
	}
	if l.c.Database.Driver == "" && !l.failed("database") {
		takeDatabase(l, value{text: DefaultDatabase, dir: l.dir})
	}
	l.checkDefaultHost()
}

// failed reports whether the setting is there, and was refused, or may be
// there for all that is known.
func (l *loader) failed(name string) bool {
	if l.unread {
		return true
	}
	return slices.ContainsFunc(l.errs, func(e *flow.Error) bool {
		return e.File == variable(name) || e.File == variable(name+"_file") ||
			e.Pos.IsSet() && (e.Pos == l.texts[name].Pos || e.Pos == l.texts[name+"_file"].Pos)
	})
}

// fileOrEnv names what a missing setting is missing in.
func (l *loader) fileOrEnv() string {
	if l.name == "" {
		return "configuration"
	}
	return l.name
}

// checkDefaultHost wants it to be one of the hosts: another could not be used.
func (l *loader) checkDefaultHost() {
	v, ok := l.lookup("default_host")
	if !ok || len(l.errs) > 0 {
		return
	}
	want, err := trust.Address(v.text)
	if err != nil {
		l.fail(v, "default_host is refused: "+err.Error(), "write it like https://hostA:4000")
		return
	}
	var urls []string
	for _, h := range l.c.Hosts {
		if got, _ := trust.Address(h.URL); got == want {
			l.c.DefaultHost = h.URL
			return
		}
		urls = append(urls, h.URL)
	}
	l.fail(v, "default_host is none of the hosts", "it can be "+strings.Join(urls, ", "))
}

// readFile reads a regular file of at most limit bytes. Its errors do not
// name the file: what is in place of a name may be a secret.
func readFile(path string, limit int) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, bare(err)
	case !info.Mode().IsRegular():
		return nil, errors.New("is not a regular file")
	case info.Size() > int64(limit):
		return nil, fmt.Errorf("the file is larger than %d KiB; is it the right one?", limit>>10)
	}
	data, err := os.ReadFile(path)
	return data, bare(err)
}

// bare is err without the name of its file.
func bare(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
