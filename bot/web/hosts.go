package web

import (
	"context"
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
	pools, poolsOut, err := p.poolRows(r.Context(), mine)
	if err != nil {
		return err
	}
	content := struct {
		Hosts []hostRow
		Pools []poolRow
	}{rows, pools}
	return p.show(w, r, rd, "hosts.html", frame{Title: "Hosts", Nav: "hosts", Refresh: 15, Content: content}, map[string]any{"hosts": out, "pools": poolsOut})
}

// poolRow is a host of a pool and how it is.
type poolRow struct {
	PoolHost
	Health string
	Sign   string
	Bar    []segment
}

// poolRows are the hosts of the pools that one of the repositories may use.
func (p *pages) poolRows(ctx context.Context, repos []string) (rows []poolRow, out []poolJSON, err error) {
	out = []poolJSON{}
	if p.Pools == nil {
		return nil, out, nil
	}
	all, err := p.Pools(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, h := range all {
		if !mayUse(Host{MayUse: h.MayUse}, repos) {
			continue
		}
		row := newPoolRow(h)
		rows = append(rows, row)
		out = append(out, row.json())
	}
	return rows, out, nil
}

func newPoolRow(h PoolHost) poolRow {
	h.Reason, h.Version = flow.PlainText(h.Reason), flow.PlainText(h.Version)
	r := poolRow{PoolHost: h, Health: "Well", Sign: string(flow.Success)}
	switch {
	case h.Out:
		r.Health, r.Sign = "Taken out", string(flow.Failure)
	case !h.Connected:
		r.Health, r.Sign = "Gone", string(flow.Skipped)
	case h.Draining:
		r.Health, r.Sign = "Draining", statePending
	}
	if h.Slots > 0 {
		r.Bar = bar(flow.Counts{Total: max(h.Slots, h.Used), Succeeded: h.Used, Skipped: max(h.Slots-h.Used, 0)})
	}
	return r
}

func (r *poolRow) json() poolJSON {
	return poolJSON{
		Pool: r.Pool, Name: r.Name, Health: strings.ToLower(r.Health), Labels: r.Labels, Slots: r.Slots, Used: r.Used,
		Version: r.Version, Reason: r.Reason, SeenAt: r.SeenAt,
	}
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
