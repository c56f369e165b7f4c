package peer

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
)

// Calls at once to one peer use the connections of those before them.
func TestTransportKeepsConnections(t *testing.T) {
	const atOnce = 10
	var made atomic.Int32
	var all sync.WaitGroup // answers only when all have asked
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { all.Done(); all.Wait() }))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			made.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	client := http.Client{Transport: Transport()}
	for range 3 {
		all.Add(atOnce)
		var group sync.WaitGroup
		for range atOnce {
			group.Go(func() {
				resp, err := client.Get(srv.URL)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			})
		}
		group.Wait()
	}
	if made.Load() != atOnce {
		t.Errorf("%d connections for %d calls at once", made.Load(), atOnce)
	}
}
