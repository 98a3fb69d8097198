package install

import (
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

// Flow is a flow file that is to be installed.
type Flow struct {
	// Source is the absolute path of the file, Data its text.
	Source string
	File   *flow.File
	Data   []byte
	// Program is the absolute path of cromt.
	Program string
	// Args are further arguments of cromt run, for all projects.
	Args []string
	// Repo is the repository of the file, as hosts clone it, Branch the branch
	// that runs, Folder where the file is in it. "" where no project needs them.
	Repo, Branch, Folder string
	// BranchOf returns the branch that a repository's scheduler is to watch
	// when the file names none; "" leaves it to the Sparky.
	BranchOf func(url string) string
}

// The files of a project.
const (
	sparrowfileName = "sparrowfile"
	settingsName    = "sparky.yaml"
	copyName        = "jobs.yaml"
	markName        = "cromt.json" // says whose the folder is
)

// project is a project's folder as it is to be.
type project struct {
	name  string
	files map[string][]byte
}

// mark is what is in markName.
type mark struct {
	Source string `json:"source"`
}

// projects renders all projects for the folder root.
func (f *Flow) projects(root string) ([]project, error) {
	data, own, err := f.resolved()
	if err != nil {
		return nil, err
	}
	data = append([]byte("# Installed by cromt apply from "+f.Source+": change that file, and apply it again.\n"), data...)
	if _, err := flow.Parse(copyName, data); err != nil {
		return nil, fmt.Errorf("copy of the flow file: %w", err)
	}
	mark, err := json.Marshal(mark{f.Source})
	if err != nil {
		return nil, err
	}
	list := make([]project, len(f.File.Projects))
	for i, p := range f.File.Projects {
		dir := filepath.Join(root, p.Name)
		script, err := f.sparrowfile(dir, p.Name, own)
		if err != nil {
			return nil, err
		}
		list[i] = project{p.Name, map[string][]byte{
			markName: append(mark, '\n'), copyName: data, settingsName: f.settings(p), sparrowfileName: script,
		}}
	}
	return list, nil
}

// resolved is the text of the copy, in which no project depends on where the
// copy is. Projects of folders of the repository have no path that says so:
// then all of the repository's are found through own, arguments of cromt run,
// so that they run at one commit.
func (f *Flow) resolved() (data []byte, own []string, err error) {
	needed, below := false, f.Folder != ""
	for _, p := range f.File.Projects {
		dir, ok := p.OwnPath()
		needed = needed || ok
		below = below || ok && dir != ""
	}
	switch {
	case !needed:
		return f.Data, nil, nil
	case below:
		// Without a folder the one that the copy happens to lie in would count.
		folder := path.Join(".", f.Folder)
		return f.Data, []string{"--repo", f.Repo, "--sha", "refs/heads/" + f.Branch, "--folder", folder}, nil
	}
	data, err = flow.Relocate(f.Source, f.Data, f.Repo, f.Branch)
	return data, nil, err
}

// sparrowfile runs cromt, by its first line on our agent and by Raku on a
// real Sparky. There the hang-up at the end of the terminal is ignored: it
// would be cromt's second signal after the TERM of a cancel, and the second one
// quits before the remote jobs are cancelled.
func (f *Flow) sparrowfile(dir, name string, own []string) ([]byte, error) {
	argv := append([]string{f.Program, "run", "--conf", filepath.Join(dir, copyName)}, f.Args...)
	argv = append(append(argv, own...), name)
	line, err := sparky.Direct{Argv: argv, Dir: dir}.Line()
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString(line)
	b.WriteString("# Installed by cromt apply from " + f.Source + ": change that file, and apply it again.\n")
	b.WriteString("my @command =\n")
	for _, arg := range append([]string{"bash", "-c", `trap "" HUP; exec "$@" </dev/null`, "cromt"}, argv...) {
		b.WriteString("  " + raku(arg) + ",\n")
	}
	b.WriteString(";\nmy $done = run |@command, :cwd(" + raku(dir) + ");\n")
	b.WriteString("exit $done.signal ?? 128 + $done.signal !! $done.exitcode;\n")
	return []byte(b.String()), nil
}

// raku is a text in Raku's single quotes, in which a backslash and a quote
// are what needs one before it.
func raku(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// settings is the sparky.yaml of a project: it is started by people, by its
// crontab, and by changes of its repository where it has a trigger, which is
// what trigger meant to the original. Nothing of it needs a network.
func (f *Flow) settings(p *flow.Project) []byte {
	var b strings.Builder
	b.WriteString("# Installed by cromt apply from " + f.Source + ": change that file, and apply it again.\n")
	b.WriteString("disabled: false\nallow_manual_run: true\nkeep_builds: 10\n")
	if p.Crontab.IsSet() {
		b.WriteString("crontab: " + quoted(p.Crontab.Value) + "\n")
	}
	if url, branch := f.watched(p); url != "" {
		b.WriteString("scm:\n  url: " + quoted(url) + "\n")
		if branch != "" {
			b.WriteString("  branch: " + quoted(branch) + "\n")
		}
	}
	b.WriteString("sparrowdo:\n  no_sudo: true\n  no_index_update: true\n  bootstrap: false\n  format: default\n  repo: " + sparky.DefaultSparrowRepo + "\n")
	return []byte(b.String())
}

// watched is the repository whose changes start a project, "" for none.
func (f *Flow) watched(p *flow.Project) (url, branch string) {
	pushes := false
	for _, e := range p.Trigger.Events {
		pushes = pushes || e.Name == "push"
	}
	if !pushes {
		return "", ""
	}
	branch = p.Branch.Value
	if _, own := p.OwnPath(); own {
		if branch == "" {
			branch = f.Branch
		}
		return f.Repo, branch
	}
	url = p.Path.Value
	if strings.HasPrefix(url, "/") || strings.HasPrefix(url, "~") {
		return "", "" // a folder of the hosts
	}
	if branch == "" && f.BranchOf != nil {
		branch = f.BranchOf(url)
	}
	return url, branch
}

// quoted is a text in YAML's double quotes, which take what JSON's do.
func quoted(s string) string {
	data, _ := json.Marshal(s) // a string has a JSON form
	return string(data)
}
