//go:build linux

package agent_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
)

// Ten thousand values of any bytes arrive as they were sent, and none of them
// is run on the way.
func TestValuesArrive(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	const special = "\"'`$(){};&|<>\\\n\r\t *?[]~#!%=-\x01\x7f\xff\xc3\x28\xed\xa0\x80"
	h := start(t, agent.Config{})
	dir := scenarios(t, "x", "env -0 >env.out\n")
	for batch := range 10 {
		spec := inDir(dir, "x")
		spec.Env = map[string]string{}
		want := map[string]string{}
		for i := range 1000 {
			b := []byte{}
			if rnd.IntN(4) == 0 {
				b = fmt.Appendf(b, "%s touch canary %s", special[rnd.IntN(8):8], special[:rnd.IntN(8)])
			}
			for range rnd.IntN(40) {
				if rnd.IntN(2) == 0 {
					b = append(b, special[rnd.IntN(len(special))])
				} else {
					b = append(b, byte(1+rnd.IntN(255)))
				}
			}
			name := fmt.Sprintf("V%d", i)
			want[name], spec.Env[name] = string(b), base64.StdEncoding.EncodeToString(b)
		}
		if st, log := h.wait("p", h.queue("p", spec)); st.State != sparky.CodeOK {
			t.Fatalf("%+v\n%s", st, log)
		}
		data, err := os.ReadFile(filepath.Join(dir, "env.out"))
		if err != nil {
			t.Fatal(err)
		}
		for v := range bytes.SplitSeq(data, []byte{0}) {
			name, value, _ := strings.Cut(string(v), "=")
			if w, ok := want[name]; ok && w == value {
				delete(want, name)
			}
		}
		for name, value := range want {
			t.Errorf("batch %d: %s is not %q", batch, name, value)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 2 { // .tom and env.out
		t.Errorf("a value made a file: %v", files)
	}
}

// A job's variables are its own: neither the agent's git nor what else it
// starts for the job has them.
func TestVariablesAreTheJobsAlone(t *testing.T) {
	canary := filepath.Join(t.TempDir(), "canary")
	run := "touch " + canary
	h := start(t, agent.Config{})
	dir, _ := repository(t)
	trap := filepath.Join(t.TempDir(), "git")
	if err := os.WriteFile(trap, []byte("#!/bin/sh\n"+run+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	evil := env("GIT_SSH_COMMAND", run, "GIT_ASKPASS", trap, "GIT_EXEC_PATH", filepath.Dir(trap), "GIT_EXTERNAL_DIFF", run,
		"GIT_CONFIG_COUNT", "1", "GIT_CONFIG_KEY_0", "core.fsmonitor", "GIT_CONFIG_VALUE_0", run, "GIT_PROXY_COMMAND", trap,
		"LD_PRELOAD", "/nonexistent/evil.so", "PATH", filepath.Dir(trap)+":/usr/bin:/bin", "HOME", filepath.Dir(trap))
	for _, url := range []string{dir, "ssh://git@127.0.0.1:1/x"} {
		spec := inGit(sparky.SpecSource{URL: url}, "x")
		spec.Env = evil
		st, log := h.wait("p", h.queue("p", spec))
		if (url == dir) != strings.Contains(log, "this is two") {
			t.Errorf("%s: %+v\n%s", url, st, log)
		}
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("a variable of the job ran something")
	}
	for _, name := range []string{"BASH_FUNC_x%%", "a=b", "", "A B", "1A", "A\n", "A-B"} {
		spec := inDir(dir, "x")
		spec.Env = env(name, "x")
		if code, body := h.do("POST", "/queue", queueBody("p", newID(), spec)); code != 400 {
			t.Errorf("%q: %d %s", name, code, body)
		}
	}
}
