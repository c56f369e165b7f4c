//go:build nowebui

package serve

import "net/http"

// webUI returns none: it was left out of this build.
func webUI() (http.Handler, error) { return nil, nil }
