// Package logtest collects what tests log or print from several goroutines at
// once. It is for tests only and decides nothing.
package logtest

import (
	"bytes"
	"log/slog"
	"sync"
)

// A Buffer is a bytes.Buffer that is safe for concurrent use. The zero Buffer is
// empty and ready for use.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends p. It never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String returns all that was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// New returns a logger at debug level and the buffer that it writes to.
func New() (*slog.Logger, *Buffer) {
	var b Buffer
	return slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug})), &b
}
