package tomtit

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"

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
func (j *job) checkTask(name string, refuse func(*limit, string) error) error {
	dir, folder := j.splitTask(name)
	for _, d := range []string{dir, folder} {
		info, err := j.root.Stat(d)
		switch {
		case err != nil && absent(err):
			return nil
		case err != nil:
			return refuse(limitOutside, strconv.Quote(name)+" as a task")
		case !info.IsDir():
			return nil
		}
	}
	if err := j.checkLinks(dir, refuse); err != nil {
		return err
	}
	for _, f := range []string{"cpanfile", "Gemfile", "requirements.txt", "rakufile"} {
		if j.exists(path.Join(dir, f)) {
			return unsupportedFile(limitModules, path.Join(dir, f))
		}
	}
	if _, err := j.defaults(dir); err != nil {
		return err
	}
	if err := j.checkLinks(folder, refuse); err != nil {
		return err
	}
	if err := j.checkFolder(folder); err != nil {
		return err
	}
	if hook, _ := j.pickHook(folder); hook == "" {
		return nil
	}
	return j.checkBelow(path.Join(dir, "tasks"), refuse)
}

// checkLinks refuses files of a task that lie elsewhere, which would be taken
// for missing.
func (j *job) checkLinks(folder string, refuse func(*limit, string) error) error {
	names := []string{"task.check", "config.raku", "config.yaml", "common.bash", "common.rb"}
	for _, ext := range taskExts {
		names = append(names, "task."+ext, "hook."+ext, "job."+ext)
	}
	for _, name := range names {
		file := path.Join(folder, name)
		info, err := j.root.Lstat(file)
		if err != nil || info.Mode().IsRegular() {
			continue
		}
		if info, err = j.root.Stat(file); err != nil && !absent(err) {
			return refuse(limitOutside, strconv.Quote(file)+" in a task")
		}
		if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
			return refuse(limitOutside, strconv.Quote(file)+", which is no regular file,")
		}
	}
	return nil
}

// checkBelow checks every folder that a hook could run.
func (j *job) checkBelow(dir string, refuse func(*limit, string) error) error {
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
		if err := j.checkLinks(name, refuse); err != nil {
			return err
		}
		return j.checkFolder(name)
	})
	return err
}

// checkFolder refuses the hook, the task or the checks of one folder.
func (j *job) checkFolder(folder string) error {
	if file, ext := j.pickHook(folder); file != "" && !canRun(ext) {
		return unsupportedFile(limitLanguage, file)
	}
	file, ext := j.pick(folder, "task", taskExts[:])
	if file != "" && !canRun(ext) {
		return unsupportedFile(limitLanguage, file)
	}
	_, err := j.checks(folder)
	return err
}

// pickHook returns the hook of a folder: hook.*, or job.* as newer versions of
// Sparrow6 call it as well.
func (j *job) pickHook(folder string) (file, ext string) {
	if file, ext = j.pick(folder, "hook", taskExts[:]); file != "" {
		return file, ext
	}
	return j.pick(folder, "job", taskExts[:])
}

// checks parses task.check of a folder; there are none without it.
func (j *job) checks(folder string) ([]check, error) {
	file := path.Join(folder, "task.check")
	switch _, err := j.root.Lstat(file); {
	case err != nil && absent(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	src, err := j.readFile(file)
	if err != nil {
		return nil, err
	}
	return parseChecks(file, src)
}

func unsupportedFile(l *limit, file string) error {
	return l.error(file, flow.Pos{Line: 1, Col: 1}, strconv.Quote(path.Base(file)))
}

// defaults reads the settings of a task's folder: config.raku, or config.yaml
// where there is none.
func (j *job) defaults(dir string) (map[string]any, error) {
	if file := path.Join(dir, "config.raku"); j.exists(file) {
		config, err := j.evalFile(file)
		if err == nil {
			err = j.tooLarge()
		}
		v, _ := configValue(config).(map[string]any)
		return v, err
	}
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
