package githubapp_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
	"sync"
	"testing"

	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/githubtest"
)

const repoName = "octo/app"

var (
	sha   = strings.Repeat("a", 40)
	other = strings.Repeat("b", 40)
)

// key is made once: it takes a while.
var key = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func keyPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key())})
}

// granted are the permissions that an installation has given.
func granted() map[string]string {
	return map[string]string{"checks": "write", "pull_requests": "write", "issues": "write", "contents": "write", "metadata": "read", "statuses": "write"}
}

// world is a GitHub with an App that is installed for two repositories.
type world struct {
	gh           *githubtest.Server
	app          *githubapp.App
	id           int64
	installation int64
	repo         *githubtest.Repo
}

func newWorld(t testing.TB, change func(*githubapp.Config)) *world {
	t.Helper()
	w := &world{gh: githubtest.New(t)}
	w.repo = w.gh.AddRepo(repoName)
	w.repo.SetBranch("main", sha)
	w.gh.AddRepo("octo/second").SetBranch("main", sha)
	w.id = w.gh.AddApp("cromt", &key().PublicKey)
	w.installation = w.gh.AddInstallation(w.id, "octo", []string{repoName, "octo/second"}, granted())
	c := githubapp.Config{AppID: w.id, PrivateKey: keyPEM(), HTTP: w.gh.Transport()}
	if change != nil {
		change(&c)
	}
	var err error
	if w.app, err = githubapp.New(c); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) open() *githubapp.Repo { return w.app.Repo(w.installation, repoName) }

// mints are the bodies of the requests for tokens.
func (w *world) mints(t *testing.T) []map[string]any {
	t.Helper()
	var out []map[string]any
	for _, r := range w.gh.Requests() {
		if !strings.HasSuffix(r.Path, "/access_tokens") {
			continue
		}
		var body map[string]any
		if err := json.Unmarshal([]byte(r.Body), &body); err != nil {
			t.Fatal(err)
		}
		out = append(out, body)
	}
	return out
}
