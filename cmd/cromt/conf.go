package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/cromt/cromt/cmd/cromt/gitrepo"
	"github.com/cromt/cromt/flow"
)

// confFlag is the flag that every command with a flow file has.
type confFlag struct {
	Conf string `placeholder:"FILE" help:"The flow file. Default: jobs.yaml, then cromtit.yaml, then ~/cromtit.yaml."`
}

// open reads and parses the flow file.
func (c confFlag) open(p *program) (*flow.File, error) {
	name := c.Conf
	if name == "" {
		found, err := p.searchConf()
		if err != nil {
			return nil, usage(err)
		}
		name = found
	}
	data, err := readFlowFile(name)
	if err != nil {
		return nil, usage(fmt.Errorf("flow file: %w", err))
	}
	p.collect(len(data))
	file, err := flow.Parse(name, data)
	if err != nil {
		return nil, usage(err)
	}
	return file, nil
}

// collect has the garbage collector run as often from now on as a flow file of
// that size should have it, unless GOGC says how often: seldom for a small one,
// and for a large one soon, as what reading it leaves is thirty times its size.
func (p *program) collect(size int) {
	if p.getenv("GOGC") != "" {
		return
	}
	percent := smallFlowGC
	if size >= largeFlow {
		percent = largeFlowGC
	}
	debug.SetGCPercent(percent)
}

func readFlowFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, flow.MaxFileSize+1)) // Parse says what is too large
}

func (p *program) searchConf() (string, error) {
	names := []string{"jobs.yaml", "cromtit.yaml"}
	if home := p.home(); home != "" {
		names = append(names, filepath.Join(home, "cromtit.yaml"))
	}
	for _, n := range names {
		if _, err := os.Stat(n); err == nil {
			return n, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("flow file: %w", err)
		}
	}
	return "", fmt.Errorf("no flow file: none of %s exists; name one with --conf", strings.Join(names, ", "))
}

// home is the user's home directory, or "".
func (p *program) home() string {
	for _, name := range []string{"HOME", "USERPROFILE"} {
		if h := p.getenv(name); h != "" {
			return h
		}
	}
	return ""
}

// surroundings is the repository around a flow file, as far as a plan needs
// it: a repository that cannot be read is none.
func surroundings(ctx context.Context, file *flow.File) *gitrepo.Repo {
	repo, err := gitrepo.Find(ctx, filepath.Dir(file.Name))
	if err != nil || repo == nil {
		return &gitrepo.Repo{}
	}
	return repo
}

// planOf plans a file as it stands in its repository.
func planOf(ctx context.Context, file *flow.File, roots []string) (*flow.Plan, error) {
	repo := surroundings(ctx, file)
	plan, err := flow.NewPlan(file, flow.PlanOptions{Roots: roots, Repo: repo.Origin, Folder: repo.Folder, AnyPool: true})
	if err != nil {
		return nil, usage(err)
	}
	return plan, nil
}
