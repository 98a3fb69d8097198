package store

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"sync"
)

// The first byte of packed data says how it is kept.
const (
	packedPlain   = 0
	packedDeflate = 1
)

// packer compresses what is large, at the speed of the fastest level: payloads
// and logs are text that shrinks to a fifth, and less to sync to disk is
// faster than the compression is slow.
type packer struct{ writers *sync.Pool }

func newPacker() packer {
	return packer{&sync.Pool{New: func() any {
		w, err := flate.NewWriter(nil, flate.BestSpeed)
		if err != nil {
			panic(err) // of a wrong level alone
		}
		return w
	}}}
}

func (p packer) pack(data []byte) []byte {
	if len(data) < packMin {
		return append([]byte{packedPlain}, data...)
	}
	var b bytes.Buffer
	b.Grow(len(data)/3 + 64)
	b.WriteByte(packedDeflate)
	w := p.writers.Get().(*flate.Writer)
	defer p.writers.Put(w)
	w.Reset(&b)
	_, err := w.Write(data)
	if err = errors.Join(err, w.Close()); err != nil {
		panic(err) // a Buffer takes everything
	}
	return b.Bytes()
}

func unpack(data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, nil
	}
	switch data[0] {
	case packedPlain:
		return data[1:], nil
	case packedDeflate:
		r := flate.NewReader(bytes.NewReader(data[1:]))
		plain, err := io.ReadAll(io.LimitReader(r, maxUnpacked))
		if err != nil {
			return nil, fmt.Errorf("data unpack: %w", err)
		}
		return plain, nil
	}
	return nil, fmt.Errorf("data unpack: unknown kind %d", data[0])
}
