package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/config"
	"github.com/cromt/cromt/bot/trust"
	"github.com/cromt/cromt/flow"
)

const full = `listen: 0.0.0.0:8080
public_url: https://cromt.example.com/
github:
  app_id: 12
  private_key_file: app.pem
  webhook_secret_file: secret
  api_url: https://github.example.com/api/v3/
  client_id: Iv1.abc
  client_secret_file: client
database: postgres://cromt@db/cromt
config_path: ci/jobs.yaml
default_host: https://HOSTA:4000
hosts:
  - url: https://hostA:4000
    name: hostA
    token_file: hostA.token
    ca_file: hostA.pem
    repos: ["owner/*"]
    slots: 4
  - url: http://127.0.0.1:4000
    token_secret: LOCAL
    repos: ["*/*"]
    forks: true
clone: [{from: owner/lib, to: "owner/*"}]
secrets_dir: secrets/
retention: 30d
`

// folder has the files of full, and bot.yaml with the text.
func folder(t testing.TB, yaml string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "bot.yaml", yaml)
	write(t, dir, "app.pem", key(t))
	write(t, dir, "secret", "correct horse battery staple\n")
	write(t, dir, "client", "client-secret-1\n")
	write(t, dir, "hostA.token", " hostA-token\n")
	write(t, dir, "hostA.pem", certificate(t))
	if err := os.Mkdir(filepath.Join(dir, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func key(t testing.TB) string {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}))
}

func certificate(t testing.TB) string {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// env is a getenv over a map.
func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func TestLoad(t *testing.T) {
	dir := folder(t, full)
	c, err := config.Load(filepath.Join(dir, "bot.yaml"), env(map[string]string{"CROMT_SECRET_LOCAL": "local-token\n"}))
	if err != nil {
		t.Fatal(err)
	}
	if key := c.GitHub.PrivateKey.Reveal(); !strings.HasPrefix(key, "-----BEGIN RSA PRIVATE KEY-----\n") {
		t.Errorf("private key %.20s", key)
	}
	if len(c.Hosts) != 2 || !strings.HasPrefix(string(c.Hosts[0].CA), "-----BEGIN CERTIFICATE") {
		t.Fatalf("%+v", c.Hosts)
	}
	for i := range c.Hosts {
		c.Hosts[i].Pos, c.Hosts[i].CA = flow.Pos{}, nil
	}
	c.GitHub.PrivateKey = config.Secret{}
	want := &config.Config{
		Listen: "0.0.0.0:8080", PublicURL: "https://cromt.example.com",
		GitHub: config.GitHub{AppID: 12, WebhookSecret: config.NewSecret("correct horse battery staple"), APIURL: "https://github.example.com/api/v3",
			ClientID: "Iv1.abc", ClientSecret: config.NewSecret("client-secret-1")},
		Database: config.Database{Driver: "postgres", Source: config.NewSecret("postgres://cromt@db/cromt")}, ConfigPath: "ci/jobs.yaml", DefaultHost: "https://hostA:4000",
		Hosts: []config.Host{
			{HostEntry: flow.HostEntry{URL: "https://hostA:4000", Name: "hostA", TokenFile: "hostA.token", CAFile: "hostA.pem", Repos: []string{"owner/*"}, Slots: 4}, Token: config.NewSecret("hostA-token")},
			{HostEntry: flow.HostEntry{URL: "http://127.0.0.1:4000", TokenSecret: "LOCAL", Repos: []string{"*/*"}, Forks: true}, Token: config.NewSecret("local-token")},
		},
		SecretsDir: filepath.Join(dir, "secrets"), Clone: []trust.CloneRule{{From: "owner/lib", To: "owner/*"}}, Retention: 30 * 24 * time.Hour,
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	h, err := trust.Hosts(c.Entries(), "owner/repo", false).Resolve("https://hosta:4000", flow.Pos{})
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := c.Host(h); !ok || got.Token.Reveal() != "hostA-token" {
		t.Errorf("%+v, %v", got, ok)
	}
	if _, ok := c.Host(flow.HostEntry{URL: "https://evil"}); ok {
		t.Error("a host that is not there")
	}
}

const least = `public_url: https://c.example
github: {app_id: 1, private_key_file: app.pem, webhook_secret_file: secret}
hosts: [{url: https://hostA:4000, token_file: hostA.token, repos: ["o/*"]}]
`

func TestDefaults(t *testing.T) {
	dir := folder(t, least)
	c, err := config.Load(filepath.Join(dir, "bot.yaml"), env(nil))
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:8080" || c.GitHub.APIURL != "https://api.github.com" || c.ConfigPath != "jobs.yaml" || c.Retention != 90*24*time.Hour ||
		c.Database.Driver != "sqlite" || c.Database.Source.Reveal() != filepath.Join(dir, "cromt.db") || c.DefaultHost != "" || c.SecretsDir != "" || c.Warnings != nil {
		t.Errorf("%+v", c)
	}
}

// TestVariables: each key as a variable, without any file; then before one.
func TestVariables(t *testing.T) {
	dir := folder(t, full)
	write(t, dir, "hosts.yaml", "- {url: https://hostB:4000, token_file: hostA.token, repos: ['a/b']}")
	pem, err := os.ReadFile(filepath.Join(dir, "app.pem"))
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{
		"CROMT_LISTEN": ":9", "CROMT_PUBLIC_URL": "http://localhost:9", "CROMT_GITHUB_APP_ID": "7",
		"CROMT_GITHUB_PRIVATE_KEY":    strings.ReplaceAll(string(pem), "\n", `\n`),
		"CROMT_GITHUB_WEBHOOK_SECRET": "from the environment", "CROMT_GITHUB_API_URL": "http://127.0.0.1:1/api",
		"CROMT_GITHUB_CLIENT_ID": "id", "CROMT_GITHUB_CLIENT_SECRET_FILE": filepath.Join(dir, "client"),
		"CROMT_DATABASE": "postgres://u:hunter2@db/x", "CROMT_CONFIG_PATH": "x.yaml", "CROMT_DEFAULT_HOST": "https://hostB:4000",
		"CROMT_HOSTS": filepath.Join(dir, "hosts.yaml"), "CROMT_SECRETS_DIR": filepath.Join(dir, "secrets"),
		"CROMT_RETENTION": "2h", "CROMT_CLONE": "a/b=c/d, e/f=c/*",
	}
	for _, file := range []string{"", filepath.Join(dir, "bot.yaml")} {
		c, err := config.Load(file, env(vars))
		if err != nil {
			t.Fatal(err)
		}
		if c.Listen != ":9" || c.PublicURL != "http://localhost:9" || c.GitHub.AppID != 7 || c.GitHub.PrivateKey.Reveal() != strings.TrimSpace(string(pem))+"\n" ||
			c.GitHub.WebhookSecret.Reveal() != "from the environment" || c.GitHub.APIURL != "http://127.0.0.1:1/api" || c.GitHub.ClientID != "id" ||
			c.GitHub.ClientSecret.Reveal() != "client-secret-1" || c.Database.Source.Reveal() != "postgres://u:hunter2@db/x" || c.ConfigPath != "x.yaml" ||
			c.DefaultHost != "https://hostB:4000" || len(c.Hosts) != 1 || c.Hosts[0].Token.Reveal() != "hostA-token" || c.SecretsDir != filepath.Join(dir, "secrets") ||
			c.Retention != 2*time.Hour || !reflect.DeepEqual(c.Clone, []trust.CloneRule{{From: "a/b", To: "c/d"}, {From: "e/f", To: "c/*"}}) {
			t.Errorf("%q: %+v", file, c)
		}
	}
}

// TestErrors: what is changed in a good file, and every line of what is said.
func TestErrors(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"empty", least, "", `"public_url" is missing; write it, or set CROMT_PUBLIC_URL|"github.app_id" is missing; write app_id under github, or set CROMT_GITHUB_APP_ID|` +
			`"github.private_key_file" is missing; write private_key_file under github, or set CROMT_GITHUB_PRIVATE_KEY|"github.webhook_secret_file" is missing; write webhook_secret_file under github, or set CROMT_GITHUB_WEBHOOK_SECRET`},
		{"no YAML", least, "public_url: [", ":1:13: invalid YAML: did not find expected node content; a bracket or brace is not closed, or a comma is missing"},
		{"list", least, "- a", `:1:1: a settings file must be a map; it begins with a key and a colon`},
		{"unknown", "public_url:", "publicurl: x\npublic_url:", `:1:1: unknown key "publicurl"; did you mean "public_url"?`},
		{"unknown below", "app_id: 1", "app_id: 1, webhook_secret_fil: x", `:2:21: unknown key "webhook_secret_fil"; did you mean "webhook_secret_file"?`},
		{"misplaced", "public_url:", "app_id: 1\npublic_url:", `:1:1: unknown key "app_id"; indent it under github`},
		{"two", "https://c.example", "http://c.example\nlisten: 80", ":1:13: public_url must be https: with http, others can read what is sent there; write it like https://cromt.example.com|" +
			":2:9: listen must be an address and a port; write 127.0.0.1:8080, or :8080 for all addresses"},
		{"duplicate", "public_url:", "public_url: https://d\npublic_url:", `:2:1: duplicate key "public_url" in the file (first at line 1)`},

		{"literal webhook secret", "webhook_secret_file: secret", "webhook_secret: hunter2", `"github.webhook_secret_file" is missing; write webhook_secret_file under github, or set CROMT_GITHUB_WEBHOOK_SECRET|` +
			`:2:48: "webhook_secret" is a secret, and this file is none; write it to a file and webhook_secret_file: FILE here, or set CROMT_GITHUB_WEBHOOK_SECRET`},
		{"literal key", "private_key_file: app.pem", "private_key: hunter2", `"github.private_key_file" is missing; write private_key_file under github, or set CROMT_GITHUB_PRIVATE_KEY|` +
			`:2:21: "private_key" is a secret, and this file is none; write it to a file and private_key_file: FILE here, or set CROMT_GITHUB_PRIVATE_KEY`},
		{"key as file", "private_key_file: app.pem", "private_key_file: '-----BEGIN hunter2'", ":2:39: github.private_key_file: this is the secret itself, not the name of a file with it"},
		{"literal token", "token_file: hostA.token", "token: hunter2", `:3:35: unknown key "token"; write it to a file and token_file: FILE here, or token_secret: NAME and set CROMT_SECRET_NAME`},
		{"secret as file", "webhook_secret_file: secret", "webhook_secret_file: hunter2", ":2:69: github.webhook_secret_file: no such file or directory"},
		{"password", "github:", "database: postgres://u:hunter2@db/x\ngithub:", ":2:11: database has a password, and this file is no secret; write the URL to a file and database_file: FILE here, or set CROMT_DATABASE"},
		{"password below", "github:", "database: postgres://db/x?password=hunter2\ngithub:", ":2:11: database has a password, and this file is no secret; write the URL to a file and database_file: FILE here, or set CROMT_DATABASE"},

		{"empty secret", "webhook_secret_file: secret", "webhook_secret_file: empty", ":2:69: github.webhook_secret_file: the file is empty"},
		{"empty value", "webhook_secret_file: secret", "webhook_secret_file: ''", `"github.webhook_secret_file" is missing; write webhook_secret_file under github, or set CROMT_GITHUB_WEBHOOK_SECRET|` +
			`:2:69: "webhook_secret_file" is empty; give it a value, or remove it`},
		{"folder", "webhook_secret_file: secret", "webhook_secret_file: secrets", ":2:69: github.webhook_secret_file: is not a regular file"},
		{"large", "webhook_secret_file: secret", "webhook_secret_file: large", ":2:69: github.webhook_secret_file: the file is larger than 64 KiB; is it the right one?"},
		{"no key", "private_key_file: app.pem", "private_key_file: secret", ":2:39: private_key is not an RSA private key in PEM; take the .pem file that GitHub made for the App"},
		{"certificate", "private_key_file: app.pem", "private_key_file: hostA.pem", ":2:39: private_key is not an RSA private key in PEM; take the .pem file that GitHub made for the App"},
		{"app id", "app_id: 1", "app_id: -1", ":2:18: app_id must be the number of the App; it is on the App's page, under About"},
		{"app name", "app_id: 1", "app_id: my-app", ":2:18: app_id must be the number of the App; it is on the App's page, under About"},
		{"client id alone", "app_id: 1", "app_id: 1, client_id: x", `"github.client_id" and "github.client_secret_file" go together; give both, or none to have no sign-in`},
		{"client secret alone", "app_id: 1", "app_id: 1, client_secret_file: client", `"github.client_id" and "github.client_secret_file" go together; give both, or none to have no sign-in`},
		{"api", "app_id: 1", "app_id: 1, api_url: http://github.example", ":2:30: api_url must be https: with http, others can read what is sent there; write https://api.github.com, or https://github.example.com/api/v3 for GitHub Enterprise"},

		{"public user", "https://c.example", "https://u:hunter2@c.example", ":1:13: public_url must not have a user or a password; write it like https://cromt.example.com"},
		{"public path", "https://c.example", "https://c.example/x", ":1:13: public_url must not have a path; write https://c.example"},
		{"public query", "https://c.example", "https://c.example/?x", ":1:13: public_url must not have a query or a fragment; write it like https://cromt.example.com"},
		{"public scheme", "https://c.example", "c.example", ":1:13: public_url must be an https URL; write it like https://cromt.example.com"},
		{"public lookalike", "https://c.example", "http://localhost.example", ":1:13: public_url must be https: with http, others can read what is sent there; write it like https://cromt.example.com"},
		{"database", "github:", "database: mysql://x/y\ngithub:", ":2:11: database must be sqlite:FILE or a postgres:// URL; write sqlite:FILE or postgres://user@host/database"},
		{"database name", "github:", "database: postgres://x/\ngithub:", ":2:11: database names no database; write sqlite:FILE or postgres://user@host/database"},
		{"database file name", "github:", "database: 'sqlite:'\ngithub:", ":2:11: database names no file; write sqlite:cromt.db"},
		{"database twice", "github:", "database: sqlite:x\ndatabase_file: secret\ngithub:", `:3:16: "database" and "database_file" exclude each other; remove one`},
		{"database from file", "github:", "database_file: secret\ngithub:", ":2:16: database must be sqlite:FILE or a postgres:// URL; write sqlite:FILE or postgres://user@host/database"},
		{"config path", "github:", "config_path: ../x\ngithub:", ":2:14: config_path must be the path of a file in a repository; write jobs.yaml, or ci/jobs.yaml"},
		{"config path below", "github:", "config_path: a/../../x\ngithub:", ":2:14: config_path must be the path of a file in a repository; write jobs.yaml, or ci/jobs.yaml"},
		{"config path absolute", "github:", "config_path: /etc/x\ngithub:", ":2:14: config_path must be the path of a file in a repository; write jobs.yaml, or ci/jobs.yaml"},
		{"config path option", "github:", "config_path: -x\ngithub:", ":2:14: config_path has a character that paths should not have; write jobs.yaml, or ci/jobs.yaml"},
		{"secrets", "github:", "secrets_dir: nosuch\ngithub:", ":2:14: secrets_dir: no such file or directory; make it, with a file OWNER/REPO/NAME for each secret"},
		{"secrets file", "github:", "secrets_dir: secret\ngithub:", ":2:14: secrets_dir is not a folder"},
		{"retention", "github:", "retention: soon\ngithub:", ":2:12: retention must be days or a duration; write 90d or 2160h"},
		{"retention number", "github:", "retention: 90\ngithub:", ":2:12: retention must be days or a duration; write 90d or 2160h"},
		{"retention short", "github:", "retention: 1s\ngithub:", ":2:12: retention must be between 1h and 3650d"},
		{"retention none", "github:", "retention: 0d\ngithub:", ":2:12: retention must be between 1h and 3650d"},
		{"retention long", "github:", "retention: 3651d\ngithub:", ":2:12: retention must be between 1h and 3650d"},
		{"retention negative", "github:", "retention: -1d\ngithub:", ":2:12: retention must be days or a duration; write 90d or 2160h"},

		{"default host", "github:", "default_host: https://hostB:4000\ngithub:", ":2:15: default_host is none of the hosts; it can be https://hostA:4000"},
		{"default host form", "github:", "default_host: hostA\ngithub:", ":2:15: default_host is refused: it must be an http or https URL; write it like https://hostA:4000"},
		{"host", "url: https://hostA:4000", "url: https://hostA.", ":3:9: host is refused: it has no valid host name; write it like https://hostA:4000"},
		{"host twice", "hosts: [", "hosts: [{url: https://h}, {url: https://h:443}, ", ":3:27: this is the same host as https://h; remove one"},
		{"host unknown key", "token_file: hostA.token", "tokenfile: x", `:3:35: unknown key "tokenfile"; did you mean "token_file"?`},
		{"token", "token_file: hostA.token", "token_file: nosuch", ":3:9: token_file: no such file or directory"},
		{"token empty", "token_file: hostA.token", "token_file: empty", ":3:9: token_file: the file is empty"},
		{"token secret", "token_file: hostA.token", "token_secret: T", ":3:9: token_secret has no value; set CROMT_SECRET_T"},
		{"ca", "token_file: hostA.token", "token_file: hostA.token, ca_file: secret", ":3:9: ca_file: there is no certificate in PEM in it"},
		{"ca missing", "token_file: hostA.token", "token_file: hostA.token, ca_file: nosuch", ":3:9: ca_file: no such file or directory"},
		{"clone", "github:", "clone: [{from: lib, to: o/a}, {from: o/l}, {from: o/.., to: o/a}, {from: o/*, to: o/a}]\ngithub:",
			`:2:9: an entry of clone has no repository owner/name as "from"; write {from: owner/lib, to: owner/app}, or to: owner/*; as a variable owner/lib=owner/app|` +
				`:2:31: an entry of clone has no repository owner/name as "to"; write {from: owner/lib, to: owner/app}, or to: owner/*; as a variable owner/lib=owner/app|` +
				`:2:44: an entry of clone has no repository owner/name as "from"; write {from: owner/lib, to: owner/app}, or to: owner/*; as a variable owner/lib=owner/app|` +
				`:2:67: an entry of clone has no repository owner/name as "from"; write {from: owner/lib, to: owner/app}, or to: owner/*; as a variable owner/lib=owner/app`},
	}
	dir := folder(t, "")
	write(t, dir, "empty", " \n")
	write(t, dir, "large", strings.Repeat("x", config.MaxSecret+1))
	for _, tt := range tests {
		if !strings.Contains(least, tt.old) {
			t.Fatalf("%s: %q is not in the file", tt.name, tt.old)
		}
		write(t, dir, "bot.yaml", strings.Replace(least, tt.old, tt.new, 1))
		file := filepath.Join(dir, "bot.yaml")
		_, err := config.Load(file, env(nil))
		want := ""
		for line := range strings.SplitSeq(tt.want, "|") {
			if line[0] != ':' {
				line = ": " + line
			}
			want += "\n" + file + line
		}
		if err == nil || "\n"+err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", tt.name, err, want[1:])
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error repeats a secret: %v", tt.name, err)
		}
	}
}

func TestErrorsOfVariables(t *testing.T) {
	dir := folder(t, least)
	for _, tt := range []struct{ name, value, want string }{
		{"CROMT_LISTEN", "80", "CROMT_LISTEN: listen must be an address and a port; write 127.0.0.1:8080, or :8080 for all addresses"},
		{"CROMT_GITHUB_APP_ID", "x", "CROMT_GITHUB_APP_ID: app_id must be the number of the App; it is on the App's page, under About"},
		{"CROMT_GITHUB_WEBHOOK_SECRET_FILE", "hunter2", "CROMT_GITHUB_WEBHOOK_SECRET_FILE: github.webhook_secret_file: no such file or directory"},
		{"CROMT_GITHUB_PRIVATE_KEY", "hunter2", "CROMT_GITHUB_PRIVATE_KEY: private_key is not an RSA private key in PEM; take the .pem file that GitHub made for the App"},
		{"CROMT_HOSTS", "nosuch", "CROMT_HOSTS: hosts file: no such file or directory"},
		{"CROMT_DATABASE", "hunter2", "CROMT_DATABASE: database must be sqlite:FILE or a postgres:// URL; write sqlite:FILE or postgres://user@host/database"},
		{"CROMT_CLONE", "a/b", `CROMT_CLONE: an entry of clone has no repository owner/name as "to"; write {from: owner/lib, to: owner/app}, or to: owner/*; as a variable owner/lib=owner/app`},
		{"CROMT_DEFAULT_HOST", "https://x", "CROMT_DEFAULT_HOST: default_host is none of the hosts; it can be https://hostA:4000"},
	} {
		_, err := config.Load(filepath.Join(dir, "bot.yaml"), env(map[string]string{tt.name: tt.value}))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s=%s:\ngot  %v\nwant %s", tt.name, tt.value, err, tt.want)
		}
	}
	if _, err := config.Load(filepath.Join(dir, "nosuch"), env(nil)); err == nil || !strings.Contains(err.Error(), "nosuch: no such file") {
		t.Errorf("%v", err)
	}
	if _, err := config.Load("", env(nil)); err == nil || !strings.HasPrefix(err.Error(), `configuration: "public_url" is missing`) {
		t.Errorf("%v", err)
	}
	// A variable that is empty is not set: the secret of the file counts, and none without.
	c, err := config.Load(filepath.Join(dir, "bot.yaml"), env(map[string]string{"CROMT_GITHUB_WEBHOOK_SECRET": " "}))
	if err != nil || c.GitHub.WebhookSecret.Reveal() != "correct horse battery staple" {
		t.Errorf("%v", err)
	}
}

func TestWarnings(t *testing.T) {
	dir := folder(t, `public_url: http://[::1]:8080
github: {app_id: 1, private_key_file: app.pem, webhook_secret_file: short}
secrets_dir: secrets
hosts:
  - {url: https://a, insecure_skip_verify: true, repos: ["o/*"], token_file: hostA.token}
  - {url: http://b:4000, repos: ["o/*"], token_file: hostA.token}
  - {url: https://c, repos: ["o/*"]}
  - {url: https://d, token_file: hostA.token}
  - {url: http://localhost:4000, repos: ["o/*"], forks: true, public_port: ok}
`)
	write(t, dir, "short", "short\n")
	for name, mode := range map[string]os.FileMode{"app.pem": 0o644, "secrets": 0o755} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Load(filepath.Join(dir, "bot.yaml"), env(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"DIR/app.pem can be read by every user of this machine; chmod 600 it",
		"the webhook secret is shorter than 16 characters: it can be guessed",
		"DIR/secrets can be read by every user of this machine; chmod 700 it",
		"INSECURE: the certificate of https://a is not checked; whoever is between can read tokens, secrets and code, and change them; give its ca_file instead",
		"INSECURE: http://b:4000 is reached without encryption; whoever is between can read tokens, secrets and code, and change them; use https",
		"https://c has no token_file: whoever reaches it can run jobs on it",
		`no repository may use https://d; list some in its repos, like "owner/*"`,
		"http://localhost:4000 runs code of forks, and has public_port: code of a fork can read there what other jobs have sent",
	}
	if got := strings.ReplaceAll(strings.Join(c.Warnings, "\n"), dir, "DIR"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	write(t, dir, "bot.yaml", strings.Split(least, "hosts:")[0])
	if c, err = config.Load(filepath.Join(dir, "bot.yaml"), env(nil)); err != nil || !strings.Contains(strings.Join(c.Warnings, "\n"), "there are no hosts, so no run can start") {
		t.Errorf("%v, %v", c, err)
	}
}

// FuzzLoad: every text of a file is a configuration or an error.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{full, least, "", "github: {webhook_secret: hunter2}", "clone: [{from: a/b}]", "hosts: [{url: https://a, token: hunter2}]", "retention: 99999999999999999999d"} {
		f.Add(seed)
	}
	file := filepath.Join(f.TempDir(), "bot.yaml")
	f.Fuzz(func(t *testing.T, yaml string) {
		if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := config.Load(file, env(nil)); (c == nil) == (err == nil) {
			t.Errorf("%v, %v", c, err)
		}
	})
}
