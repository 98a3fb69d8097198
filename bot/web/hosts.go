package web

import (
	"net/http"
	"strings"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

// hostRow is a host of the configuration and what is known of its health.
type hostRow struct {
	store.Host
	Name   string
	Slots  int
	Known  bool   // it has answered at some time
	Health string // a word
	Sign   string // the state whose sign and colour it has
	Bar    []segment
}

// hosts shows those that a repository may use which the reader can read.
func (p *pages) hosts(w http.ResponseWriter, r *http.Request, rd *reader) error {
	mine, err := rd.repos(r.Context())
	if err != nil {
		return p.unasked(err)
	}
	known, err := p.Store.Hosts(r.Context())
	if err != nil {
		return err
	}
	health := map[string]store.Host{}
	for _, h := range known {
		health[hostKey(h.URL)] = h
	}
	rows, out := []hostRow{}, []hostJSON{}
	for _, h := range p.Hosts {
		if !mayUse(h, mine) {
			continue
		}
		row := newHostRow(h, health[hostKey(h.URL)])
		row.Name = p.hostName(h.URL)
		rows = append(rows, row)
		out = append(out, row.json())
	}
	return p.show(w, r, rd, "hosts.html", frame{Title: "Hosts", Nav: "hosts", Refresh: 15, Content: rows}, map[string]any{"hosts": out})
}

func hostKey(url string) string { return strings.ToLower(strings.TrimRight(url, "/")) }

// mayUse reports whether one of the repositories, nil for all, may use a host.
func mayUse(h Host, repos []string) bool {
	if repos == nil {
		return true
	}
	for _, repo := range repos {
		if h.MayUse != nil && h.MayUse(repo) {
			return true
		}
	}
	return false
}

func newHostRow(h Host, is store.Host) hostRow {
	r := hostRow{Host: is, Slots: h.Slots, Known: !is.OKAt.IsZero(), Health: "Not looked at yet", Sign: statePending}
	r.URL, r.Error, r.Version = h.URL, flow.PlainText(is.Error), flow.PlainText(is.Version)
	switch {
	case is.Failures > 0:
		r.Health, r.Sign = "Failing", string(flow.Failure)
	case r.Known:
		r.Health, r.Sign = "Well", string(flow.Success)
	}
	if r.Known && h.Slots > 0 {
		r.Bar = bar(flow.Counts{Total: max(h.Slots, is.Running), Succeeded: is.Running, Skipped: max(h.Slots-is.Running, 0)})
	}
	return r
}

func (r *hostRow) json() hostJSON {
	health := map[string]string{string(flow.Success): "ok", string(flow.Failure): "failing"}[r.Sign]
	if health == "" {
		health = "unknown"
	}
	return hostJSON{
		URL: r.URL, Name: r.Name, Health: health, Version: r.Version, Slots: r.Slots, Running: r.Running, Queued: r.Queued,
		LatencyMS: float64(r.Latency.Microseconds()) / 1000, Failures: r.Failures, Error: r.Error, OKAt: r.OKAt, FailedAt: r.FailAt,
	}
}
