package place

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Engine starts and removes containers of Docker.
type Engine struct {
	// Owner is told apart from others on the same engine: what one of that name
	// has left when it was killed is removed before the first container is used.
	Owner string
	Env   []string // of the docker command

	mu    sync.Mutex
	swept bool
	users map[string]int // of the containers that this Engine has started
}

const ownerLabel = "cromt.agent"

// Use returns the container of that name, running. With an image, one that
// is not there is started from it, and removed when the last user is done; one
// that runs is used as it is. release must be called.
func (e *Engine) Use(ctx context.Context, name, image string) (p *Place, release func(context.Context) error, err error) {
	if p, err = Container(name, e.Env); err != nil {
		return nil, nil, err
	}
	if image != "" && !imageName().MatchString(image) {
		return nil, nil, fmt.Errorf("%.50q is not the name of an image", image)
	}
	e.mu.Lock() // two jobs must not both start it; others wait
	defer e.mu.Unlock()
	if !e.swept {
		if err := e.sweep(ctx); err != nil {
			return nil, nil, err
		}
		e.swept = true
	}
	state, err := e.state(ctx, name)
	switch {
	case err != nil:
		return nil, nil, err
	case state == "running" && e.users[name] == 0:
		return p, func(context.Context) error { return nil }, nil
	case state == "running":
	case image == "" && state == "":
		return nil, nil, fmt.Errorf("no container %s is there; start it, or name its image in sparrowdo", name)
	case image == "" || state != "" && e.users[name] == 0:
		return nil, nil, fmt.Errorf("container %s is there, but not running (%s); docker start %[1]s, or remove it", name, state)
	default:
		if err := e.start(ctx, name, image, state != ""); err != nil {
			return nil, nil, err
		}
	}
	if e.users == nil {
		e.users = map[string]int{}
	}
	e.users[name]++
	return p, func(ctx context.Context) error { return e.release(ctx, name) }, nil
}

// state is Docker's word for how a container is; "": there is none.
func (e *Engine) state(ctx context.Context, name string) (string, error) {
	out, err := e.docker(ctx, "container", "inspect", "--format", "{{.State.Status}}", name)
	if err != nil && strings.Contains(strings.ToLower(err.Error()), "no such container") {
		return "", nil
	}
	return strings.TrimSpace(out), err
}

// start starts a container that does nothing until it is removed. --init has
// what is left of a job's processes be reaped.
func (e *Engine) start(ctx context.Context, name, image string, again bool) error {
	ctx, stop := context.WithTimeout(ctx, StartTimeout)
	defer stop()
	if again { // it was ours, and was stopped
		if _, err := e.docker(ctx, "rm", "--force", name); err != nil {
			return err
		}
	}
	_, err := e.docker(ctx, "run", "--detach", "--init", "--name", name, "--label", ownerLabel+"="+e.Owner,
		"--entrypoint", "sh", image, "-c", "while :; do sleep 3600; done")
	if err != nil {
		_, _ = e.docker(ctx, "rm", "--force", name) // it may have been made, and not started
		return fmt.Errorf("container %s from image %s: %w", name, image, err)
	}
	return nil
}

func (e *Engine) release(ctx context.Context, name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.users[name]--; e.users[name] > 0 {
		return nil
	}
	delete(e.users, name)
	_, err := e.docker(ctx, "rm", "--force", name)
	return err
}

// sweep removes the containers that an Engine of this Owner has left.
func (e *Engine) sweep(ctx context.Context) error {
	out, err := e.docker(ctx, "ps", "--all", "--quiet", "--filter", "label="+ownerLabel+"="+e.Owner)
	if err != nil {
		return err
	}
	var errs []error
	for id := range strings.FieldsSeq(out) {
		_, err := e.docker(ctx, "rm", "--force", id)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// docker runs a command of Docker and returns what it prints.
func (e *Engine) docker(ctx context.Context, args ...string) (string, error) {
	if args[0] != "run" {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, EngineTimeout)
		defer stop()
	}
	p := &Place{env: e.Env, argv: func(string) []string { return append([]string{"docker"}, args...) }}
	var out strings.Builder
	if err := p.do(ctx, "", nil, &out); err != nil {
		return "", fmt.Errorf("docker %s: %w", args[0], err)
	}
	return out.String(), nil
}
