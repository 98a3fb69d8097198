package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/cromt/cromt/sparky"
)

// queueRequest is a checked POST /queue.
type queueRequest struct {
	project, id string
	config      []byte       // JSON of jobConfig
	payload     []byte       // JSON of spec or file, or withheld
	spec        *sparky.Spec // nil: not a cromt job
	file        *sparrowJob  // of a job that is no cromt job
}

// withheld is stored in place of the data of a job with a clone credential,
// which is never on disk: such credentials soon expire, so that a job that
// waited through a restart of the agent is better sent again, with a new one.
const withheld = `"withheld"`

// jobConfig is what is kept of a request's config for people and for GET
// /trigger.
type jobConfig struct {
	Description string            `json:"description,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Sparrowdo   map[string]any    `json:"sparrowdo,omitempty"`
	Folder      bool              `json:"folder,omitempty"` // a build of the project's folder
	Secret      []string          `json:"secret,omitempty"` // tags whose values are not kept
	Depth       int               `json:"depth,omitempty"`  // of downstream projects
	By          string            `json:"by,omitempty"`     // who started it
}

// queueBody is sparky.QueueRequest as lenient as a Sparky reads it: numbers
// are names, too, and tags may be any scalar.
type queueBody struct {
	Config *struct {
		Project     scalar            `json:"project"`
		JobID       scalar            `json:"job-id"`
		Description scalar            `json:"description"`
		Tags        map[string]scalar `json:"tags"`
		Sparrowdo   map[string]any    `json:"sparrowdo"`
	} `json:"config"`
	Trigger         json.RawMessage `json:"trigger"`
	Sparrowfile     string          `json:"sparrowfile"`
	SparrowdoConfig json.RawMessage `json:"sparrowdo-config"`
}

// scalar is a JSON string, number, boolean or null as text.
type scalar string

func (s *scalar) UnmarshalJSON(data []byte) error {
	switch data[0] {
	case '"':
		return json.Unmarshal(data, (*string)(s))
	case '[', '{':
		return fmt.Errorf("a list or map where text is expected")
	case 't':
		*s = "True"
	case 'f':
		*s = "False"
	case 'n':
		*s = ""
	default:
		*s = scalar(data)
	}
	return nil
}

// decodeQueue checks the body of POST /queue.
func decodeQueue(data []byte) (*queueRequest, error) {
	var body queueBody
	if err := json.Unmarshal(data, &body); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	if body.Config == nil {
		return nil, errors.New("config: must be an object")
	}
	if t := bytes.TrimSpace(body.Trigger); len(t) == 0 || t[0] != '{' {
		return nil, errors.New("trigger: must be an object; {} is enough")
	}
	req := &queueRequest{project: string(body.Config.Project), id: string(body.Config.JobID)}
	if err := checkNames(req.project, req.id); err != nil {
		return nil, err
	}
	cfg := jobConfig{Description: cut(string(body.Config.Description), maxDescription), Sparrowdo: body.Config.Sparrowdo}
	if len(body.Config.Tags) > 0 {
		cfg.Tags = make(map[string]string, len(body.Config.Tags))
		for k, v := range body.Config.Tags {
			cfg.Tags[k] = string(v)
		}
	}
	if err := readTrigger(&cfg, body.Trigger); err != nil {
		return nil, err
	}
	var err error
	if req.config, err = json.Marshal(cfg); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if len(req.config) > maxConfig {
		return nil, fmt.Errorf("config: description, tags and sparrowdo are longer than %d bytes", maxConfig)
	}
	req.payload = body.SparrowdoConfig
	if req.spec, err = decodeSpec(req.payload); err != nil {
		return nil, fmt.Errorf("sparrowdo-config: %w", err)
	}
	switch {
	case req.spec == nil:
		req.file = &sparrowJob{Sparrowfile: body.Sparrowfile, Config: body.SparrowdoConfig}
		if req.payload, err = json.Marshal(req.file); err != nil {
			return nil, fmt.Errorf("sparrowfile: %w", err)
		}
	case req.spec.Source.Auth != "":
		req.payload = []byte(withheld)
	}
	return req, nil
}

// readTrigger takes over what a child inherits, and names what has no name.
func readTrigger(cfg *jobConfig, data json.RawMessage) error {
	var trigger struct {
		Sparrowdo map[string]any `json:"sparrowdo"`
	}
	if string(data) != "{}" {
		if err := json.Unmarshal(data, &trigger); err != nil {
			return fmt.Errorf("trigger: %w", err)
		}
	}
	mergeTrigger(cfg, trigger.Sparrowdo)
	if cfg.Description == "" {
		cfg.Description = "spawned job"
	}
	return nil
}

func checkNames(project, id string) error {
	if !sparky.ProjectName.MatchString(project) {
		return fmt.Errorf("config.project %q: must match %s", cut(project, 50), sparky.ProjectName)
	}
	if !sparky.JobID.MatchString(id) {
		return fmt.Errorf("config.job-id %q: must match %s", cut(id, 50), sparky.JobID)
	}
	return nil
}

// cut shortens s to n bytes of valid UTF-8 at most.
func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}
