package tunnel

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// ConnectPath is where an orchestrator takes connections of agents.
const ConnectPath = "/agents/connect"

// protocol is the one that is changed to.
const protocol = "cromt-agent/1"

// statePath is asked for the state; no Sparky has it.
const statePath = "/-/state"

// Compiled when first needed: each start of the program would pay for them.
var (
	nameForm     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`) })
	poolNameForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$`) })
)

// IsName reports whether pools, agents and labels can be called so.
func IsName(s string) bool { return nameForm().MatchString(s) }

// IsPoolName reports whether a pool can be called so whose members announce
// themselves: the host of a member's URL is name.pool.
func IsPoolName(s string) bool { return poolNameForm().MatchString(s) }

// URL is that of an agent for its orchestrator.
func URL(pool, name string) string { return "agent://" + name + "." + pool }

// The headers of a dial and its answer.
const (
	headerPool      = "Cromt-Pool"
	headerName      = "Cromt-Name"
	headerLabels    = "Cromt-Labels"
	headerSlots     = "Cromt-Slots"
	headerVersion   = "Cromt-Version"
	headerInstance  = "Cromt-Instance"
	headerConnected = "Cromt-Connected"
	headerReplica   = "Cromt-Replica"
	headerReplicas  = "Cromt-Replicas"
)

// Hello is what an agent says of itself when it connects.
type Hello struct {
	Pool     string
	Name     string
	Labels   []string
	Slots    int    // jobs that it runs at once
	Version  string // of its program
	Instance string // of its process: another one has other jobs
	// Connected are the replicas that it is connected to.
	Connected []string
}

func (h *Hello) write(to http.Header) {
	for name, value := range map[string]string{
		headerPool: h.Pool, headerName: h.Name, headerLabels: strings.Join(h.Labels, ","), headerSlots: strconv.Itoa(h.Slots),
		headerVersion: h.Version, headerInstance: h.Instance, headerConnected: strings.Join(h.Connected, ","),
	} {
		if value != "" {
			to.Set(name, value)
		}
	}
}

// ReadHello returns what an agent says in a request to connect, checked.
func ReadHello(r *http.Request) (*Hello, error) {
	for name, values := range r.Header {
		if strings.HasPrefix(name, "Cromt-") && len(values) > 1 {
			return nil, fmt.Errorf("header %s: given twice", name)
		}
	}
	get := r.Header.Get
	h := &Hello{
		Pool: get(headerPool), Name: get(headerName), Labels: list(get(headerLabels), MaxLabels+1),
		Version: get(headerVersion), Instance: get(headerInstance), Connected: list(get(headerConnected), maxReplicas),
	}
	var err error
	if h.Slots, err = strconv.Atoi(get(headerSlots)); err != nil {
		return nil, fmt.Errorf("header %s: must be a number", headerSlots)
	}
	if len(h.Version) > maxVersion {
		return nil, fmt.Errorf("header %s: longer than %d bytes", headerVersion, maxVersion)
	}
	if h.Instance == "" || len(h.Instance) > maxInstance {
		return nil, fmt.Errorf("header %s: must have 1 to %d bytes", headerInstance, maxInstance)
	}
	if err := h.Check(); err != nil {
		return nil, err
	}
	return h, nil
}

// Check says what is wrong with the names and numbers of h.
func (h *Hello) Check() error {
	const rule = "lower-case letters, digits, dots, hyphens and underscores, at most 63, a letter or digit first and last"
	switch {
	case !IsPoolName(h.Pool):
		return errors.New("pool: must be lower-case letters, digits and hyphens")
	case !IsName(h.Name):
		return errors.New("name: must be " + rule)
	case len(h.Labels) > MaxLabels:
		return fmt.Errorf("labels: more than %d", MaxLabels)
	case h.Slots < 1 || h.Slots > MaxSlots:
		return fmt.Errorf("slots: must be 1 to %d", MaxSlots)
	}
	for _, l := range h.Labels {
		if !IsName(l) {
			return errors.New("label: must be " + rule)
		}
	}
	return nil
}

// list splits a list at its commas, at most limit entries.
func list(text string, limit int) []string {
	var entries []string
	for e := range strings.SplitSeq(text, ",") {
		if e = strings.TrimSpace(e); e != "" && len(entries) < limit {
			entries = append(entries, e)
		}
	}
	return entries
}

// State is how an agent is.
type State struct {
	Running  int  `json:"running"` // jobs
	Queued   int  `json:"queued"`  // jobs that wait on the agent
	Slots    int  `json:"slots"`
	Draining bool `json:"draining,omitempty"` // it takes no new jobs
	Leaving  bool `json:"leaving,omitempty"`  // and is about to go
}

// stateAnswer is a State on its way. Who knows Serial is answered when there
// is a newer one.
type stateAnswer struct {
	State
	Serial int64 `json:"serial"`
}

// Replicas says which replica of an orchestrator this is, and which there are.
type Replicas struct {
	Self string
	All  []string
}

func (r Replicas) write(to http.Header) {
	to.Set(headerReplica, r.Self)
	to.Set(headerReplicas, strings.Join(r.All[:min(len(r.All), maxReplicas)], ","))
}

func readReplicas(from http.Header) Replicas {
	return Replicas{Self: from.Get(headerReplica), All: list(from.Get(headerReplicas), maxReplicas)}
}
