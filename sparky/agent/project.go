package agent

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

// projectFolder is a project that people have made: ROOT/projects/NAME.
type projectFolder struct {
	name, path  string
	sparrowfile string
	settings
}

// settings are what a sparky.yaml says.
type settings struct {
	Sparrowdo  map[string]any
	Tags       map[string]string // of sparrowdo.tags
	Crontab    string            // five fields, in the time zone of the host
	SCM        *scm
	Manual     bool // allow_manual_run
	Disabled   bool
	KeepBuilds int // 0: as Config says
	Downstream string
	Vars       []variable
	Groups     []string // group_vars
}

// scm is the branch whose new commits start builds.
type scm struct{ URL, Branch string }

// variable is a parameter that people give when they start a build.
type variable struct {
	Name     string
	Type     string // input, password, textarea, checkbox or select
	Default  string
	Values   []string // of a select
	Multiple bool
	Group    []string
}

var (
	errNoProject = errors.New("no such project folder")
	errDisabled  = errors.New("the project is disabled by its sparky.yaml")
)

func (a *Agent) projectPath(name string) string {
	return filepath.Join(a.cfg.Root, dirProjects, name)
}

// readFolder reads a project's folder. errNoProject when there is no
// sparrowfile in it.
func (a *Agent) readFolder(name string) (*projectFolder, error) {
	p := &projectFolder{name: name, path: a.projectPath(name)}
	text, err := readRegular(filepath.Join(p.path, "sparrowfile"), maxSparrowfile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("project %s: %w", name, errNoProject)
	}
	if err != nil {
		return nil, fmt.Errorf("project %s: %w", name, err)
	}
	p.sparrowfile = string(text)
	data, err := readRegular(filepath.Join(p.path, "sparky.yaml"), maxSettings)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = p.read(a.fillIn(name, string(data)))
	}
	if err != nil {
		return nil, fmt.Errorf("project %s: sparky.yaml: %w", name, err)
	}
	return p, nil
}

// isDisabled reports whether the project's folder says so. It is asked for
// every job that is queued: most have no folder.
func (a *Agent) isDisabled(name string) bool {
	if _, err := os.Stat(filepath.Join(a.projectPath(name), "sparky.yaml")); err != nil {
		return false
	}
	p, err := a.readFolder(name)
	return err == nil && p.Disabled
}

// readRegular reads a file that people write, at most limit bytes.
func readRegular(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s: more than %d bytes", path, limit)
	}
	return data, err
}

// folderNames lists the projects that have a folder, sorted.
func (a *Agent) folderNames() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(a.cfg.Root, dirProjects))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if sparky.ProjectName.MatchString(e.Name()) {
			if fi, err := os.Stat(filepath.Join(a.projectPath(e.Name()), "sparrowfile")); err == nil && fi.Mode().IsRegular() {
				names = append(names, e.Name())
			}
		}
	}
	return names, nil
}

// inTemplate is a place for a shared variable in a sparky.yaml.
var inTemplate = regexp.MustCompile(`%([A-Za-z_][A-Za-z0-9_.-]*)%`)

// fillIn replaces %name% by the variables shared among projects, which are in
// ROOT/templates/vars.yaml and, going before them, those of this machine in
// ROOT/templates/hosts/NAME/vars.yaml. Unknown names stay.
func (a *Agent) fillIn(project, text string) string {
	if !inTemplate.MatchString(text) {
		return text
	}
	var shared []map[string]any
	host, _ := os.Hostname() // "" finds no file
	for _, path := range []string{filepath.Join("hosts", filepath.Base(host), "vars.yaml"), "vars.yaml"} {
		if data, err := readRegular(filepath.Join(a.cfg.Root, "templates", path), maxSettings); err == nil {
			if v, err := flow.DecodeYAML(data); err == nil {
				doc, _ := v.(map[string]any)
				vars, _ := doc["vars"].(map[string]any)
				shared = append(shared, vars)
			}
		}
	}
	return inTemplate.ReplaceAllStringFunc(text, func(place string) string {
		name := strings.Trim(place, "%")
		if name == "PROJECT" {
			return project
		}
		for _, vars := range shared {
			var at any = vars
			for part := range strings.SplitSeq(name, ".") {
				m, _ := at.(map[string]any)
				at = m[part]
			}
			if s, ok := scalarText(at); ok {
				return s
			}
		}
		return place
	})
}

// scalarText returns a YAML scalar as text.
func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool, int64, float64:
		return fmt.Sprint(v), true
	}
	return "", false
}

// read reads the text of a sparky.yaml. Keys that it does not know are
// ignored, as a Sparky does.
func (s *settings) read(text string) error {
	v, err := flow.DecodeYAML([]byte(text))
	if err != nil {
		return err
	}
	doc, ok := v.(map[string]any)
	if !ok && v != nil {
		return errors.New("must be a map")
	}
	if s.Sparrowdo, ok = doc["sparrowdo"].(map[string]any); !ok && doc["sparrowdo"] != nil {
		return errors.New("sparrowdo: must be a map")
	}
	if list, ok := s.Sparrowdo["tags"].(string); ok {
		s.Tags = decodeTags(list)
	}
	delete(s.Sparrowdo, "tags")
	s.Manual, s.Disabled = isSet(doc["allow_manual_run"]), isSet(doc["disabled"])
	if n, ok := doc["keep_builds"].(int64); ok && n > 0 {
		s.KeepBuilds = int(min(n, 1_000_000))
	}
	if s.Downstream, _ = doc["downstream"].(string); s.Downstream != "" && !sparky.ProjectName.MatchString(s.Downstream) {
		return fmt.Errorf("downstream %q: not a project's name", cut(s.Downstream, 50))
	}
	if s.Crontab, _ = doc["crontab"].(string); s.Crontab != "" && flow.NextTime(s.Crontab, time.Now()).IsZero() {
		return fmt.Errorf("crontab %q: must be five fields: minute, hour, day, month, weekday", cut(s.Crontab, 50))
	}
	if err := s.readSCM(doc["scm"]); err != nil {
		return fmt.Errorf("scm: %w", err)
	}
	return s.readVars(doc)
}

func (s *settings) readSCM(v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	url, _ := m["url"].(string)
	branch, _ := scalarText(m["branch"])
	s.SCM = &scm{url, cmpOr(branch, "master")}
	return checkGit(&sparky.SpecSource{Kind: sparky.SpecGit, URL: url, Ref: s.SCM.Branch})
}

func (s *settings) readVars(doc map[string]any) error {
	list, ok := doc["vars"].([]any)
	if !ok && doc["vars"] != nil {
		return errors.New("vars: must be a list")
	}
	for i, item := range list {
		m, _ := item.(map[string]any)
		v := variable{Multiple: isSet(m["multiple"]), Values: texts(m["values"]), Group: texts(m["group"])}
		v.Name, _ = scalarText(m["name"])
		v.Type, _ = scalarText(m["type"])
		v.Default, _ = scalarText(m["default"])
		if v.Name == "" || len(v.Name) > 100 || strings.ContainsAny(v.Name, ",= \t\r\n'") {
			return fmt.Errorf("vars: number %d: name %q: must be a word", i+1, cut(v.Name, 50))
		}
		v.Type = cmpOr(v.Type, "input")
		if !slices.Contains([]string{"input", "password", "textarea", "checkbox", "select"}, v.Type) {
			return fmt.Errorf("vars: %s: type %q: must be input, password, textarea, checkbox or select", v.Name, cut(v.Type, 50))
		}
		s.Vars = append(s.Vars, v)
	}
	s.Groups = texts(doc["group_vars"])
	return nil
}

// texts returns a scalar or a list of them as texts.
func texts(v any) (list []string) {
	if items, ok := v.([]any); ok {
		for _, item := range items {
			if s, ok := scalarText(item); ok {
				list = append(list, s)
			}
		}
	} else if s, ok := scalarText(v); ok {
		list = []string{s}
	}
	return list
}

// varsOf returns the parameters of a group, all when it is "".
func (s *settings) varsOf(group string) (vars []variable) {
	for _, v := range s.Vars {
		if group == "" || slices.Contains(v.Group, group) {
			vars = append(vars, v)
		}
	}
	return vars
}
