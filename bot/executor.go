package bot

import (
	"context"
	"slices"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

// executor is what runs the plan's jobs on the hosts of the configuration.
func (w *work) executor(ctx context.Context) (*sparky.Executor, error) {
	secrets, err := w.secrets()
	if err != nil {
		return nil, checks.Permanent(err)
	}
	own, err := w.own(ctx)
	if err != nil {
		return nil, err
	}
	return sparky.NewExecutor(sparky.ExecutorConfig{
		Host: w.host, Secrets: secrets, CloneFor: w.credential, Admit: w.admit, Own: own,
		Storage: w.plan.File.Storage.Value, RunID: w.run.ID, Logger: w.log,
	}), nil
}

// own is the run's own repository. Our agent is sent an archive, a real Sparky
// clones it; but of a private one it gets no token for the code of a fork.
func (w *work) own(ctx context.Context) (sparky.OwnSource, error) {
	own := sparky.OwnSource{URL: w.Settings.cloneURL(w.run.Repo), Commit: w.run.SHA}
	if w.run.CancelledBy != "" || !slices.ContainsFunc(w.plan.Jobs, func(j *flow.Job) bool { return j.Source.Kind == flow.SourceOwn }) {
		return own, nil // of a cancelled run nothing is sent, and maybe nothing can be had any more
	}
	own, err := w.Sources.Own(ctx, w.repo, own.URL, w.run.SHA)
	if err == nil && w.run.Origin.Fork {
		var private bool
		if private, err = w.seen.private(ctx, w.repo); private {
			own.URL = ""
		}
	}
	return own, err
}

// host is how a job's host is reached.
func (w *work) host(url string) (sparky.HostConfig, error) {
	if host, ok := w.poolHost(url); ok {
		return host, nil
	}
	e, err := w.hosts.Resolve(url, flow.Pos{})
	if err != nil {
		return sparky.HostConfig{}, err
	}
	return w.Settings.Host(e)
}

// secrets are the values that the plan's jobs ask for.
func (w *work) secrets() (map[string]string, error) {
	values := map[string]string{}
	for _, j := range w.plan.Jobs {
		for _, name := range j.Secrets {
			if values[name] != "" {
				continue
			}
			value, err := w.Settings.Secret(w.run.Repo, name)
			if err != nil {
				return nil, err
			}
			values[name] = value
		}
	}
	return values, nil
}
