package agent

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"os/user"
	"slices"

	"github.com/cromt/cromt/sparky"
)

// baseEnv is what every job's environment begins with: nothing of the agent's
// own but where programs are and who runs them.
type baseEnv struct {
	home string
	list []string // NAME=value
	git  []string // list with what git needs besides
	mark string   // of the agent: see marker
}

// newBaseEnv returns what an agent with that root takes from its own environment.
func newBaseEnv(getenv func(string) string, root string) baseEnv {
	sum := sha256.Sum256([]byte(root))
	e := baseEnv{home: getenv("HOME"), mark: hex.EncodeToString(sum[:4])}
	name := getenv("USER")
	if e.home == "" || name == "" {
		if u, err := user.Current(); err == nil {
			e.home, name = cmpOr(e.home, u.HomeDir), cmpOr(name, u.Username)
		}
	}
	e.list = []string{
		"PATH=" + cmpOr(getenv("PATH"), "/usr/local/bin:/usr/bin:/bin"),
		"HOME=" + cmpOr(e.home, "/"),
		"USER=" + name, "LOGNAME=" + name,
		"SHELL=" + cmpOr(getenv("SHELL"), "/bin/sh"),
		"LANG=C.UTF-8", "TERM=dumb", "PAGER=cat", "GIT_PAGER=cat",
	}
	e.git = append(slices.Clone(e.list),
		"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=true", "GIT_CONFIG_NOSYSTEM=1", "GIT_LFS_SKIP_SMUDGE=1",
		"GIT_SSH_COMMAND=ssh -o BatchMode=yes -o ConnectTimeout=20")
	for _, key := range []string{"SSH_AUTH_SOCK", "http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"} {
		if v := getenv(key); v != "" {
			e.git = append(e.git, key+"="+v)
		}
	}
	return e
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// markerName is the variable by which the processes of a job are found again.
const markerName = "CROMT_JOB="

// marker is that of a job, NAME=value. Agents that share a machine may have
// jobs of one id, and are to leave each other's alone.
func (e baseEnv) marker(id string) string { return markerName + id + "@" + e.mark }

// jobEnv returns the environment of the job's actions, and the values of its
// secrets.
func (e baseEnv) jobEnv(j *job, spec *sparky.Spec, tmp string) (env, secrets []string, err error) {
	env = make([]string, 0, len(e.list)+len(spec.Env)+4)
	env = append(env, e.list...)
	env = append(env, "TMPDIR="+tmp)
	for name, value := range spec.Env {
		b, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return nil, nil, err
		}
		env = append(env, name+"="+string(b))
		if slices.Contains(spec.Secrets, name) {
			secrets = append(secrets, string(b))
		}
	}
	if auth := spec.Source.Auth; auth != "" {
		word, _ := password(auth) // it was checked when it came
		secrets = append(secrets, auth, word)
	}
	// Of two values the last one counts.
	return append(env, "SPARKY_PROJECT="+j.project, "SPARKY_JOB_ID="+j.id, e.marker(j.id)), secrets, nil
}
