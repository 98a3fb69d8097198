package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cromt/cromt/cmd/cromt/gitrepo"
	"github.com/cromt/cromt/cmd/cromt/install"
	"github.com/cromt/cromt/flow"
)

type applyCmd struct {
	confFlag
	Root       string   `placeholder:"DIR" help:"Where the Sparky has its projects. Default: ~/.sparky/projects."`
	Prune      bool     `help:"Remove projects that were installed from this file and are not in it any more, with their builds."`
	Branch     string   `placeholder:"NAME" help:"Branch of the file's own repository to run. Default: the one that is checked out."`
	Hosts      string   `placeholder:"FILE" help:"The hosts file that runs use. Default: what cromt run finds by itself."`
	SecretFile []string `sep:"none" placeholder:"NAME=FILE" help:"A secret that runs take from a file. Repeatable."`
}

// Help implements kong.HelpProvider.
func (applyCmd) Help() string {
	return `Installs each project of the flow file on the Sparky of this machine, the original or cromt agent. On its pages,
http://127.0.0.1:4000, it can then be started; its crontab starts it, and with trigger a change of its repository.
Such a job runs the project with all that it needs, on all of its hosts, and cancelling it cancels theirs.

cromt --conf FILE means the same, as it did in the original. What is installed is a copy of the file, in which path: .
is the remote origin and its branch; change the file itself and apply it again.`
}

// Run is the subcommand.
func (c *applyCmd) Run(ctx context.Context, p *program) error {
	root, err := c.root(p)
	if err != nil {
		return usage(err)
	}
	f, err := c.flow(ctx, p)
	if err != nil {
		return usage(err)
	}
	changes, err := install.Install(root, f, c.Prune)
	for _, ch := range changes {
		line := fmt.Sprintf("%s: %s", ch.Project, ch.Outcome)
		if ch.Outcome == install.Gone {
			line += " from the file, and left installed; --prune removes it"
		}
		fmt.Fprintln(p.stdout, line)
	}
	if err != nil {
		return usage(err)
	}
	fmt.Fprintf(p.stderr, "cromt: in %s; start them at http://127.0.0.1:4000\n", root)
	return nil
}

func (c *applyCmd) root(p *program) (string, error) {
	if c.Root != "" {
		return filepath.Abs(c.Root)
	}
	home := p.home()
	if home == "" {
		return "", errors.New("no home directory; name the Sparky's folder of projects with --root")
	}
	return filepath.Join(home, ".sparky", "projects"), nil
}

// flow reads what is to be installed, and refuses what could not run later.
func (c *applyCmd) flow(ctx context.Context, p *program) (*install.Flow, error) {
	program, err := installedProgram()
	if err != nil {
		return nil, err
	}
	file, err := c.open(p)
	if err != nil {
		return nil, err
	}
	source, err := filepath.Abs(file.Name)
	if err != nil {
		return nil, err
	}
	data, err := readFlowFile(source)
	if err != nil {
		return nil, fmt.Errorf("flow file: %w", err)
	}
	args, err := c.args()
	if err != nil {
		return nil, err
	}
	f := &install.Flow{Source: source, File: file, Data: data, Program: program, Args: args, BranchOf: func(url string) string {
		name, err := gitrepo.DefaultBranch(ctx, url)
		if err != nil {
			fmt.Fprintf(p.stderr, "cromt: %v; its trigger watches the branch that the Sparky takes by itself, unless branch is given\n", err)
		}
		return name
	}}
	if err := c.own(ctx, p, f); err != nil {
		return nil, err
	}
	if _, err := planOf(ctx, file, nil); err != nil {
		return nil, err
	}
	return f, nil
}

// args are what cromt run is called with beside the file.
func (c *applyCmd) args() ([]string, error) {
	var args []string
	if c.Hosts != "" {
		path, err := existing(c.Hosts)
		if err != nil {
			return nil, fmt.Errorf("--hosts: %w", err)
		}
		args = append(args, "--hosts", path)
	}
	for _, pair := range c.SecretFile {
		name, file, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, errors.New("--secret-file: write NAME=FILE")
		}
		path, err := existing(file)
		if err != nil {
			return nil, fmt.Errorf("--secret-file %s: %w", name, err)
		}
		args = append(args, "--secret-file", name+"="+path)
	}
	return args, nil
}

func existing(name string) (string, error) {
	if _, err := os.Stat(name); err != nil {
		return "", err
	}
	return filepath.Abs(name)
}

// own finds the repository around the file, if a project is from there.
func (c *applyCmd) own(ctx context.Context, p *program, f *install.Flow) error {
	var first *flow.Project
	for _, pr := range f.File.Projects {
		if _, own := pr.OwnPath(); own && first == nil {
			first = pr
		}
	}
	if first == nil {
		return nil
	}
	repo, err := gitrepo.Find(ctx, filepath.Dir(f.Source))
	switch {
	case err != nil:
		return err
	case repo == nil:
		return fmt.Errorf("project %q is from the repository of the flow file (path: .), but no git repository is around it; give its path as a URL", first.Name)
	case repo.Origin == "":
		return fmt.Errorf("project %q is from this repository (path: .), but it has no remote origin that hosts could clone; git remote add origin URL", first.Name)
	}
	f.Repo, f.Folder, f.Branch = repo.Origin, repo.Folder, c.Branch
	if f.Branch == "" {
		if f.Branch, err = repo.Branch(ctx); err != nil {
			return fmt.Errorf("%w; name one with --branch", err)
		}
	}
	if _, err := gitrepo.Resolve(ctx, f.Repo, "refs/heads/"+f.Branch); err != nil {
		fmt.Fprintf(p.stderr, "cromt: %v; runs fail until it is there\n", err)
	}
	return nil
}

// installedProgram is this program's file, if it will be there tomorrow.
func installedProgram() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("own program: %w", err)
	}
	for _, part := range strings.Split(filepath.ToSlash(path), "/") {
		if strings.HasPrefix(part, "go-build") {
			return "", errors.New("this is a temporary program of go run, and what is installed would call it later; go install ./cmd/cromt, and use that")
		}
	}
	return path, nil
}
