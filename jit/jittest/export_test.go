package jittest

import (
	"time"

	"github.com/jitagent/jitagent/secret"
)

// Patience bounds how long a world waits for what never comes.
func Patience(d time.Duration) Option { return func(c *config) { c.patience = d } }

// Credentials are the client secret and all tokens, in the order of their appearance.
func (w *World) Credentials() (all []secret.String) {
	for _, c := range w.record.known {
		all = append(all, c.value)
	}
	return all
}
