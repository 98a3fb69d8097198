package config

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strconv"
	"strings"

	"github.com/cromt/cromt/flow"
)

// setting is one key of bot.yaml, except hosts and clone.
type setting struct {
	name string // with a dot below a map: github.app_id
	// secret says that the file has the name of a file with it, under the
	// name and _file; a variable may have either.
	secret bool
	// plain says that the file may have the value itself as well, since it
	// need not be a secret.
	plain bool
	take  func(l *loader, v value) (problem, hint string)
	// missing reports that it is needed and not there; nil for what may be absent.
	missing func(*Config) bool
}

func settings() []setting {
	return []setting{
		{name: "listen", take: takeListen},
		{name: "public_url", take: takePublicURL, missing: func(c *Config) bool { return c.PublicURL == "" }},
		{name: "github.app_id", take: takeAppID, missing: func(c *Config) bool { return c.GitHub.AppID == 0 }},
		{name: "github.private_key", secret: true, take: takePrivateKey, missing: func(c *Config) bool { return !c.GitHub.PrivateKey.IsSet() }},
		{name: "github.webhook_secret", secret: true, take: takeWebhookSecret, missing: func(c *Config) bool { return !c.GitHub.WebhookSecret.IsSet() }},
		{name: "github.api_url", take: takeAPIURL},
		{name: "github.client_id", take: func(l *loader, v value) (problem, hint string) { l.c.GitHub.ClientID = v.text; return }},
		{name: "github.client_secret", secret: true, take: func(l *loader, v value) (problem, hint string) { l.c.GitHub.ClientSecret = NewSecret(v.text); return }},
		{name: "database", secret: true, plain: true, take: takeDatabase},
		{name: "config_path", take: takeConfigPath},
		{name: "default_host", take: func(*loader, value) (problem, hint string) { return }}, // by checkDefaultHost
		{name: "secrets_dir", take: takeSecretsDir},
		{name: "retention", take: takeRetention},
	}
}

// fileSettings are the keys of bot.yaml. They are kept as they are: a
// variable may replace them.
func (l *loader) fileSettings() []flow.Setting {
	list := []flow.Setting{
		{Name: "hosts", Skip: func() { l.hasHosts = true }},
		{Name: "pools", Skip: func() { l.hasPools = true }},
		{Name: "clone", Each: l.eachClone},
	}
	var github []flow.Setting
	for _, s := range settings() {
		key, below := strings.CutPrefix(s.name, "github.")
		add := []flow.Setting{l.fileSetting(key, s.name)}
		if s.secret {
			add = append(add, l.fileSetting(key+"_file", s.name+"_file"))
		}
		if s.secret && !s.plain {
			add[0] = flow.Setting{Name: key,
				Refuse:     fmt.Sprintf("%q is a secret, and this file is none", key),
				RefuseHint: fmt.Sprintf("write it to a file and %s_file: FILE here, or set %s", key, variable(s.name))}
		}
		if below {
			github = append(github, add...)
		} else {
			list = append(list, add...)
		}
	}
	return append(list, flow.Setting{Name: "github", Keys: github})
}

func (l *loader) fileSetting(key, name string) flow.Setting {
	return flow.Setting{Name: key, Set: func(t flow.Text) (problem, hint string) {
		l.texts[name] = t
		return "", ""
	}}
}

func takeAppID(l *loader, v value) (problem, hint string) {
	id, err := strconv.ParseInt(v.text, 10, 64)
	if err != nil || id <= 0 {
		return "app_id must be the number of the App", "it is on the App's page, under About"
	}
	l.c.GitHub.AppID = id
	return "", ""
}

func takePrivateKey(l *loader, v value) (problem, hint string) {
	text := strings.ReplaceAll(v.text, `\n`, "\n") // as files of variables write it
	const what = "private_key is not an RSA private key in PEM"
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return what, "take the .pem file that GitHub made for the App"
	}
	if _, err := x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if _, ok := key.(*rsa.PrivateKey); err != nil || !ok {
			return what, "take the .pem file that GitHub made for the App"
		}
	}
	l.c.GitHub.PrivateKey = NewSecret(text)
	return "", ""
}

func takeWebhookSecret(l *loader, v value) (problem, hint string) {
	if len(v.text) < MinSecret {
		l.warn("the webhook secret is shorter than %d characters: it can be guessed", MinSecret)
	}
	l.c.GitHub.WebhookSecret = NewSecret(v.text)
	return "", ""
}
