package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// logChunk is the most that one row of a log holds, in bytes.
const logChunk = 256 << 10

// Log is a piece of an attempt's log.
type Log struct {
	Offset int64 // of Data; beyond the one asked for when the log was cut there
	Data   []byte
	Size   int64 // of the whole log, with what was cut
}

// Next returns the offset to read on from.
func (l Log) Next() int64 { return l.Offset + int64(len(l.Data)) }

// AppendLog adds what an attempt printed from the offset on. What is there
// already is left as it is, so that an append may be repeated. Of a log longer
// than MaxLog the middle is cut out.
func (c *Claim) AppendLog(ctx context.Context, job string, attempt int, offset int64, data []byte) error {
	return c.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		size, err := logSize(ctx, tx.conn, c.Run, job, attempt)
		if err != nil {
			return fmt.Errorf("log of %s in run %s: %w", job, c.Run, err)
		}
		rest, at := data, offset
		if skip := size - at; skip > 0 {
			rest, at = rest[min(skip, int64(len(rest))):], size
		}
		if len(rest) == 0 {
			return nil
		}
		for len(rest) > 0 {
			chunk := rest[:min(len(rest), logChunk)]
			_, err := tx.exec(ctx, `INSERT INTO logs (run, job, attempt, start, bytes, lines, data) VALUES (?, ?, ?, ?, ?, ?, ?)`,
				c.Run, job, attempt, at, len(chunk), bytes.Count(chunk, []byte{'\n'}), c.s.pack.pack(chunk))
			if err != nil {
				return fmt.Errorf("log of %s in run %s: %w", job, c.Run, err)
			}
			rest, at = rest[len(chunk):], at+int64(len(chunk))
		}
		if at <= MaxLog {
			return nil
		}
		_, err = tx.exec(ctx, `DELETE FROM logs WHERE run = ? AND job = ? AND attempt = ? AND start >= ? AND start < ? AND start + bytes <= ?`,
			c.Run, job, attempt, MaxLog/2, at-MaxLog/2, at-MaxLog/2)
		if err != nil {
			return fmt.Errorf("log of %s in run %s: %w", job, c.Run, err)
		}
		return nil
	})
}

func logSize(ctx context.Context, c conn, run, job string, attempt int) (size int64, err error) {
	err = c.row(ctx, `SELECT start + bytes FROM logs WHERE run = ? AND job = ? AND attempt = ? ORDER BY start DESC LIMIT 1`, run, job, attempt).Scan(&size)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return size, err
}

// ReadLog returns what an attempt printed from the offset on, at most limit
// bytes and MaxLogRead, and not across a cut.
func (s *Store) ReadLog(ctx context.Context, run, job string, attempt int, offset int64, limit int) (Log, error) {
	limit = min(max(limit, 1), MaxLogRead)
	log, err := s.readLog(ctx, run, job, attempt, max(offset, 0), limit)
	if err != nil {
		return Log{}, fmt.Errorf("log of %s in run %s: %w", job, run, err)
	}
	return log, nil
}

func (s *Store) readLog(ctx context.Context, run, job string, attempt int, offset int64, limit int) (log Log, err error) {
	if log.Size, err = logSize(ctx, s.reader(), run, job, attempt); err != nil {
		return log, err
	}
	rows, err := s.read.QueryContext(ctx, s.dialect.sql(`SELECT start, data FROM logs
		WHERE run = ? AND job = ? AND attempt = ? AND start > ? AND start + bytes > ? ORDER BY start`), run, job, attempt, offset-logChunk, offset)
	if err != nil {
		return log, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	log.Offset = offset
	for len(log.Data) < limit && rows.Next() {
		var start int64
		var data []byte
		if err := rows.Scan(&start, &data); err != nil {
			return log, err
		}
		if data, err = unpack(data); err != nil {
			return log, err
		}
		if start < log.Next() {
			data = data[log.Next()-start:]
		} else if start > log.Next() {
			if len(log.Data) > 0 {
				break
			}
			log.Offset = start
		}
		log.Data = append(log.Data, data[:min(len(data), limit-len(log.Data))]...)
	}
	return log, rows.Err()
}

// LogPiece is a part of a log whose place is known without reading it.
type LogPiece struct {
	Offset int64 // of its first byte
	Bytes  int64
	Lines  int // line ends in it
}

// LogPieces returns what there is of an attempt's log, in its order. Where a
// piece does not begin at the end of the one before, the log was cut.
func (s *Store) LogPieces(ctx context.Context, run, job string, attempt int) ([]LogPiece, error) {
	pieces, err := list(ctx, s.reader(), func(row scanner) (p LogPiece, err error) {
		err = row.Scan(&p.Offset, &p.Bytes, &p.Lines)
		return p, err
	}, `SELECT start, bytes, lines FROM logs WHERE run = ? AND job = ? AND attempt = ? ORDER BY start`, run, job, attempt)
	if err != nil {
		return nil, fmt.Errorf("log of %s in run %s: %w", job, run, err)
	}
	return pieces, nil
}
