package agent

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"

	"github.com/cromt/cromt/sparky"
)

// build is one start of a project's folder.
type build struct {
	id          string // "": a new one
	description string
	tags        map[string]string // over those of sparky.yaml
	depth       int               // how many upstream projects led to it
	by          string            // who started it
}

// maxDownstream projects may follow each other: more is a circle.
const maxDownstream = 20

var (
	errNotManual = errors.New("the project's sparky.yaml does not say allow_manual_run: true")
	errDepth     = fmt.Errorf("more than %d downstream projects follow each other", maxDownstream)
	errParameter = errors.New("wrong parameters")
)

// start queues a build of the project's folder and returns its job-id. It
// does nothing when the id is known.
func (a *Agent) start(ctx context.Context, p *projectFolder, b build) (string, error) {
	if p.Disabled {
		return "", fmt.Errorf("project %s: %w", p.name, errDisabled)
	}
	if b.depth > maxDownstream {
		return "", fmt.Errorf("project %s: %w", p.name, errDepth)
	}
	if err := a.disk.check(0); err != nil {
		return "", err
	}
	if b.id == "" {
		b.id = newJobID()
	}
	file := &sparrowJob{Folder: true}
	cfg := jobConfig{Description: cut(b.description, maxDescription), Sparrowdo: p.Sparrowdo, Folder: true, Depth: b.depth, By: b.by, Tags: map[string]string{}}
	for _, tags := range []map[string]string{p.Tags, b.tags} {
		for k, v := range tags {
			cfg.Tags[k] = v
		}
	}
	for _, v := range p.Vars { // passwords are not kept with the build
		if value, ok := cfg.Tags[v.Name]; ok && v.Type == "password" {
			if file.Secrets == nil {
				file.Secrets = map[string]string{}
			}
			file.Secrets[v.Name] = value
			cfg.Secret = append(cfg.Secret, v.Name)
			delete(cfg.Tags, v.Name)
		}
	}
	req := &queueRequest{project: p.name, id: b.id, file: file}
	var err error
	if req.config, err = json.Marshal(cfg); err != nil {
		return "", err
	}
	if len(req.config) > maxConfig {
		return "", fmt.Errorf("%w: description, parameters and settings are longer than %d bytes", errParameter, maxConfig)
	}
	if req.payload, err = json.Marshal(file); err != nil {
		return "", err
	}
	_, err = a.accept(ctx, req)
	return b.id, err
}

// newJobID makes a job-id in the way of a Sparky: twenty letters and a number.
func newJobID() string {
	var b strings.Builder
	for range 20 {
		n, err := rand.Int(rand.Reader, big.NewInt(26))
		if err != nil {
			panic(err) // crypto/rand does not fail
		}
		b.WriteByte('a' + byte(n.Int64()))
	}
	return fmt.Sprintf("%s.%d", b.String(), os.Getpid())
}

// parameters checks what people gave for the project's vars, by name.
func (s *settings) parameters(group string, values map[string][]string) (map[string]string, error) {
	if len(s.Groups) > 0 && !slices.Contains(s.Groups, group) {
		return nil, fmt.Errorf("%w: choose one of the groups %s", errParameter, strings.Join(s.Groups, ", "))
	}
	tags := map[string]string{}
	for _, v := range s.varsOf(group) {
		given := values[v.Name]
		switch {
		case v.Type == "checkbox":
			if len(given) > 0 {
				tags[v.Name] = "True"
			}
			continue
		case v.Type == "select":
			for _, value := range given {
				if !slices.Contains(v.Values, value) {
					return nil, fmt.Errorf("%w: %s: %q is none of its values", errParameter, v.Name, cut(value, 50))
				}
			}
		}
		if len(given) > 1 && !v.Multiple {
			return nil, fmt.Errorf("%w: %s: has more than one value", errParameter, v.Name)
		}
		value := strings.ReplaceAll(strings.Join(given, ","), "\r\n", "\n") // as browsers send text areas
		if strings.ContainsRune(value, 0) {
			return nil, fmt.Errorf("%w: %s: has a NUL byte", errParameter, v.Name)
		}
		tags[v.Name] = value
	}
	return tags, nil
}

// rebuild starts a build anew, with the parameters that it had.
func (a *Agent) rebuild(ctx context.Context, rec *record, by string) (string, error) {
	var cfg jobConfig
	if err := json.Unmarshal(rec.Config, &cfg); err != nil {
		return "", err
	}
	if !cfg.Folder {
		return "", fmt.Errorf("%w: job %s was queued by a program, which alone has its data; queue it there again", errParameter, rec.ID)
	}
	if len(cfg.Secret) > 0 {
		return "", fmt.Errorf("%w: %s: passwords are not kept; start the project with them again", errParameter, strings.Join(cfg.Secret, ", "))
	}
	p, err := a.readFolder(rec.Project)
	if err != nil {
		return "", err
	}
	if !p.Manual {
		return "", fmt.Errorf("project %s: %w", p.name, errNotManual)
	}
	id := rec.ID + "." + strings.ToLower(rand.Text()[:6])
	if !sparky.JobID.MatchString(id) { // too long by now
		id = newJobID()
	}
	return a.start(ctx, p, build{id: id, description: cfg.Description, tags: cfg.Tags, by: by})
}

// startDownstream starts the project that follows a build that has ended.
func (a *Agent) startDownstream(rec record) {
	var cfg jobConfig
	if json.Unmarshal(rec.Config, &cfg) != nil || !cfg.Folder || rec.Lost {
		return
	}
	p, err := a.readFolder(rec.Project)
	if err != nil || p.Downstream == "" {
		return
	}
	next, err := a.readFolder(p.Downstream)
	if err == nil {
		_, err = a.start(context.Background(), next, build{
			id:          fmt.Sprintf("down.%d.%s", rec.Seq, hashOf(rec.ID+"/"+next.name)),
			description: fmt.Sprintf("triggered by %s@%d", rec.Project, rec.Seq), depth: cfg.Depth + 1, by: "downstream",
		})
	}
	if err != nil {
		a.log.Warn("downstream project not started", "project", rec.Project, "downstream", p.Downstream, "error", err)
	}
}
