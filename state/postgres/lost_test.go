package postgres_test

import (
	"bytes"
	"errors"
	"net"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/jitagent/jitagent/internal/pgtest"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/journal/journaltest"
)

// cutting returns an address by which the database is reached, and a switch: while it is on,
// the answer to the next commit is lost with its connection.
func cutting(t *testing.T, address string) (string, *atomic.Bool) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	socket := u.Query().Get("host") + "/.s.PGSQL.5432"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	var cut atomic.Bool
	forward := func(to, from net.Conn, answers bool) {
		defer func() { _, _ = to.Close(), from.Close() }()
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if err != nil || answers && bytes.Contains(buf[:n], []byte("COMMIT\x00")) && cut.CompareAndSwap(true, false) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", socket)
			if err != nil {
				_ = client.Close()
				continue
			}
			go forward(server, client, false)
			go forward(client, server, true)
		}
	}()
	return "postgres://tests@" + l.Addr().String() + u.Path + "?sslmode=disable", &cut
}

// An entry that was committed, and whose answer was lost, is there once; the writer goes on
// behind it.
func TestTheAnswerToACommitIsLost(t *testing.T) {
	address, cut := cutting(t, pgtest.Shared(t).URL(t))
	j, _ := open(t, address)
	for _, run := range []string{"a", "b", "c"} {
		cut.Store(run != "c")
		if err := j.Append(t.Context(), jit.Entry{Kind: jit.EntryTaskOpening, Run: run}); err != nil || cut.Load() {
			t.Fatalf("Append() = %v", err)
		}
		journaltest.Add(t, j, jit.Entry{Kind: jit.EntryRequest, Run: run})
	}
	if got := journaltest.All(t, j, journal.Filter{}); len(got) != 6 {
		t.Errorf("%d entries, want 6", len(got))
	}
	if _, err := j.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// An append that meets a claim waits for it, and is refused.
func TestAnAppendMeetsAClaim(t *testing.T) {
	j, p := open(t, pgtest.Shared(t).URL(t))
	journaltest.Add(t, j, jit.Entry{Kind: jit.EntryTaskOpening, Run: "r"})
	claim, err := p.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := claim.Exec(t.Context(), "UPDATE owners SET until = '-infinity' WHERE id = $1", j.Owner()); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- j.Append(t.Context(), jit.Entry{Kind: jit.EntryCallSent, Run: "r"}) }()
	for waits := false; !waits; {
		if err := p.QueryRow(t.Context(), "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')").Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	if err := claim.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, journal.ErrLost) {
		t.Errorf("Append() = %v", err)
	}
	if got := journaltest.All(t, j, journal.Filter{}); len(got) != 1 {
		t.Errorf("%d entries, want 1", len(got))
	}
}
