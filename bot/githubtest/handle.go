package githubtest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// call is a request while it is served.
type call struct {
	s      *Server
	r      *http.Request
	now    time.Time
	tok    *token
	repo   *Repo // nil where the path names none
	params map[string]string
	body   []byte
}

// operation is one that is played.
type operation struct {
	need  need
	serve func(*call) *answer
}

// handle checks a request, serves it, and checks the answer.
func (s *Server) handle(rec *Request, tok *token, r *http.Request, body []byte) *answer {
	rt, params := s.api.find(r.Method, r.URL.EscapedPath())
	var wrong []string
	if rt != nil {
		wrong = checkRequest(r, body, rt, params)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if rt == nil {
		s.violate(rec, "not described by GitHub")
		return notFound()
	}
	op, played := s.ops[rt.Operation.OperationID]
	if !played {
		s.violate(rec, "not played: "+rt.Operation.OperationID)
		return refusal(http.StatusNotImplemented, "not played")
	}
	s.violate(rec, wrong...)
	a := s.serveOperation(&call{s: s, r: r, now: time.Now(), tok: tok, params: params, body: body}, op, wrong)
	s.violate(rec, a.broken...)
	s.violate(rec, s.api.checkAnswer(r, rt, a)...)
	return a
}

func (s *Server) serveOperation(c *call, op operation, wrong []string) *answer {
	if full, ok := c.fullName(); ok {
		c.repo = s.repos[strings.ToLower(full)]
		if c.repo == nil || !c.tok.sees(full) && (c.tok.client == nil || c.repo.private) {
			return notFound()
		}
	}
	if refused := c.tok.allows(op.need); refused != nil {
		return refused
	}
	if len(wrong) > 0 {
		return badRequest(c.body, wrong)
	}
	return op.serve(c)
}

// badRequest is how GitHub answers what does not match its description.
func badRequest(body []byte, wrong []string) *answer {
	if len(body) > 0 && !json.Valid(body) {
		return refusal(http.StatusBadRequest, "Problems parsing JSON")
	}
	return refusal(http.StatusUnprocessableEntity, "Invalid request.\n\n"+strings.Join(wrong, "\n"))
}

func (c *call) fullName() (string, bool) {
	owner, repo := c.params["owner"], c.params["repo"]
	return owner + "/" + repo, owner != "" && repo != ""
}

// decode reads the body, which has been checked.
func (c *call) decode(into any) *answer {
	if len(c.body) == 0 {
		return nil
	}
	if err := json.Unmarshal(c.body, into); err != nil {
		return invalid(http.StatusBadRequest, "Problems parsing JSON: %v", err)
	}
	return nil
}

// id is a path parameter that is a number.
func (c *call) id(name string) int64 {
	n, _ := strconv.ParseInt(c.params[name], 10, 64) // checked by the description
	return n
}

// number is a path parameter that is the number of an issue.
func (c *call) number(name string) int { return int(c.id(name)) }

func (c *call) query(name string) string { return c.r.URL.Query().Get(name) }

// base is the address of the API as the request named it.
func (c *call) base() string { return c.r.URL.Scheme + "://" + c.r.URL.Host }

// operations are those that are played, by the description's names.
func operations() map[string]operation {
	read := func(serve func(*call) *answer, anyOf ...string) operation {
		return operation{need{anyOf: anyOf}, serve}
	}
	write := func(serve func(*call) *answer, anyOf ...string) operation {
		return operation{need{anyOf: anyOf, write: true}, serve}
	}
	app := func(serve func(*call) *answer) operation {
		return operation{need{anyOf: []string{"checks"}, write: true, app: true}, serve}
	}
	jwt := func(serve func(*call) *answer) operation { return operation{need{jwt: true}, serve} }
	const issues, pulls, checks, contents, statuses = "issues", "pull_requests", "checks", "contents", "statuses"
	return map[string]operation{
		"checks/create":                                       app((*call).createCheck),
		"checks/update":                                       app((*call).updateCheck),
		"checks/get":                                          read((*call).getCheck, checks),
		"checks/list-annotations":                             read((*call).listAnnotations, checks),
		"checks/list-for-ref":                                 read((*call).listChecks, checks),
		"issues/list-comments":                                read((*call).listComments, issues, pulls),
		"issues/create-comment":                               write((*call).createComment, issues, pulls),
		"issues/get-comment":                                  read((*call).getComment, issues, pulls),
		"issues/update-comment":                               write((*call).updateComment, issues, pulls),
		"issues/delete-comment":                               write((*call).deleteComment, issues, pulls),
		"reactions/create-for-issue-comment":                  write((*call).createReaction, issues, pulls),
		"reactions/list-for-issue-comment":                    read((*call).listReactions, issues, pulls),
		"reactions/delete-for-issue-comment":                  write((*call).deleteReaction, issues, pulls),
		"pulls/get":                                           read((*call).getPull, pulls),
		"pulls/list":                                          read((*call).listPulls, pulls),
		"pulls/list-files":                                    read((*call).listPullFiles, pulls),
		"repos/list-pull-requests-associated-with-commit":     read((*call).listCommitPulls, pulls),
		"repos/get-commit":                                    read((*call).getCommit, contents),
		"repos/get-content":                                   read((*call).getContents, contents),
		"repos/compare-commits-with-basehead":                 read((*call).compare, contents),
		"git/get-tree":                                        read((*call).getTree, contents),
		"git/get-blob":                                        read((*call).getBlob, contents),
		"checks/list-suites-for-ref":                          read((*call).listSuites, checks),
		"checks/get-suite":                                    read((*call).getSuite, checks),
		"checks/list-for-suite":                               read((*call).listSuiteChecks, checks),
		"repos/create-commit-status":                          write((*call).createStatus, statuses),
		"repos/list-commit-statuses-for-ref":                  read((*call).listStatuses, statuses),
		"repos/get-combined-status-for-ref":                   read((*call).getCombinedStatus, statuses),
		"repos/get":                                           read((*call).getRepo),
		"repos/get-collaborator-permission-level":             read((*call).getPermission),
		"rate-limit/get":                                      {need{any: true}, (*call).getRateLimit},
		"apps/get-authenticated":                              jwt((*call).getApp),
		"apps/list-installations":                             jwt((*call).listInstallations),
		"apps/get-installation":                               jwt((*call).getInstallation),
		"apps/get-repo-installation":                          jwt((*call).getRepoInstallation),
		"apps/create-installation-access-token":               jwt((*call).createInstallationToken),
		"apps/list-repos-accessible-to-installation":          read((*call).listInstallationRepos),
		"apps/get-webhook-config-for-app":                     jwt((*call).getHookConfig),
		"apps/create-from-manifest":                           {need{any: true}, (*call).convertManifest},
		"apps/list-webhook-deliveries":                        jwt((*call).listDeliveries),
		"apps/redeliver-webhook-delivery":                     jwt((*call).redeliver),
		"users/get-authenticated":                             read((*call).getUser),
		"apps/list-installations-for-authenticated-user":      read((*call).listUserInstallations),
		"apps/list-installation-repos-for-authenticated-user": read((*call).listUserRepos),
	}
}

// page is the part of a list that a request asks for, and the Link header that
// leads to the others.
func page[T any](c *call, list []T) ([]T, http.Header) {
	per, n := 30, 1
	if v, err := strconv.Atoi(c.query("per_page")); err == nil {
		per = v
	}
	if v, err := strconv.Atoi(c.query("page")); err == nil {
		n = v
	}
	last := max(1, (len(list)+per-1)/per)
	link := func(rel string, n int) string {
		q := c.r.URL.Query()
		q.Set("page", strconv.Itoa(n))
		return "<" + c.base() + c.r.URL.EscapedPath() + "?" + q.Encode() + `>; rel="` + rel + `"`
	}
	var links []string
	if n > 1 {
		links = append(links, link("prev", n-1), link("first", 1))
	}
	if n < last {
		links = append(links, link("next", n+1), link("last", last))
	}
	header := http.Header{}
	if len(links) > 0 {
		header.Set("Link", strings.Join(links, ", "))
	}
	from := min((n-1)*per, len(list))
	return list[from:min(from+per, len(list))], header
}

// mapped is f of each element.
func mapped[T any](list []T, f func(T) object) []object {
	out := make([]object, 0, len(list))
	for _, e := range list {
		out = append(out, f(e))
	}
	return out
}
