package agent

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"
)

// quotaError is why a job ends that fills the disk.
type quotaError struct {
	used, limit int64
}

func (e *quotaError) Error() string {
	return fmt.Sprintf("the job's folder has %d MiB, more than the %d MiB that this agent allows; write less, or start the agent with a larger --max-disk",
		e.used>>20, e.limit>>20)
}

// watchDisk returns a context that ends with a quotaError when the job's
// folder has more than its share of the disk. Its processes are killed then
// without time to end by themselves, in which they could go on writing. The
// function returned ends the watch.
func (a *Agent) watchDisk(ctx context.Context, j *job, dir string) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var mu sync.Mutex // held by a look
	var timer *time.Timer
	look := func() {
		mu.Lock()
		defer mu.Unlock()
		begun := time.Now()
		used := diskUsage(ctx, dir, a.cfg.MaxDisk)
		switch {
		case ctx.Err() != nil:
		case used > a.cfg.MaxDisk:
			cancel(&quotaError{used, a.cfg.MaxDisk})
			if err := killLeftovers([]string{a.env.marker(j.id)}); err != nil {
				a.log.Warn("processes are still there", "job", j.id, "error", err)
			}
		default:
			timer.Reset(max(a.looks, diskRest*time.Since(begun)))
		}
	}
	mu.Lock()
	timer = time.AfterFunc(a.looks, look)
	mu.Unlock()
	return ctx, func() {
		cancel(nil)
		mu.Lock()
		timer.Stop()
		mu.Unlock()
	}
}

// diskUsage returns how many bytes the files below dir take, or some number
// over limit when they take more. What disappears meanwhile, or cannot be
// read, is not counted.
func diskUsage(ctx context.Context, dir string, limit int64) (used int64) {
	type file struct{ dev, ino uint64 }
	linked := map[file]bool{}
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error { // it returns what the function does
		switch {
		case used > limit, ctx.Err() != nil:
			return fs.SkipAll
		case err != nil:
			return nil
		}
		fi, err := d.Info()
		if err != nil {
			return nil
		}
		node := inodeOf(fi)
		if !fi.IsDir() && node.links > 1 { // counted once
			if f := (file{node.dev, node.ino}); linked[f] {
				return nil
			} else if len(linked) < maxArchiveEntries {
				linked[f] = true
			}
		}
		used += node.bytes
		return nil
	})
	return used
}
