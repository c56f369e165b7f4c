package jittest

import (
	"context"
	"sync"
)

// A gate holds whoever comes until it is released, once for all. The zero gate is
// shut.
type gate struct {
	mu   sync.Mutex
	open chan struct{}
	held int
}

// opening returns the channel that is closed on release.
func (g *gate) opening() chan struct{} {
	if g.open == nil {
		g.open = make(chan struct{})
	}
	return g.open
}

// pass waits until the gate is released, and reports false when ctx ends first.
// changed is called when somebody is held or leaves.
func (g *gate) pass(ctx context.Context, changed func()) bool {
	g.mu.Lock()
	open := g.opening()
	g.mu.Unlock()
	select {
	case <-open:
		return true
	default:
	}
	g.count(1, changed)
	defer g.count(-1, changed)
	select {
	case <-open:
		return true
	case <-ctx.Done():
		return false
	}
}

func (g *gate) count(n int, changed func()) {
	g.mu.Lock()
	g.held += n
	g.mu.Unlock()
	changed()
}

// waiting returns how many are held.
func (g *gate) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.opening():
	default:
		close(g.open)
	}
}
