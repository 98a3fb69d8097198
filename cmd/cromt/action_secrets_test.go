//go:build unix

package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Secrets of a step: one that its job has, one of several lines, one that no
// job asks for, a token for clones, a host's token.
const (
	plainSecret = "xyzzy-7Qk-plugh"
	keySecret   = "-----BEGIN KEY-----\nMIIEvQIBADANBg%kqhkiG9w0\nKHXA6lQ=\n-----END KEY-----"
	otherSecret = "nobody-asks-for-4711"
	cloneSecret = "ghp_clone4711token"
	hostSecret  = "host-token-0815"
)

// newSecretsJob returns a job whose flow prints its secrets in the forms in
// which programs do, says so to a FIFO, and waits for another.
func newSecretsJob(t *testing.T, local string) (j *workflowJob, started, release string) {
	t.Helper()
	dir := t.TempDir()
	started, release = filepath.Join(dir, "started"), filepath.Join(dir, "release")
	for _, fifo := range []string{started, release} {
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte(hostSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, agent := startAgentProcess(t, "--token-file", token)
	j = newReportedJob(t, `echo "whole $TOKEN."
echo "base64 $(printf %s "$TOKEN" | base64)."
echo "key $(printf %s "$KEY" | tr '\n' ' ')."
echo "$KEY"
printf %s "$KEY" | base64
printf %s "user:$TOKEN" | base64
echo "::error file=src/x.go,line=1::found $TOKEN"
echo "src/x.go:1:1: error: found $TOKEN" >&2
echo > `+started+`; read < `+release+`; exit 1
`)
	j.env["GITHUB_SHA"] = j.commit(map[string]string{
		"src/x.go":  "package x\n",
		"jobs.yaml": "projects:\n  app:\n    path: .\n    action: step\n    secrets: [TOKEN, KEY]\n    url: " + agent + "\n",
	})
	j.inputs(map[string]string{
		"ref": "merge", "local": local, "clone-token": cloneSecret, "hosts": "- url: " + agent + "\n  token_secret: HOST\n", // as README writes it
		"secrets": "TOKEN=" + plainSecret + "\nKEY<<END\n" + keySecret + "\nEND\nOTHER=" + otherSecret + "\nHOST=" + hostSecret + "\n",
	})
	return j, started, release
}

// No secret is shown anywhere, and the runner is told of all of them before
// anything else is in the log.
func TestActionSecrets(t *testing.T) {
	for _, local := range []string{"true", "false"} {
		t.Run("local="+local, func(t *testing.T) {
			t.Parallel()
			j, started, release := newSecretsJob(t, local)
			_, _, wait := j.start()
			if _, err := os.ReadFile(started); err != nil {
				t.Fatal(err)
			}
			processes := processList(t)
			if err := os.WriteFile(release, []byte("go\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			r := wait()
			r.expect(t, 1, "failure")
			masks := regexp.MustCompile(`\A(::add-mask::.*\n)*`).FindString(r.log)
			rest := r.log[len(masks):]
			expectIn(t, "log", rest, "whole ***.", "base64 ***.", "key ")
			if strings.Contains(rest, "::add-mask::") {
				t.Errorf("a mask after something else\n%s", r.log)
			}
			places := map[string]string{"log": rest, "summary": r.summary, "processes": processes, "outputs": fmt.Sprint(r.outputs)}
			for _, name := range []string{"report", "junit"} {
				data, err := os.ReadFile(r.outputs[name])
				if err != nil {
					t.Fatal(err)
				}
				places[name] = string(data)
			}
			for _, k := range j.repo.CheckRuns() {
				places["check run "+k.Name] = fmt.Sprintf("%+v", k)
			}
			places["comment"] = j.repo.Comments(3)[0].Body
			if len(places) != 9 {
				t.Fatalf("%d places", len(places))
			}
			hidden(t, j, masks, places)
		})
	}
}

// hidden checks that every secret is masked, and in none of the places.
func hidden(t *testing.T, j *workflowJob, masks string, places map[string]string) {
	t.Helper()
	secrets := append(strings.Split(keySecret, "\n"), plainSecret, otherSecret, cloneSecret, hostSecret, j.env["INPUT_GITHUB_TOKEN"])
	lines := strings.Split(masks, "\n")
	for _, s := range secrets {
		if !slices.Contains(lines, "::add-mask::"+strings.ReplaceAll(s, "%", "%25")) {
			t.Errorf("%q is not masked in the log: %q", s, lines)
		}
		forms := []string{s, base64.StdEncoding.EncodeToString([]byte(s))}
		for name, text := range places {
			for _, form := range forms {
				if strings.Contains(text, form) {
					t.Errorf("%q is in the %s\n%.4000s", form, name, text)
				}
			}
		}
	}
	whole := base64.StdEncoding.EncodeToString([]byte(keySecret))
	for name, text := range places {
		if strings.Contains(strings.ReplaceAll(text, "\n", ""), whole[:40]) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte("user:" + plainSecret))[8:20]) {
			t.Errorf("an encoded secret is in the %s\n%.4000s", name, text)
		}
	}
}

// processList is the command lines of all processes, where the system has
// them as files.
func processList(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range files {
		data, _ := os.ReadFile(f) // it may have ended
		b.WriteString(strings.ReplaceAll(string(data), "\x00", " ") + "\n")
	}
	return b.String()
}
