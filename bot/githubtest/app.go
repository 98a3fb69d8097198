package githubtest

import (
	"cmp"
	"crypto/rsa"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// app is a GitHub App that the test has registered.
type app struct {
	id     int64
	slug   string
	key    *rsa.PublicKey
	limits *limiter
	set    AppSettings

	clientID, clientSecret, callback string
}

// installation is an App in an account.
type installation struct {
	id          int64
	app         *app
	account     string
	repos       []string // full names
	permissions map[string]string
	events      []string
	born        time.Time
	limits      *limiter // of all its tokens
}

// Delivery is one attempt to deliver an event to the App.
type Delivery struct {
	ID             int64 // 0: given by the server
	GUID           string
	Event, Action  string
	StatusCode     int       // that the App answered; below 400 is a success
	DeliveredAt    time.Time // zero: now
	Redelivery     bool
	InstallationID int64
}

// AddApp registers an App by its slug and the key that its JWTs are signed
// with, and returns its id.
func (s *Server) AddApp(slug string, key *rsa.PublicKey) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &app{id: s.nextID(), slug: slug, key: key, limits: &limiter{perHour: DefaultHourLimit}}
	s.apps = append(s.apps, a)
	return a.id
}

// AddInstallation installs an App, by its id, in an account for some of its
// repositories, and returns the installation's id.
func (s *Server) AddInstallation(appID int64, account string, repos []string, permissions map[string]string) int64 {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.appByIssuer(strconv.FormatInt(appID, 10))
	if a == nil {
		s.t.Fatalf("githubtest: no App has the id %d: AddApp returns it", appID)
	}
	in := &installation{
		id: s.nextID(), app: a, account: account, repos: slices.Clone(repos), permissions: maps.Clone(permissions), events: a.set.Events,
		born: time.Now(), limits: &limiter{perHour: DefaultHourLimit},
	}
	s.installations = append(s.installations, in)
	return in.id
}

// AddDelivery adds a delivery to those that GitHub remembers, for three days,
// and returns its id.
func (s *Server) AddDelivery(d Delivery) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.ID == 0 {
		d.ID = s.nextID()
	}
	if d.DeliveredAt.IsZero() {
		d.DeliveredAt = time.Now()
	}
	s.deliveries = append(s.deliveries, d)
	return d.ID
}

// Redeliveries are the ids of the deliveries that the App asked for again, in
// order. The server does not deliver: the test does, and adds a Delivery.
func (s *Server) Redeliveries() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.redelivered)
}

func (s *Server) appByIssuer(issuer string) *app {
	for _, a := range s.apps {
		if strconv.FormatInt(a.id, 10) == issuer {
			return a
		}
	}
	return nil
}

func (c *call) getApp() *answer {
	o := c.app(c.tok.User)
	maps.Copy(o, object{"permissions": orEmpty(c.tok.app.set.Permissions), "events": append([]string{}, c.tok.app.set.Events...)})
	return ok(o)
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func (c *call) listInstallations() *answer {
	list := slices.DeleteFunc(slices.Clone(c.s.installations), func(in *installation) bool { return in.app != c.tok.app })
	list, header := page(c, list)
	a := ok(mapped(list, c.installation))
	a.header = header
	return a
}

func (c *call) findInstallation(wanted func(*installation) bool) *installation {
	for _, in := range c.s.installations {
		if in.app == c.tok.app && wanted(in) {
			return in
		}
	}
	return nil
}

func (c *call) getInstallation() *answer {
	in := c.findInstallation(func(in *installation) bool { return in.id == c.id("installation_id") })
	if in == nil {
		return notFound()
	}
	return ok(c.installation(in))
}

func (c *call) getRepoInstallation() *answer {
	in := c.findInstallation(func(in *installation) bool { return slices.Contains(in.repos, c.repo.fullName) })
	if in == nil {
		return notFound()
	}
	return ok(c.installation(in))
}

// installation is an installation as JSON.
func (c *call) installation(in *installation) object {
	url := c.base() + "/app/installations/" + strconv.FormatInt(in.id, 10)
	account := c.s.user(in.account)
	return c.s.api.fill("installation", object{
		"id": in.id, "app_id": in.app.id, "app_slug": in.app.slug, "account": account, "target_id": account["id"], "target_type": "User",
		"repository_selection": "selected", "permissions": in.permissions, "events": append([]string{}, in.events...), "access_tokens_url": url + "/access_tokens",
		"repositories_url": c.base() + "/installation/repositories", "created_at": stamp(in.born), "updated_at": stamp(in.born),
	})
}

// createInstallationToken makes a token for an hour, narrowed to what the
// request names of the installation's repositories and permissions.
func (c *call) createInstallationToken() *answer {
	in := c.findInstallation(func(in *installation) bool { return in.id == c.id("installation_id") })
	if in == nil {
		return notFound()
	}
	var b struct {
		Repositories  []string          `json:"repositories"`
		RepositoryIDs []int64           `json:"repository_ids"`
		Permissions   map[string]string `json:"permissions"`
	}
	if wrong := c.decode(&b); wrong != nil {
		return wrong
	}
	repos, found := c.narrow(in, b.Repositories, b.RepositoryIDs)
	if !found {
		return refusal(http.StatusUnprocessableEntity, "There is at least one repository that does not exist or is not accessible to the parent installation.")
	}
	permissions := in.permissions
	if len(b.Permissions) > 0 {
		permissions = b.Permissions
	}
	for p, level := range permissions {
		if has := in.permissions[p]; has != level && has != "write" {
			return refusal(http.StatusUnprocessableEntity, "The permissions requested are not granted to this installation.")
		}
	}
	expires := c.now.Add(maxTokenLife).Truncate(time.Second)
	t := c.s.addToken(Token{Repos: repos, Permissions: permissions, App: true, Expires: expires, User: in.app.slug + "[bot]"}, in.limits)
	body := object{"token": t.secret, "expires_at": stamp(expires), "permissions": permissions, "repository_selection": "selected"}
	if len(b.Repositories)+len(b.RepositoryIDs) > 0 {
		body["repositories"] = mapped(repos, func(full string) object { return c.s.addRepo(full).json(c, "repository") })
	}
	return created(body)
}

// narrow is the installation's repositories, or those of the names and ids that
// are given; false when one of them is not the installation's.
func (c *call) narrow(in *installation, names []string, ids []int64) ([]string, bool) {
	if len(names)+len(ids) == 0 {
		return in.repos, true
	}
	var out []string
	for _, full := range in.repos {
		r := c.s.addRepo(full)
		if slices.Contains(ids, r.id) || slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, r.name()) }) {
			out = append(out, full)
		}
	}
	return out, len(out) == len(names)+len(ids)
}

func (c *call) listInstallationRepos() *answer {
	list := mapped(c.tok.Repos, func(full string) object { return c.s.addRepo(full).json(c, "repository") })
	total := len(list)
	list, header := page(c, list)
	a := ok(object{"total_count": total, "repositories": list, "repository_selection": "selected"})
	a.header = header
	return a
}

// listDeliveries pages by cursor: the id of the first delivery of a page.
func (c *call) listDeliveries() *answer {
	per := 30
	if n, err := strconv.Atoi(c.query("per_page")); err == nil {
		per = n
	}
	cursor, err := strconv.ParseInt(c.query("cursor"), 10, 64)
	if err != nil && c.query("cursor") != "" {
		return invalid(http.StatusBadRequest, "cursor %q is none of ours", c.query("cursor"))
	}
	list := slices.DeleteFunc(slices.Clone(c.s.deliveries), func(d Delivery) bool {
		status := c.query("status")
		return cursor > 0 && d.ID > cursor || c.now.Sub(d.DeliveredAt) > deliveriesKept ||
			status == "success" && d.StatusCode >= 400 || status == "failure" && d.StatusCode < 400
	})
	slices.SortFunc(list, func(a, b Delivery) int { return cmp.Compare(b.ID, a.ID) })
	header := http.Header{}
	if len(list) > per {
		q := c.r.URL.Query()
		q.Set("cursor", strconv.FormatInt(list[per].ID, 10))
		header.Set("Link", "<"+c.base()+c.r.URL.EscapedPath()+"?"+q.Encode()+`>; rel="next"`)
		list = list[:per]
	}
	a := ok(mapped(list, c.delivery))
	a.header = header
	return a
}

// delivery is a delivery as JSON.
func (c *call) delivery(d Delivery) object {
	o := object{
		"id": d.ID, "guid": d.GUID, "event": d.Event, "action": orNull(d.Action), "status_code": d.StatusCode,
		"status": http.StatusText(d.StatusCode), "delivered_at": stamp(d.DeliveredAt), "redelivery": d.Redelivery,
	}
	if d.InstallationID != 0 {
		o["installation_id"] = d.InstallationID
	}
	return c.s.api.fill("hook-delivery-item", o)
}

func (c *call) redeliver() *answer {
	id := c.id("delivery_id")
	known := slices.ContainsFunc(c.s.deliveries, func(d Delivery) bool {
		return d.ID == id && c.now.Sub(d.DeliveredAt) <= deliveriesKept
	})
	if !known {
		return notFound()
	}
	c.s.redelivered = append(c.s.redelivered, id)
	return &answer{status: http.StatusAccepted, body: object{}}
}
