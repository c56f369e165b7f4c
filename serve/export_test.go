package serve

import (
	"maps"
	"slices"
)

// Routes returns the patterns of what is behind authentication. It calls Mount.
func Routes(cfg Config) ([]string, error) {
	known, _, err := (&server{Config: cfg}).routes()
	return slices.Sorted(maps.Keys(known)), err
}
