package config_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/cromt/cromt/bot/config"
)

func TestPools(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"app.pem": key(t), "secret": strings.Repeat("s", 20), "join.key": strings.Repeat("k", 32), "short.key": "k"} {
		write(t, dir, name, text)
	}
	sum := strings.Repeat("0a", 32)
	for _, c := range []struct{ pools, want string }{
		{"builders: {register: true, join_key_file: join.key, join_token_sha256: [" + sum + "], repos: [\"o/*\"], forks: true, revoked: [vm-1], max_members: 9}", ""},
		{"racks: {hosts: [{url: https://a, slots: 2, labels: [x]}], repos: [o/r]}", ""},
		{"builders: {register: true, repos: [o/r]}", "nobody can join pool"},
		{"builders: {register: true, join_key_file: short.key}", "shorter than 32 characters"},
		{"builders: {register: true, join_key_file: absent}", "no such file"},
		{"Builders: {register: true, join_key_file: join.key}", "use lower-case letters"},
		{"builders: {register: true, join_token_sha256: [hunter2]}", "64 hexadecimal digits"},
		{"racks: {hosts: [{url: https://b}]}", "is none of the hosts"},
		{"racks: {hosts: [{url: https://a}], join_key_file: join.key}", "write register: true"},
		{"racks: {}", "has no hosts"},
		{"racks: {host: []}", `did you mean "hosts"`},
		{"racks: {hosts: [{url: https://a}], repos: [x]}", "is not a repository"},
	} {
		write(t, dir, "bot.yaml", strings.Split(least, "hosts:")[0]+"hosts: [{url: https://a, repos: [o/r]}]\npools:\n  "+c.pools+"\n")
		cfg, err := config.Load(filepath.Join(dir, "bot.yaml"), env(nil))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.pools, err)
		case c.want == "":
			if len(cfg.Pools) != 1 || len(cfg.Pools[0].Repos) != 1 || cfg.Pools[0].MaxMembers == 0 {
				t.Errorf("%s: %+v", c.pools, cfg.Pools)
			}
		case err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), strings.Repeat("k", 8)):
			t.Errorf("%s: %v, want %s", c.pools, err, c.want)
		}
	}
}
