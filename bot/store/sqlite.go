package store

import (
	"context"
	"database/sql/driver"
	"errors"

	"modernc.org/sqlite"
)

// connector opens connections to a SQLite file that keep their statements: to
// parse one costs as much as to carry it out, and the queue says the same few
// thousands of times a minute.
type connector struct {
	driver *sqlite.Driver
	dsn    string
}

// Driver implements driver.Connector.
func (c *connector) Driver() driver.Driver { return c.driver }

// Connect implements driver.Connector.
func (c *connector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	able, ok := conn.(sqliteConn)
	if !ok {
		return nil, errors.Join(errors.New("database driver: it lacks what this program needs"), conn.Close())
	}
	return &keepingConn{able, map[string]sqliteStmt{}}, nil
}

// sqliteConn and sqliteStmt are what the driver's connections and statements
// can do.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// keepingConn is a connection and the statements that it is not at. Like every
// driver.Conn it is used by one goroutine at a time.
type keepingConn struct {
	sqliteConn
	idle map[string]sqliteStmt
}

// ExecContext implements driver.ExecerContext.
func (c *keepingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	res, err := s.ExecContext(ctx, args)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return res, c.keep(query, s)
}

// QueryContext implements driver.QueryerContext.
func (c *keepingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &keepingRows{rows, c, query, s}, nil
}

// take returns the statement of a query that nobody uses.
func (c *keepingConn) take(ctx context.Context, query string) (sqliteStmt, error) {
	if s, ok := c.idle[query]; ok {
		delete(c.idle, query)
		return s, nil
	}
	s, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	able, ok := s.(sqliteStmt)
	if !ok {
		return nil, errors.Join(errors.New("database driver: it lacks what this program needs"), s.Close())
	}
	return able, nil
}

// keep takes a statement back. Any other makes room for it: queries with lists
// are many, and come once.
func (c *keepingConn) keep(query string, s sqliteStmt) error {
	if _, there := c.idle[query]; there {
		return s.Close()
	}
	var err error
	for other, o := range c.idle {
		if len(c.idle) < keptStatements {
			break
		}
		delete(c.idle, other)
		err = o.Close()
	}
	c.idle[query] = s
	return err
}

// Close implements driver.Conn.
func (c *keepingConn) Close() error {
	var errs []error
	for _, s := range c.idle {
		errs = append(errs, s.Close())
	}
	clear(c.idle)
	return errors.Join(append(errs, c.sqliteConn.Close())...)
}

// keepingRows give their statement back when they are closed.
type keepingRows struct {
	driver.Rows
	c     *keepingConn
	query string
	s     sqliteStmt // nil: it is back
}

// Close implements driver.Rows.
func (r *keepingRows) Close() error {
	err := r.Rows.Close()
	s := r.s
	r.s = nil
	switch {
	case s == nil:
		return err
	case err != nil:
		return errors.Join(err, s.Close())
	}
	return r.c.keep(r.query, s)
}
