// Package store keeps what the GitHub App must not forget: deliveries, runs,
// their journals, jobs, attempts, logs and check runs, the health of hosts,
// and the queue of work, in one SQL database: SQLite for one process,
// PostgreSQL for several replicas.
//
// What belongs together is one transaction, the queueing of its work
// included. A run has at most one owner, and every write of a run is fenced:
// an owner that was taken for dead writes nothing more.
package store
