package sparky

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"time"

	"github.com/cromt/cromt/flow"
)

// storeProject is where a storage host keeps a run's artifacts: each below
// the job-id of the attempt that made it.
const storeProject = "cromt-artifacts"

// srcProject and srcFile are where a host has a run's own repository.
const (
	srcProject = "cromt-src"
	srcFile    = "src.tar.gz"
)

// relay streams an artifact from where it is to a job's files on another
// host, and fails when it is not what its maker announced.
func (e *Executor) relay(ctx context.Context, a flow.Artifact, to *Client, project, jobID, name string) error {
	from, err := e.host(a.Host)
	if err != nil {
		return err
	}
	body, _, err := from.client.GetFile(ctx, a.Queue, a.JobID, a.File)
	if err != nil {
		return err
	}
	defer body.Close()
	sum := &sumReader{r: body, hash: sha256.New(), want: a}
	err = to.PutFile(ctx, project, jobID, name, sum, a.Bytes)
	if sum.err != nil {
		return fmt.Errorf("artifact %s of %s: %w", a.File, from.name(), sum.err)
	}
	return err
}

// sumReader checks the size and the sum of what passes through it, before it
// lets its reader see the end.
type sumReader struct {
	r    io.Reader
	hash hash.Hash
	n    int64
	want flow.Artifact
	err  error
}

func (s *sumReader) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	s.hash.Write(p[:n])
	s.n += int64(n)
	sum := s.want.SHA256
	if s.n == s.want.Bytes {
		sum = hex.EncodeToString(s.hash.Sum(nil))
	}
	switch {
	case s.n > s.want.Bytes:
		s.err = fmt.Errorf("it has more than the announced %d bytes", s.want.Bytes)
	case sum != s.want.SHA256:
		s.err = fmt.Errorf("its sha256 is %s, not the announced %s", sum, s.want.SHA256)
	case errors.Is(err, io.EOF) && s.n < s.want.Bytes:
		s.err = fmt.Errorf("it ends after %d of %d bytes", s.n, s.want.Bytes)
	case err != nil && !errors.Is(err, io.EOF):
		s.err = err
	}
	if s.err != nil {
		return 0, s.err
	}
	return n, err
}

// measure finds the size and the sum of a file that the job's host keeps.
func (t *attempt) measure(ctx context.Context, file string) (flow.Artifact, error) {
	body, _, err := t.h.client.GetFile(ctx, t.a.Job.Queue, t.a.JobID, file)
	if err != nil {
		return flow.Artifact{}, err
	}
	defer body.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(body, MaxFileBody))
	if err != nil {
		return flow.Artifact{}, err
	}
	a := flow.Artifact{File: file, Bytes: n, SHA256: hex.EncodeToString(h.Sum(nil))}
	return t.located([]flow.Artifact{a})[0], nil
}

// store copies an artifact to the storage host, where there is one.
func (t *attempt) store(ctx context.Context, a flow.Artifact) (flow.Artifact, error) {
	url := t.e.cfg.Storage
	if url == "" || url == a.Host {
		return a, nil
	}
	h, err := t.e.host(url)
	if err != nil {
		return a, err
	}
	err = retry(ctx, func() error { return t.e.relay(ctx, a, h.client, storeProject, t.a.JobID, a.File) })
	if err != nil {
		return a, err
	}
	a.Host, a.Queue, a.JobID = url, storeProject, t.a.JobID
	return a, nil
}

// putInputs puts the job's inputs to its own files, each file once, and
// returns where they go in the checkout.
func (t *attempt) putInputs(ctx context.Context) ([]SpecInput, error) {
	var list []SpecInput
	names := map[flow.Artifact]string{}
	for _, in := range t.a.Inputs {
		name := names[in.Artifact]
		if name == "" {
			name = fmt.Sprintf("cromt-in-%d", len(names)+1)
			err := retry(ctx, func() error {
				return t.e.relay(ctx, in.Artifact, t.h.client, t.a.Job.Queue, t.a.JobID, name)
			})
			if err != nil {
				return nil, fmt.Errorf("input %s: %w", in.Path, err)
			}
			names[in.Artifact] = name
		}
		list = append(list, SpecInput{Name: name, Path: in.Path})
	}
	return list, nil
}

// putArchive makes sure that the host has the own repository's archive, and
// returns its job-id there. All attempts of a run share it.
func (t *attempt) putArchive(ctx context.Context) (jobID string, err error) {
	own := t.e.cfg.Own
	run := t.e.cfg.RunID
	if run == "" {
		run = t.a.Run
	}
	jobID = "src-" + run
	if !JobID.MatchString(jobID) {
		return "", refuse(fmt.Errorf("run id %q cannot name a file on a host", run))
	}
	t.h.mu.Lock()
	if t.h.archive == nil || t.a.Number > 1 && !t.h.archived.IsZero() && time.Since(t.h.archived) > archiveFresh {
		t.h.archive, t.h.archived = new(shared[struct{}]), time.Time{}
	}
	put := t.h.archive
	t.h.mu.Unlock()
	_, err = put.do(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, retry(ctx, func() error {
			f, err := os.Open(own.Archive)
			if err != nil {
				return refuse(err)
			}
			defer f.Close()
			info, err := f.Stat()
			if err != nil {
				return refuse(err)
			}
			if err := t.h.client.PutFile(ctx, srcProject, jobID, srcFile, f, info.Size()); err != nil {
				return err
			}
			t.h.mu.Lock()
			defer t.h.mu.Unlock()
			t.h.archived = time.Now()
			return nil
		})
	})
	return jobID, err
}

// retry does f again, a few times, when its failure may pass: it must be
// harmless to do twice.
func retry(ctx context.Context, f func() error) error {
	pause := postDelay
	for try := 1; ; try++ {
		err := f()
		kind := KindOf(err)
		if err == nil || try == maxPosts || kind != KindAmbiguous && kind != KindServer {
			return err
		}
		if err := sleep(ctx, jitter(pause)); err != nil {
			return err
		}
		pause *= 2
	}
}
