package flow_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
)

// settingsOf reads yaml and returns what was set, as key=value.
func settingsOf(yaml string) (got []string, err error) {
	set := func(name string) func(flow.Text) (string, string) {
		return func(t flow.Text) (string, string) {
			if t.Value == "bad" {
				return name + " must not be bad", "write good"
			}
			got = append(got, name+"="+t.Value)
			return "", ""
		}
	}
	err = flow.ReadSettings("bot.yaml", []byte(yaml), []flow.Setting{
		{Name: "listen", Set: set("listen")},
		{Name: "github", Keys: []flow.Setting{
			{Name: "app_id", Set: set("app_id")},
			{Name: "key", Refuse: `"key" is a secret`, RefuseHint: "write key_file"},
		}},
		{Name: "clone", Each: func(pos flow.Pos) []flow.Setting {
			got = append(got, "entry")
			return []flow.Setting{{Name: "from", Set: set("from")}, {Name: "to", Set: set("to")}}
		}},
		{Name: "hosts", Skip: func() { got = append(got, "hosts") }},
	})
	return got, err
}

func TestReadSettings(t *testing.T) {
	for yaml, want := range map[string][]string{
		"":          nil,
		"null":      nil,
		"# nothing": nil,
		"listen: 127.0.0.1:80\ngithub: {app_id: 12}\nhosts: [{x: y}]": {"listen=127.0.0.1:80", "app_id=12", "hosts"},
		"clone:\n- {from: a, to: b}\n- {from: c}":                     {"entry", "from=a", "to=b", "entry", "from=c"},
		"listen:\ngithub: ~\nclone:\nhosts:":                          nil,
		"clone: [&e {from: a}, *e]":                                   {"entry", "from=a", "entry", "from=a"},
	} {
		if got, err := settingsOf(yaml); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", yaml, got, err)
		}
	}
}

func TestReadSettingsErrors(t *testing.T) {
	for yaml, want := range map[string]string{
		"- a":                                "bot.yaml:1:1: a settings file must be a map; it begins with a key and a colon",
		"lisen: x":                           `bot.yaml:1:1: unknown key "lisen"; did you mean "listen"?`,
		"zzzzz: x":                           `bot.yaml:1:1: unknown key "zzzzz"; the file takes clone, github, hosts, listen`,
		"projects: x":                        `bot.yaml:1:1: unknown key "projects"; the file takes clone, github, hosts, listen`,
		"app_id: 1":                          `bot.yaml:1:1: unknown key "app_id"; indent it under github`,
		"github: {listen: x}":                `bot.yaml:1:10: unknown key "listen"; it belongs to the file: write it without indentation`,
		"github: {app-id: x}":                `bot.yaml:1:10: unknown key "app-id"; did you mean "app_id"?`,
		"github: {key: hunter2}":             `bot.yaml:1:10: "key" is a secret; write key_file`,
		"github: {key: [hunter2]}":           `bot.yaml:1:10: "key" is a secret; write key_file`,
		"github: 3":                          `bot.yaml:1:9: "github" must be a map`,
		"listen: [a]":                        `bot.yaml:1:9: "listen" must be a string; write listen: a`,
		"clone: [a]":                         `bot.yaml:1:9: an entry of "clone" must be a map`,
		"clone: {from: a}":                   `bot.yaml:1:8: "clone" must be a list`,
		"listen: bad":                        "bot.yaml:1:9: listen must not be bad; write good",
		"listen: a\nlisten: b":               `bot.yaml:2:1: duplicate key "listen" in the file (first at line 1)`,
		"listen: ''":                         `bot.yaml:1:9: "listen" is empty; give it a value, or remove it`,
		"listen: bad\ngithub: {app_id: bad}": "bot.yaml:1:9: listen must not be bad; write good\nbot.yaml:2:18: app_id must not be bad; write good",
	} {
		if _, err := settingsOf(yaml); err == nil || err.Error() != want {
			t.Errorf("%q: %v\nwant %s", yaml, err, want)
		}
	}
	if _, err := settingsOf(strings.Repeat("[", 100)); err == nil {
		t.Error("deep nesting: no error")
	}
}

func TestNextTime(t *testing.T) {
	zone := time.FixedZone("east", 3*3600)
	at := time.Date(2026, 3, 1, 2, 30, 0, 1, zone) // 23:30 UTC the day before
	for crontab, want := range map[string]string{
		"30 23 * * *": "2026-03-01T23:30:00Z",
		"31 23 * * *": "2026-02-28T23:31:00Z",
		"* * * * *":   "2026-02-28T23:31:00Z",
		"0 0 29 2 *":  "2028-02-29T00:00:00Z",
		"0 0 30 2 *":  "0001-01-01T00:00:00Z",
		"TZ=0":        "0001-01-01T00:00:00Z",
		"@daily":      "0001-01-01T00:00:00Z",
		"":            "0001-01-01T00:00:00Z",
	} {
		if got := flow.NextTime(crontab, at).Format(time.RFC3339); got != want {
			t.Errorf("%q: %s, want %s", crontab, got, want)
		}
	}
}
