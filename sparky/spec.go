package sparky

import (
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/cromt/cromt/flow"
)

// sparrowfile is the program that a real Sparky host runs for every job.
//
//go:embed sparrowfile.raku
var sparrowfile string

// prepare puts what the job needs to its host and returns the request that
// starts it. Everything in it may be done twice.
func (t *attempt) prepare(ctx context.Context) (QueueRequest, error) {
	if t.e.cfg.Admit != nil {
		if err := t.e.cfg.Admit(ctx, t.a, t.hello != nil); err != nil {
			return QueueRequest{}, decided(fmt.Errorf("job %s: %s: %w", t.a.Job.Key, t.h.name(), err))
		}
	}
	spec, err := t.spec()
	if err != nil {
		return QueueRequest{}, refuse(err)
	}
	if spec.Source.Auth, err = t.auth(ctx, spec.Source); err != nil {
		return QueueRequest{}, decided(err)
	}
	options, err := t.sparrowdo()
	if err != nil {
		return QueueRequest{}, refuse(err)
	}
	if spec.Source.Kind == SpecArchive {
		if spec.Source.JobID, err = t.putArchive(ctx); err != nil {
			return QueueRequest{}, err
		}
	}
	if spec.In, err = t.putInputs(ctx); err != nil {
		return QueueRequest{}, err
	}
	config, err := json.Marshal(spec)
	if err != nil {
		return QueueRequest{}, refuse(err)
	}
	q := QueueRequest{
		Config: QueueConfig{
			Project:     t.a.Job.Queue,
			JobID:       t.a.JobID,
			Description: t.description(),
			Tags: map[string]string{
				"cromt_run":     word(t.a.Run),
				"cromt_job":     word(t.a.Job.Key),
				"cromt_attempt": fmt.Sprint(t.a.Number),
			},
			Sparrowdo: options,
		},
		Trigger:         json.RawMessage("{}"),
		SparrowdoConfig: config,
	}
	if t.hello == nil { // our agent runs the data itself
		q.Sparrowfile = sparrowfile
	}
	if len(config) > MaxQueueBody-len(sparrowfile)-len(sparrowfile)/2 {
		return QueueRequest{}, refuse(fmt.Errorf("job %s: its vars and options take %d bytes, which is more than a host accepts", t.a.Job.Key, len(config)))
	}
	return q, nil
}

// spec is the job as data.
func (t *attempt) spec() (Spec, error) {
	job := t.a.Job
	s := Spec{
		Cromt:   SpecVersion,
		Actions: job.Actions,
		Options: job.Options,
		Env:     make(map[string]string, len(job.Vars)+len(job.Secrets)),
		Secrets: job.Secrets,
		Timeout: int(math.Ceil(t.a.Timeout.Seconds())),
	}
	if lease := t.e.cfg.Lease; lease > 0 {
		s.Lease = int(math.Ceil(lease.Seconds()))
	}
	if t.hello == nil && t.elsewhere() {
		s.API, s.Insecure = t.h.client.URL(), t.h.config.InsecureSkipVerify
	}
	for _, v := range job.Vars {
		s.Env[v.Name] = base64.StdEncoding.EncodeToString([]byte(v.Value))
	}
	for _, name := range job.Secrets {
		value, ok := t.e.cfg.Secrets[name]
		if !ok {
			return Spec{}, fmt.Errorf("job %s: secret %s has no value; set CROMT_SECRET_%s or give --secret-file %s=PATH", job.Key, name, name, name)
		}
		s.Env[name] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	for _, o := range job.Out {
		s.Out = append(s.Out, SpecOutput{File: o.File, Path: o.Path})
	}
	var err error
	s.Source, err = t.source()
	return s, err
}

// decided is a refusal if it says so, else an error that may pass.
func decided(err error) error {
	if errors.Is(err, flow.ErrRefused) {
		return refuse(err)
	}
	return &startError{err: err}
}

// credential is what the repository of the source is cloned with.
func (t *attempt) credential(ctx context.Context, src SpecSource) (c CloneCredential, ok bool, err error) {
	if c, ok = CredentialFor(t.e.cfg.Clone, src.URL); ok || t.e.cfg.CloneFor == nil {
		return c, ok, nil
	}
	if c, err = t.e.cfg.CloneFor(ctx, src.URL); err != nil {
		return c, false, fmt.Errorf("job %s: clone token for %s: %w", t.a.Job.Key, redactURL(src.URL), err)
	}
	if c, ok = CredentialFor([]CloneCredential{c}, src.URL); ok {
		t.mask = flow.NewMask(append(slices.Clone(t.h.secrets), c.Token, c.Basic()))
		t.log.hide(t.mask)
	}
	return c, ok, nil
}

// elsewhere says whether a Sparky runs the job in a container or on another machine.
func (t *attempt) elsewhere() bool {
	return t.a.Job.Sparrowdo["docker"] != nil || t.a.Job.Sparrowdo["host"] != nil
}

// auth is what the host shows the server of the source's repository.
func (t *attempt) auth(ctx context.Context, src SpecSource) (string, error) {
	if src.Kind != SpecGit {
		return "", nil
	}
	c, ok, err := t.credential(ctx, src)
	switch {
	case err != nil || !ok:
		return "", err
	case t.hello == nil && t.elsewhere():
		return "", refusef("job %s: the clone token for %s is not sent to %s, a Sparky: it keeps the data of a job that runs in a container or on another machine; "+
			"remove docker and host from sparrowdo, or run cromt agent there", t.a.Job.Key, redactURL(src.URL), t.h.name())
	case t.hello == nil && !t.h.config.PublicPort:
		return "", refusef("job %s: the clone token for %s is not sent to %s, a Sparky, which shows the data of its jobs to anyone on its port; "+
			"run cromt agent there, or write public_port: ok in its hosts entry if you trust all who can reach that port, or give no clone token if the repository is public",
			t.a.Job.Key, redactURL(src.URL), t.h.name())
	}
	return c.Basic(), nil
}

func refusef(format string, args ...any) error { return refuse(fmt.Errorf(format, args...)) }

func (t *attempt) source() (SpecSource, error) {
	src, own := t.a.Job.Source, t.e.cfg.Own
	switch src.Kind {
	case flow.SourceDir:
		return SpecSource{Kind: SpecDir, Dir: src.Dir}, nil
	case flow.SourceGit:
		return SpecSource{Kind: SpecGit, URL: src.URL, Ref: src.Ref, Commit: t.a.Commit}, nil
	case flow.SourceOwn:
	default:
		return SpecSource{}, fmt.Errorf("job %s: source kind %q is not known", t.a.Job.Key, src.Kind)
	}
	commit := t.a.Commit
	if commit == "" {
		commit = own.Commit
	}
	// A host that can clone does so on a real Sparky: it keeps every file that
	// it is sent for ever.
	if own.Archive != "" && (t.hello != nil || own.URL == "") {
		return SpecSource{
			Kind: SpecArchive, Commit: commit, Dir: src.Dir,
			Project: srcProject, File: srcFile, SHA256: own.ArchiveSHA256,
		}, nil
	}
	if own.URL == "" {
		return SpecSource{}, fmt.Errorf("job %s: its host cannot get at the run's repository; give --repo with a URL that it can clone", t.a.Job.Key)
	}
	return SpecSource{Kind: SpecGit, URL: own.URL, Commit: commit, Dir: src.Dir}, nil
}

// sparrowdo is how a real Sparky runs the job. Values reach its shell
// unquoted, so that only harmless ones are let through.
func (t *attempt) sparrowdo() (map[string]any, error) {
	repo := t.h.config.SparrowRepo
	if repo == "" {
		repo = DefaultSparrowRepo
	}
	options := map[string]any{"no_sudo": true, "no_index_update": true, "repo": repo}
	if sudo, _ := t.a.Job.Sparrowdo["sudo"].(bool); sudo {
		delete(options, "no_sudo")
	}
	for name, value := range t.a.Job.Sparrowdo {
		options[name] = value
	}
	for name, value := range options {
		switch v := value.(type) {
		case bool:
		case string:
			if i := strings.IndexFunc(strings.TrimPrefix(v, "~/"), notSparrowdo); i >= 0 {
				return nil, fmt.Errorf("job %s: sparrowdo %s %q has characters that the host's shell would run; allowed are letters, digits and ._:/@=,+-", t.a.Job.Key, name, v)
			}
		default:
			return nil, fmt.Errorf("job %s: sparrowdo %s is neither a string nor a boolean", t.a.Job.Key, name)
		}
	}
	return options, nil
}

func notSparrowdo(r rune) bool { return !isWordRune(r) && r != '=' && r != ',' }

// isWordRune says whether tags on a real Sparky keep the character.
func isWordRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.:/@+-", r)
}

// word makes a value that tags keep as it is.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		if isWordRune(r) {
			return r
		}
		return '-'
	}, s)
}

// description is what the host's pages show. A real Sparky writes it into
// Raku source, so that it gets no character which means something there.
func (t *attempt) description() string {
	text := t.a.Job.Title
	if text == "" {
		text = t.a.Job.Key
	}
	text = t.mask.String(text)
	if t.hello != nil {
		return text
	}
	return strings.Map(func(r rune) rune {
		if isWordRune(r) || r == ' ' || r == '#' || unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return ' '
	}, text)
}
