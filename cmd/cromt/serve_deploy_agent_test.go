//go:build unix

package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

// agentFlags are the flags of cromt agent in a file, which exist.
func agentFlags(t *testing.T, name string) []string {
	t.Helper()
	help, err := exec.Command(cromtBinary(), "agent", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	known := regexp.MustCompile(`--[a-z-]+`).FindAllString(string(help), -1)
	text := readFileText(t, filepath.Join(deployDir, name))
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	found := regexp.MustCompile(`--[a-z-]+`).FindAllString(strings.Join(lines, "\n"), -1)
	for _, flag := range found {
		if flag != "--now" && flag != "---" && !slices.Contains(known, flag) {
			t.Errorf("%s: agent has no %s", name, flag)
		}
	}
	return found
}

// systemd takes the unit of an agent, which waits for longer than it drains.
func TestDeployAgentUnit(t *testing.T) {
	if len(agentFlags(t, "cromt-agent.service")) < 4 {
		t.Error("the unit names few flags")
	}
	text := readFileText(t, filepath.Join(deployDir, "cromt-agent.service"))
	stop := regexp.MustCompile(`TimeoutStopSec=(\d+)min`).FindStringSubmatch(text)
	drain := regexp.MustCompile(`--drain-timeout (\S+)`).FindStringSubmatch(text)
	if stop == nil || drain == nil {
		t.Fatal("the unit has no times")
	}
	longer(t, stop[1]+"m", drain[1])
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		return // it is of no use there
	}
	unit := filepath.Join(t.TempDir(), "cromt-agent.service")
	if err := os.WriteFile(unit, []byte(strings.Replace(text, "/usr/local/bin/cromt", lookBinary(t), 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

func lookBinary(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath(cromtBinary())
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func longer(t *testing.T, a, b string) {
	t.Helper()
	x, err := time.ParseDuration(a)
	y, err2 := time.ParseDuration(b)
	if errors.Join(err, err2) != nil || x <= y {
		t.Errorf("%s is not longer than %s", a, b)
	}
}

// The fields of the manifests that are used, as the API has them: a field that
// is written wrongly would be dropped, or refused, only by a cluster.
type (
	object struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   metadata
		Spec       yaml.Node
	}
	metadata struct {
		Name   string
		Labels map[string]string
	}
	deployment struct {
		Selector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		}
		Strategy struct {
			Type          string
			RollingUpdate struct {
				MaxUnavailable int    `yaml:"maxUnavailable"`
				MaxSurge       string `yaml:"maxSurge"`
			} `yaml:"rollingUpdate"`
		}
		Template struct {
			Metadata metadata
			Spec     podSpec
		}
	}
	podSpec struct {
		AutomountServiceAccountToken  *bool `yaml:"automountServiceAccountToken"`
		TerminationGracePeriodSeconds int   `yaml:"terminationGracePeriodSeconds"`
		SecurityContext               struct {
			RunAsNonRoot   bool                  `yaml:"runAsNonRoot"`
			RunAsUser      int                   `yaml:"runAsUser"`
			RunAsGroup     int                   `yaml:"runAsGroup"`
			FSGroup        int                   `yaml:"fsGroup"`
			SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
		} `yaml:"securityContext"`
		Containers []struct {
			Name, Image     string
			Args            []string
			Resources       struct{ Requests, Limits map[string]string }
			SecurityContext struct {
				AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
				Capabilities             struct{ Drop []string }
			} `yaml:"securityContext"`
			VolumeMounts []struct {
				Name      string
				MountPath string `yaml:"mountPath"`
				ReadOnly  bool   `yaml:"readOnly"`
			} `yaml:"volumeMounts"`
		}
		Volumes []struct {
			Name   string
			Secret struct {
				SecretName  string `yaml:"secretName"`
				DefaultMode int    `yaml:"defaultMode"`
			}
			EmptyDir struct {
				SizeLimit string `yaml:"sizeLimit"`
			} `yaml:"emptyDir"`
		}
	}
	policies struct {
		StabilizationWindowSeconds int `yaml:"stabilizationWindowSeconds"`
		Policies                   []struct {
			Type          string
			Value         int
			PeriodSeconds int `yaml:"periodSeconds"`
		}
	}
	autoscaler struct {
		ScaleTargetRef struct {
			APIVersion string `yaml:"apiVersion"`
			Kind, Name string
		} `yaml:"scaleTargetRef"`
		MinReplicas int `yaml:"minReplicas"`
		MaxReplicas int `yaml:"maxReplicas"`
		Metrics     []struct {
			Type     string
			External struct {
				Metric struct {
					Name     string
					Selector struct {
						MatchLabels map[string]string `yaml:"matchLabels"`
					}
				}
				Target struct {
					Type         string
					AverageValue string `yaml:"averageValue"`
				}
			}
		}
		Behavior struct {
			ScaleUp   policies `yaml:"scaleUp"`
			ScaleDown policies `yaml:"scaleDown"`
		}
	}
)

func strict(t *testing.T, data []byte, into any) {
	t.Helper()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(into); err != nil {
		t.Fatal(err)
	}
}

func TestDeployKubernetes(t *testing.T) {
	agentFlags(t, "kubernetes.yaml")
	file, err := os.Open(filepath.Join(deployDir, "kubernetes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	dec := yaml.NewDecoder(file)
	dec.KnownFields(true)
	specs := map[string][]byte{}
	for {
		var o object
		if err := dec.Decode(&o); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		data, err := yaml.Marshal(&o.Spec)
		if err != nil {
			t.Fatal(err)
		}
		specs[o.APIVersion+" "+o.Kind+" "+o.Metadata.Name] = data
	}
	var d deployment
	strict(t, specs["apps/v1 Deployment cromt-agent"], &d)
	var a autoscaler
	strict(t, specs["autoscaling/v2 HorizontalPodAutoscaler cromt-agent"], &a)
	pod := d.Template.Spec
	for k, v := range d.Selector.MatchLabels {
		if d.Template.Metadata.Labels[k] != v {
			t.Errorf("the Pods are not the Deployment's: %s", k)
		}
	}
	if len(pod.Containers) != 1 || a.ScaleTargetRef.Name != "cromt-agent" || a.MinReplicas < 0 || a.MaxReplicas < a.MinReplicas {
		t.Fatalf("%+v %+v", pod, a)
	}
	c := pod.Containers[0]
	i := slices.IndexFunc(c.Args, func(s string) bool { return strings.HasPrefix(s, "--drain-timeout=") })
	longer(t, (time.Duration(pod.TerminationGracePeriodSeconds) * time.Second).String(), strings.TrimPrefix(c.Args[i], "--drain-timeout="))
	for _, m := range c.VolumeMounts {
		if !slices.ContainsFunc(pod.Volumes, func(v struct {
			Name   string
			Secret struct {
				SecretName  string `yaml:"secretName"`
				DefaultMode int    `yaml:"defaultMode"`
			}
			EmptyDir struct {
				SizeLimit string `yaml:"sizeLimit"`
			} `yaml:"emptyDir"`
		}) bool {
			return v.Name == m.Name
		}) {
			t.Errorf("volume %s is not there", m.Name)
		}
	}
	text := readFileText(t, filepath.Join(deployDir, "kubernetes.yaml"))
	for _, name := range regexp.MustCompile(`\(cromt_pool_[a-z_]+`).FindAllString(text, -1) {
		if !strings.Contains(poolMetricNames, name[1:]+" ") {
			t.Errorf("there is no metric %s", name[1:])
		}
	}
}

// poolMetricNames are those that TestServeRegisterDrain has seen.
const poolMetricNames = "cromt_pool_waiting_jobs cromt_pool_slots "

func TestDeployCloudInit(t *testing.T) {
	text := readFileText(t, filepath.Join(deployDir, "cloud-init.yaml"))
	if !strings.HasPrefix(text, "#cloud-config\n") {
		t.Error("it does not begin with #cloud-config")
	}
	var c struct {
		PackageUpdate bool `yaml:"package_update"`
		Packages      []string
		Users         []struct {
			Name, Homedir, Shell string
			System               bool
		}
		WriteFiles []struct{ Path, Permissions, Content string } `yaml:"write_files"`
		Runcmd     [][]string
	}
	strict(t, []byte(text), &c)
	unit := readFileText(t, filepath.Join(deployDir, "cromt-agent.service"))
	for _, f := range c.WriteFiles {
		if !strings.Contains(unit, f.Path) || f.Permissions != "0600" {
			t.Errorf("%s: of no use to the unit, or not 0600", f.Path)
		}
	}
	for _, name := range []string{"CROMT_URL", "CROMT_POOL"} {
		if !strings.Contains(c.WriteFiles[0].Content, name+"=") || !strings.Contains(unit, "${"+name+"}") {
			t.Errorf("%s is not given", name)
		}
	}
}
