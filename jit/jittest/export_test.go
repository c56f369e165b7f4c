package jittest

import "time"

// Patience bounds how long a world waits for what never comes.
func Patience(d time.Duration) Option { return func(c *config) { c.patience = d } }
