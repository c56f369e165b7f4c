package peer

import (
	"net/http"
	"sync"
)

// Transport returns what sends requests where nothing else was configured, the same each
// time: [http.DefaultTransport] with a bound for headers, and with enough idle connections
// for many calls at once to one peer, which otherwise make most of them anew. One that
// somebody put in its place is returned as it is.
func Transport() http.RoundTripper { return transport() }

var transport = sync.OnceValue(func() http.RoundTripper {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t := base.Clone()
	t.MaxResponseHeaderBytes = 256 << 10 // net/http's own bound is 10 MiB
	t.MaxIdleConnsPerHost = 64
	return t
})
