package main_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/cromt/cromt/"

// allowed says which packages of the module, and which of other modules, each
// package may import. Arrows point at the domain.
var allowed = map[string][]string{
	"flow":              {"gopkg.in/yaml.v3", "github.com/robfig/cron/v3"},
	"flow/flowtest":     {"flow"},
	"sparky":            {"flow"},
	"sparky/sparkytest": {"flow", "sparky"},
	"sparky/place":      {"sparky/tomtit"},
	"sparky/tomtit":     {"flow", "sparky"},
	"sparky/tunnel":     {},
	"sparky/agent":      {"flow", "sparky", "sparky/tomtit", "modernc.org/sqlite", "modernc.org/sqlite/lib", "golang.org/x/crypto/bcrypt", "sparky/place"},

	"bot": {
		"flow", "sparky", "bot/checks", "bot/comment", "bot/event", "bot/githubapp", "bot/members", "bot/store", "bot/trigger", "bot/trust",
		"github.com/prometheus/client_golang/prometheus", "github.com/prometheus/client_golang/prometheus/collectors", "github.com/prometheus/client_golang/prometheus/promhttp",
	},
	"bot/checks":     {"flow", "github.com/google/go-github/v60/github"},
	"bot/comment":    {},
	"bot/members":    {"flow", "sparky", "sparky/tunnel", "bot/store"},
	"bot/config":     {"flow", "sparky/tunnel", "bot/trust"},
	"bot/event":      {},
	"bot/setup":      {"bot/config", "bot/githubapp"},
	"bot/githubapp":  {"bot/checks", "github.com/google/go-github/v60/github", "github.com/bradleyfalzon/ghinstallation/v2"},
	"bot/trigger":    {"flow", "bot/event"},
	"bot/trust":      {"flow", "bot/event"},
	"bot/githubtest": {"github.com/getkin/kin-openapi/openapi3", "github.com/getkin/kin-openapi/openapi3filter", "github.com/getkin/kin-openapi/routers", "github.com/getkin/kin-openapi/routers/legacy"},
	"bot/web":        {"flow", "bot/githubapp", "bot/store", "github.com/buildkite/terminal-to-html/v3"},
	"bot/store": {
		"flow", "modernc.org/sqlite", "github.com/jackc/pgx/v5", "github.com/jackc/pgx/v5/pgconn", "github.com/jackc/pgx/v5/stdlib",
		"github.com/riverqueue/river", "github.com/riverqueue/river/rivermigrate", "github.com/riverqueue/river/rivertype",
		"github.com/riverqueue/river/riverdriver", "github.com/riverqueue/river/riverdriver/riverdatabasesql", "github.com/riverqueue/river/riverdriver/riversqlite",
	},

	"bot/store/storetest": {"bot/store"},

	"cmd/cromt/action":     {"flow", "bot/checks", "bot/comment", "bot/event", "cmd/cromt/console", "github.com/sethvargo/go-githubactions"},
	"cmd/cromt/console":    {"flow", "golang.org/x/term"},
	"cmd/cromt/completion": {},
	"cmd/cromt/gitrepo":    {},
	"cmd/cromt/hosts":      {"flow", "sparky"},
	"cmd/cromt/install":    {"flow", "sparky"},
	"cmd/cromt": {
		"flow", "sparky", "sparky/agent", "sparky/tomtit", "bot", "bot/checks", "bot/config", "bot/githubapp", "bot/members", "bot/setup", "bot/store", "bot/trust", "bot/web", "cmd/cromt/action", "cmd/cromt/completion", "cmd/cromt/console", "cmd/cromt/gitrepo", "cmd/cromt/hosts", "sparky/place", "sparky/tunnel", "cmd/cromt/install",
		"github.com/alecthomas/kong",
	},
}

// shared are the packages of other modules that more than one of ours may
// import: a database by those who keep one of their own, GitHub's API by those
// who talk to it.
var shared = map[string][]string{
	"modernc.org/sqlite":                     {"bot/store", "sparky/agent"},
	"github.com/google/go-github/v60/github": {"bot/checks", "bot/githubapp"},
}

func TestWalls(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}}: {{join .Imports " "}}`, "../../...").Output()
	if err != nil {
		t.Fatal(err)
	}
	users := map[string][]string{} // of each module from outside
	for line := range strings.Lines(string(out)) {
		pkg, list, _ := strings.Cut(strings.TrimSpace(line), ": ")
		pkg = strings.TrimPrefix(pkg, module)
		may, ok := allowed[pkg]
		if !ok {
			t.Errorf("package %s has no walls: add it to the table", pkg)
		}
		for imp := range strings.FieldsSeq(list) {
			if !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
				continue // standard library
			}
			own, ours := strings.CutPrefix(imp, module)
			if !slices.Contains(may, own) {
				t.Errorf("%s imports %s", pkg, own)
			}
			if !ours && !slices.Contains(users[own], pkg) {
				users[own] = append(users[own], pkg)
			}
		}
	}
	for dep, pkgs := range users {
		if slices.Sort(pkgs); len(pkgs) > 1 && !slices.Equal(pkgs, shared[dep]) {
			t.Errorf("%s is imported by %v: one package should wrap it", dep, pkgs)
		}
	}
}
