package setup

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"sync"

	"github.com/cromt/cromt/bot/githubapp"
)

// page is one of the pages: one of its fields is set.
type page struct {
	Form    *form
	Confirm *confirm
	Done    *done
	Problem string
	Page    string // of the App, with Problem, once it is made
}

// form asks for what is not known.
type form struct {
	Action       string
	PublicURL    string
	Name         string
	Organization string
	MergeQueues  bool
	Problem      string
}

// confirm shows what GitHub will be asked for.
type confirm struct {
	Target      string
	Manifest    string
	Name        string
	Account     string // "": the one that is signed in
	Hook        string
	Permissions []string
	Events      []string
}

// done says what comes next.
type done struct{ Name, Page, Install, File string }

const style = `body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem;color:#1f2328;background:#fff}
h1{font-size:1.5rem}label{display:block;margin:1rem 0 .25rem;font-weight:600}
input[type=text],input[type=url]{width:100%;box-sizing:border-box;padding:.5rem;font:inherit;border:1px solid #6e7781;border-radius:6px}
small{color:#57606a;display:block}button{margin-top:1.5rem;padding:.6rem 1.2rem;font:inherit;font-weight:600;color:#fff;background:#1f7a37;border:0;border-radius:6px;cursor:pointer}
code,pre{background:#f0f2f4;border-radius:4px;padding:.1rem .3rem}pre{padding:.75rem;overflow:auto}
.problem{border-left:4px solid #b42318;background:#fdecea;padding:.5rem 1rem}li{margin:.25rem 0}
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}code,pre{background:#21262d}small{color:#9198a1}.problem{background:#3b1614}
input[type=text],input[type=url]{background:#0d1117;color:inherit}a{color:#6cb6ff}}`

var pages = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>cromt: set up the App</title>
<style>` + style + `</style></head><body><main>
{{with .Form}}<h1>Set up the GitHub App</h1>
{{with .Problem}}<p class="problem" role="alert">{{.}}</p>{{end}}
<form method="post" action="{{.Action}}">
<label for="public_url">Address of this program</label>
<input type="url" id="public_url" name="public_url" required value="{{.PublicURL}}" placeholder="https://cromt.example.com" aria-describedby="public_help">
<small id="public_help">Where GitHub reaches it with webhooks, and people in their browser.</small>
<label for="name">Name of the App</label>
<input type="text" id="name" name="name" required maxlength="34" value="{{.Name}}" aria-describedby="name_help">
<small id="name_help">No other App on this GitHub has it. It can be changed on the next page, and later.</small>
<label for="organization">Organization</label>
<input type="text" id="organization" name="organization" value="{{.Organization}}" aria-describedby="organization_help">
<small id="organization_help">That is to own the App; empty for your own account.</small>
<label><input type="checkbox" name="merge_queues" value="1"{{if .MergeQueues}} checked{{end}}> Serve merge queues</label>
<small>Servers of GitHub Enterprise that have none refuse the App with it.</small>
<button>Continue</button></form>{{end}}
{{with .Confirm}}<h1>Make the App {{.Name}}</h1>
<p>GitHub is asked for an App {{if .Account}}of the organization <code>{{.Account}}</code>{{else}}of the account that you are signed in with{{end}},
that only this account can install. Its webhooks go to <code>{{.Hook}}</code>.</p>
<p>It asks for these permissions</p><ul>{{range .Permissions}}<li><code>{{.}}</code></li>{{end}}</ul>
<p>and is told of{{range $i, $e := .Events}}{{if $i}},{{end}} <code>{{$e}}</code>{{end}}.</p>
<form method="post" action="{{.Target}}"><input type="hidden" name="manifest" value="{{.Manifest}}"><button>Make it on GitHub</button></form>{{end}}
{{with .Done}}<h1>The App {{.Name}} is made</h1>
<p>Its keys and a configuration are written to <code>{{.File}}</code> and beside it. Next:</p>
<ol><li><a href="{{.Install}}">Install it</a> for the repositories that it is to serve.</li>
<li>List your hosts in <code>{{.File}}</code>.</li>
<li>Let it say what is still wrong:<pre>cromt serve --config {{.File}} --check</pre></li>
<li>Start it:<pre>cromt serve --config {{.File}}</pre></li></ol>
<p>This page is gone when you reload it: the program that made it has ended.</p>{{end}}
{{with .Problem}}<h1>That did not work</h1><p class="problem" role="alert">{{.}}</p>{{end}}
{{with .Page}}<p>The App is <a href="{{.}}">there</a>.</p>{{end}}
</main></body></html>
`))
})

// render writes a page. Its address has a key, which goes nowhere: only the
// origin is told to GitHub.
func (f *Flow) render(w http.ResponseWriter, status int, p page) {
	sum := sha256.Sum256([]byte(style))
	target := "'self'"
	if address, err := githubapp.NewAppPage(f.c.GitHub, ""); err == nil {
		if u, err := url.Parse(address); err == nil {
			target += " " + u.Scheme + "://" + u.Host
		}
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'; form-action "+target+"; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "strict-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = pages().Execute(w, p) // the browser is gone
}
