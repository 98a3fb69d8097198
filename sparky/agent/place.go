package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/place"
)

// there is where a job's actions run when it is not this machine: a room in a
// container or on a machine that is reached by ssh.
type there struct {
	e     *execution
	room  *place.Room
	dir   string // where the actions run
	leave func() // gives everything back
}

// goThere opens a room where the job's sparrowdo settings want it, and returns
// nil when they want this machine.
func (e *execution) goThere(ctx context.Context) (*there, error) {
	var cfg jobConfig
	if err := json.Unmarshal(e.j.snapshot().Config, &cfg); err != nil {
		return nil, fmt.Errorf("job settings: %w", err)
	}
	p, release, err := e.a.placeOf(ctx, cfg.Sparrowdo)
	if p == nil || err != nil {
		return nil, err
	}
	t := &there{e: e}
	back := func() {
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*place.EngineTimeout)
		defer stop()
		var err error
		if t.room != nil {
			err = t.room.Close(ctx)
		}
		if err = errors.Join(err, release(ctx)); err != nil {
			e.a.log.Warn("left behind", "place", p.String(), "job", e.j.id, "error", err)
		}
	}
	if t.room, err = p.Open(ctx, e.a.cfg.Program, e.j.id, sparky.KillGrace); err != nil {
		back()
		return nil, err
	}
	t.leave = back
	e.sayf("it runs in %s\n", p)
	return t, nil
}

// placeOf returns the place that sparrowdo settings name, nil for none.
func (a *Agent) placeOf(ctx context.Context, settings map[string]any) (p *place.Place, release func(context.Context) error, err error) {
	text := func(key string) string {
		if !isSet(settings[key]) {
			return ""
		}
		return fmt.Sprint(settings[key])
	}
	nothing := func(context.Context) error { return nil }
	switch {
	case text("docker") != "":
		p, release, err = a.docker.Use(ctx, text("docker"), text("image"))
		if err != nil {
			err = fmt.Errorf("sparrowdo.docker: %w", err)
		}
		return p, release, err
	case text("image") != "":
		return nil, nil, errors.New("sparrowdo.image: needs docker, the name of its container")
	case text("host") != "":
		p, err = place.Machine(place.SSH{
			Host: text("host"), User: text("ssh_user"), Port: text("ssh_port"), Key: text("ssh_private_key"), Home: a.env.home,
		}, a.docker.Env)
		if err != nil {
			err = fmt.Errorf("sparrowdo.host: %w", err)
		}
		return p, nothing, err
	}
	return nil, nothing, nil
}

// runThere is run for a job whose actions run there. A folder of the host is
// one of the place.
func (e *execution) runThere(ctx context.Context) error {
	t := e.there
	if src := &e.spec.Source; src.Kind == sparky.SpecDir {
		t.dir = src.Dir
		if err := t.writeInputs(ctx); err != nil {
			return &stepError{"artifacts", causeInfrastructure, exitSetup, err}
		}
	} else {
		if err := e.checkout(ctx); err != nil {
			return err
		}
		if err := e.placeInputs(); err != nil {
			return &stepError{"artifacts", causeInfrastructure, exitSetup, err}
		}
		rel, err := filepath.Rel(e.root, e.work)
		if err == nil {
			err = t.room.Put(ctx, e.root)
		}
		if err != nil {
			return &stepError{"prepare", causeInfrastructure, exitSetup, err}
		}
		t.dir = path.Join(t.room.Dir(), filepath.ToSlash(rel))
	}
	if err := e.actions(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	return e.keep(func(path string) (io.ReadCloser, error) { return t.room.Get(ctx, t.dir, path), nil })
}

func (t *there) writeInputs(ctx context.Context) error {
	for _, in := range t.e.spec.In {
		src, err := t.e.a.files.open(t.e.j.project, t.e.j.id, in.Name)
		if err != nil {
			return fmt.Errorf("input %s: %w", in.Path, err)
		}
		err = t.room.Write(ctx, t.dir, path.Join(".artifacts", in.Path), src)
		if err = errors.Join(err, src.Close()); err != nil {
			return fmt.Errorf("input %s: %w", in.Path, err)
		}
	}
	return nil
}

// run runs an action there.
func (t *there) run(ctx context.Context, action string, options []string) (int, error) {
	return t.room.Run(ctx, place.Job{Dir: t.dir, Action: action, Options: options, Env: t.e.a.env.jobsOwn(t.e.env)}, t.e.out)
}

// jobsOwn is what of a job's environment is not this machine's.
func (e baseEnv) jobsOwn(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env[len(e.list):]), func(v string) bool { return strings.HasPrefix(v, "TMPDIR=") })
}

// placeEnv is the environment of the commands that lead to other places: those
// of Docker and ssh need what their user has set for them.
func placeEnv(base []string) []string {
	env := slices.Clone(base)
	for _, name := range []string{"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "SSH_AUTH_SOCK"} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// ownerOf names the agent of a root folder on this machine.
func ownerOf(root string) string {
	sum := sha256.Sum256([]byte(root))
	return hex.EncodeToString(sum[:8])
}
