package bot

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

// logs keeps what a run's attempts print in the store: soon, in pieces, and
// without holding up the run for more than logBacklog.
type logs struct {
	claim *store.Claim
	log   *slog.Logger
	read  func(job string, attempt int, offset int64, limit int) (store.Log, error)

	mu    sync.Mutex
	parts map[logKey]*logPart
	dirty []logKey
	wake  chan struct{}
	stop  chan struct{}
	done  chan struct{}
}

type logKey struct {
	job     string
	attempt int
}

// logPart is what of an attempt's log is not stored yet.
type logPart struct {
	offset int64 // of held
	held   []byte
	lost   bool // the backlog was full
}

func newLogs(ctx context.Context, s *store.Store, claim *store.Claim, log *slog.Logger) *logs {
	l := &logs{
		claim: claim, log: log, parts: map[logKey]*logPart{}, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		read: func(job string, attempt int, offset int64, limit int) (store.Log, error) {
			return s.ReadLog(context.WithoutCancel(ctx), claim.Run, job, attempt, offset, limit)
		},
	}
	go l.work(context.WithoutCancel(ctx))
	return l
}

// writer is where an attempt's log goes; also gets it as well, if it is not
// nil, beginning with what is kept of it from earlier.
func (l *logs) writer(j *flow.Job, attempt int, also io.Writer) io.Writer {
	w := io.Writer(&logWriter{l, logKey{j.Key, attempt}})
	if also != nil {
		if l.offset(j, attempt) > 0 {
			l.replay(j.Key, attempt, also)
		}
		w = io.MultiWriter(w, also)
	}
	return w
}

// replay writes what is stored of an attempt's log.
func (l *logs) replay(job string, attempt int, to io.Writer) {
	for at, size := int64(0), int64(1); at < size; {
		piece, err := l.read(job, attempt, at, store.MaxLogRead)
		if err != nil {
			l.log.Warn("log not read", "job", job, "error", err)
			return
		}
		if _, err := to.Write(piece.Data); err != nil || len(piece.Data) == 0 {
			return
		}
		at, size = piece.Next(), piece.Size
	}
}

// offset is how much of an attempt's log is kept.
func (l *logs) offset(j *flow.Job, attempt int) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.part(logKey{j.Key, attempt})
	return p.offset + int64(len(p.held))
}

// part returns the part of an attempt. The lock is held.
func (l *logs) part(k logKey) *logPart {
	p := l.parts[k]
	if p == nil {
		stored, err := l.read(k.job, k.attempt, 0, 1)
		if err != nil {
			l.log.Warn("size of a log not known", "job", k.job, "error", err)
		}
		p = &logPart{offset: stored.Size}
		l.parts[k] = p
	}
	return p
}

type logWriter struct {
	l *logs
	k logKey
}

// Write implements io.Writer; it does not fail.
func (w *logWriter) Write(data []byte) (int, error) {
	l := w.l
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.part(w.k)
	if len(p.held) == 0 {
		l.dirty = append(l.dirty, w.k)
	}
	room := logBacklog - len(p.held)
	if room < len(data) && !p.lost {
		p.lost = true
		l.log.Warn("log not kept: the database does not keep up", "job", w.k.job)
	}
	p.held = append(p.held, data[:min(len(data), max(room, 0))]...)
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return len(data), nil
}

// work stores what comes, every logInterval.
func (l *logs) work(ctx context.Context) {
	defer close(l.done)
	for {
		select {
		case <-l.wake:
		case <-l.stop:
			l.flush(ctx)
			return
		}
		l.flush(ctx)
		select {
		case <-time.After(logInterval):
		case <-l.stop:
			l.flush(ctx)
			return
		}
	}
}

func (l *logs) flush(ctx context.Context) {
	l.mu.Lock()
	dirty := l.dirty
	l.dirty = nil
	l.mu.Unlock()
	for _, k := range dirty {
		l.mu.Lock()
		p := l.parts[k]
		data, offset := p.held, p.offset
		p.held, p.offset = nil, offset+int64(len(data))
		l.mu.Unlock()
		if len(data) == 0 {
			continue
		}
		if err := l.claim.AppendLog(ctx, k.job, k.attempt, offset, data); err != nil && !errors.Is(err, store.ErrFenced) {
			l.log.Warn("log not kept", "job", k.job, "error", err)
		}
	}
}

// close stores what is left.
func (l *logs) close() {
	close(l.stop)
	<-l.done
}
