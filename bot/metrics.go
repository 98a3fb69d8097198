package bot

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

// Metrics are what /metrics shows, in the units and with the names that
// https://prometheus.io/docs/practices/naming/ wants.
type Metrics struct {
	registry   *prometheus.Registry
	deliveries *prometheus.CounterVec
	runs       *prometheus.CounterVec
	jobs       *prometheus.CounterVec
	working    prometheus.Gauge
	github     *prometheus.CounterVec
	latency    *prometheus.HistogramVec
	remaining  prometheus.Gauge
	hosts      *prometheus.HistogramVec
	failures   *prometheus.CounterVec
	probes     *prometheus.HistogramVec
	up         *prometheus.GaugeVec
	lost       *prometheus.CounterVec
}

// Queue tells how many deliveries and runs wait to be worked, and since when
// the oldest does.
type Queue func(ctx context.Context) (waiting int, oldest time.Duration, err error)

// QueueOf is the Queue of a store.
func QueueOf(s *store.Store) Queue {
	return func(ctx context.Context) (waiting int, oldest time.Duration, err error) {
		st, err := s.Stats(ctx)
		if err != nil {
			return 0, 0, err
		}
		for _, at := range []time.Time{st.OldestAt, st.OldestRunAt} {
			if !at.IsZero() {
				oldest = max(oldest, time.Since(at))
			}
		}
		return st.Deliveries[store.DeliveryQueued] + st.OpenRuns[store.Queued], oldest, nil
	}
}

// NewMetrics returns metrics that have counted nothing. q is asked at each
// scrape.
func NewMetrics(q Queue) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "cromt", Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "cromt", Name: name, Help: help})
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "cromt", Name: name, Help: help, Buckets: []float64{.005, .02, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, labels)
	}
	m := &Metrics{
		registry:   prometheus.NewRegistry(),
		deliveries: counter("deliveries_total", "Webhooks by event and result.", "event", "result"),
		runs:       counter("runs_total", "Runs that have ended, by conclusion.", "conclusion"),
		jobs:       counter("jobs_total", "Jobs that have ended, by conclusion and cause.", "conclusion", "cause"),
		working:    gauge("runs_working", "Runs that this process works on."),
		github:     counter("github_requests_total", "Requests to GitHub by route and status; status 0 is no answer.", "route", "status"),
		latency:    histogram("github_request_seconds", "How long GitHub took to answer.", "route"),
		remaining:  gauge("github_requests_remaining", "What GitHub last said is left of the hour's requests."),
		hosts:      histogram("host_job_wait_seconds", "From a job's dispatch to its start, by host.", "host"),
		failures:   counter("host_failures_total", "Attempts that ended by infrastructure, by host.", "host"),
		probes:     histogram("host_probe_seconds", "How long a host took to answer when it was looked at.", "host"),
		up: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "cromt", Name: "host_up", Help: "Whether a host answered when it was looked at last: 1 or 0.",
		}, []string{"host"}),
		lost: counter("host_probe_failures_total", "Looks at a host that it did not answer, or not well.", "host"),
	}
	m.registry.MustRegister(m.deliveries, m.runs, m.jobs, m.working, m.github, m.latency, m.remaining, m.hosts, m.failures, m.probes, m.up, m.lost,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if q != nil {
		m.registry.MustRegister(&queueCollector{
			q:     q,
			depth: prometheus.NewDesc("cromt_queue_depth", "Deliveries and runs that wait to be worked.", nil, nil),
			age:   prometheus.NewDesc("cromt_queue_oldest_seconds", "How long the oldest of them has waited.", nil, nil),
		})
	}
	return m
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry, MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// Delivery counts a webhook.
func (m *Metrics) Delivery(event, result string) { m.deliveries.WithLabelValues(event, result).Inc() }

// GitHub counts a request to GitHub; status 0 is no answer, remaining below 0
// not known.
func (m *Metrics) GitHub(route string, status int, d time.Duration, remaining int) {
	m.github.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.latency.WithLabelValues(route).Observe(d.Seconds())
	if remaining >= 0 {
		m.remaining.Set(float64(remaining))
	}
}

// Report implements [flow.Reporter]: it counts what happens in runs.
func (m *Metrics) Report(_ context.Context, events []flow.Event) error {
	for i := range events {
		ev := &events[i]
		switch ev.Kind {
		case flow.AttemptCompleted:
			if ev.Result.Cause == flow.CauseInfrastructure {
				m.failures.WithLabelValues(ev.Where()).Inc()
			}
		case flow.JobCompleted:
			m.jobs.WithLabelValues(string(ev.Result.Conclusion), string(ev.Result.Cause)).Inc()
		case flow.RunCompleted:
			m.runs.WithLabelValues(string(ev.Conclusion)).Inc()
		}
	}
	return nil
}

// Started takes note of how long a job waited on its host.
func (m *Metrics) Started(host string, waited time.Duration) {
	m.hosts.WithLabelValues(host).Observe(waited.Seconds())
}

// Probed takes note of a look at a host.
func (m *Metrics) Probed(host string, well bool, latency time.Duration) {
	if !well {
		m.up.WithLabelValues(host).Set(0)
		m.lost.WithLabelValues(host).Inc()
		return
	}
	m.up.WithLabelValues(host).Set(1)
	m.lost.WithLabelValues(host) // so that it is there, as 0
	m.probes.WithLabelValues(host).Observe(latency.Seconds())
}

// Waits returns what tells the metrics how long the jobs of one run wait on
// their hosts.
func (m *Metrics) Waits() flow.Reporter { return &waits{m, map[string]time.Time{}} }

type waits struct {
	m    *Metrics
	sent map[string]time.Time // by job-id
}

// Report implements [flow.Reporter]. Those that another process has sent are
// not counted.
func (w *waits) Report(_ context.Context, events []flow.Event) error {
	for i := range events {
		ev := &events[i]
		switch ev.Kind {
		case flow.JobQueued:
			w.sent[ev.JobID] = ev.Time
		case flow.JobStarted:
			if at, ok := w.sent[ev.JobID]; ok {
				w.m.Started(ev.Where(), max(ev.Time.Sub(at), 0))
			}
			delete(w.sent, ev.JobID)
		case flow.AttemptCompleted:
			delete(w.sent, ev.JobID)
		}
	}
	return nil
}

// queueCollector asks the queue when it is scraped.
type queueCollector struct {
	q          Queue
	depth, age *prometheus.Desc
}

func (c *queueCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.depth; ch <- c.age }

func (c *queueCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), acceptTime)
	defer cancel()
	waiting, oldest, err := c.q(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.depth, err)
		return
	}
	ch <- prometheus.MustNewConstMetric(c.depth, prometheus.GaugeValue, float64(waiting))
	ch <- prometheus.MustNewConstMetric(c.age, prometheus.GaugeValue, oldest.Seconds())
}
