package tomtit

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/cromt/cromt/flow"
)

// maxFolders of tasks that a hook may run, which are all looked at before.
const maxFolders = 1000

// The files of a folder in Sparrow's order: the first that is there is run.
var (
	taskExts = [...]string{"raku", "pl6", "pl", "bash", "go", "rb", "py", "ps1", "php"}
)

// canRun are the languages that the built-in runner has helpers for.
func canRun(ext string) bool { return ext == "pl" || ext == "bash" || ext == "rb" || ext == "py" }

// exists reports whether name is a regular file inside of the checkout.
func (j *job) exists(name string) bool {
	info, err := j.root.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// pick returns the file with the first of the extensions, "" for none.
func (j *job) pick(folder, stem string, exts []string) (file, ext string) {
	for _, ext := range exts {
		if file := path.Join(folder, stem+"."+ext); j.exists(file) {
			return file, ext
		}
	}
	return "", ""
}

// checkTask refuses a task that needs more than the built-in runner has. A
// task that is not there is reported when its turn comes, as tom does it.
func (j *job) checkTask(name string, refuse func(string, ...any) error) error {
	dir, folder := j.splitTask(name)
	for _, d := range []string{dir, folder} {
		info, err := j.root.Stat(d)
		switch {
		case err != nil && absent(err):
			return nil
		case err != nil:
			return refuse("task %q is not a folder inside of the checkout", name)
		case !info.IsDir():
			return nil
		}
	}
	for _, f := range []string{"config.raku", "cpanfile", "Gemfile", "requirements.txt", "rakufile"} {
		if j.exists(path.Join(dir, f)) && (f != "config.raku" || !j.exists(path.Join(dir, "config.yaml"))) {
			return unsupportedFile(path.Join(dir, f))
		}
	}
	if _, err := j.defaults(dir); err != nil {
		return err
	}
	if err := j.checkFolder(folder); err != nil {
		return err
	}
	if hook, _ := j.pick(folder, "hook", taskExts[:]); hook == "" {
		return nil
	}
	return j.checkBelow(path.Join(dir, "tasks"))
}

// checkBelow checks every folder that a hook could run.
func (j *job) checkBelow(dir string) error {
	folders := 0
	err := fs.WalkDir(j.root.FS(), dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && absent(err):
			return nil
		case err != nil:
			return err
		case !d.IsDir():
			return nil
		}
		if folders++; folders > maxFolders {
			return fmt.Errorf("check tasks: more than %d folders in %s", maxFolders, dir)
		}
		return j.checkFolder(name)
	})
	return err
}

// checkFolder refuses the hook, the task or the checks of one folder.
func (j *job) checkFolder(folder string) error {
	for _, stem := range []string{"hook", "task"} {
		exts := taskExts[:]
		if file, ext := j.pick(folder, stem, exts); file != "" && !canRun(ext) {
			return unsupportedFile(file)
		}
	}
	check := path.Join(folder, "task.check")
	if !j.exists(check) {
		return nil
	}
	src, err := j.readFile(check)
	if err != nil {
		return err
	}
	for line := range strings.Lines(src) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return unsupportedFile(check)
		}
	}
	return nil
}

func unsupportedFile(file string) error {
	return &flow.Error{File: file, Pos: flow.Pos{Line: 1, Col: 1}, Msg: fmt.Sprintf("%q is not supported by the built-in runner", path.Base(file)), Hint: needsHost}
}

// defaults reads config.yaml of a task's folder.
func (j *job) defaults(dir string) (map[string]any, error) {
	file := path.Join(dir, "config.yaml")
	if !j.exists(file) {
		return nil, nil
	}
	src, err := j.readFile(file)
	if err != nil {
		return nil, err
	}
	v, err := flow.DecodeYAML([]byte(src))
	var list flow.ErrorList
	if errors.As(err, &list) {
		for _, e := range list {
			e.File = file
		}
	}
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, nil
	}
	m, ok := fromPlain(v).(map[string]any)
	if !ok {
		return nil, &flow.Error{File: file, Pos: flow.Pos{Line: 1, Col: 1}, Msg: "the defaults of a task are no map"}
	}
	return m, nil
}
