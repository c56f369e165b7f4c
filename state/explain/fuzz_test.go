package explain_test

import (
	"crypto/sha256"
	"encoding/base64"
	stdhtml "html"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/state/explain"
	"github.com/jitagent/jitagent/state/journal"
)

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func unescape(s string) string { return stdhtml.UnescapeString(s) }

// A source turns bytes into choices; when it is empty all are the first.
type source struct{ data []byte }

func (s *source) next() int {
	if len(s.data) == 0 {
		return 0
	}
	b := s.data[0]
	s.data = s.data[1:]
	return int(b)
}

func choose[T any](s *source, from ...T) T { return from[s.next()%len(from)] }

func (s *source) text() string {
	n := min(s.next()%24, len(s.data))
	text := string(s.data[:n])
	s.data = s.data[n:]
	return text
}

func (s *source) time() time.Time {
	switch n := s.next(); {
	case n < 4:
		return time.Time{}
	case n < 8:
		return time.Date(1+n*9999, 1, 1, 0, 0, 0, 0, time.UTC)
	default:
		return start().Add(time.Duration(n*n*n) * choose(s, time.Microsecond, time.Millisecond, time.Minute))
	}
}

// maxFuzzed bounds the records of one story, to keep an execution short.
const maxFuzzed = 48

func (s *source) records() []journal.Record {
	var out []journal.Record
	for len(s.data) > 0 && len(out) < maxFuzzed {
		d := rar.Detail{Type: choose(s, "file_access", "x", ""), Identifier: choose(s, "doc_1", "doc_2", s.text())}
		e := jit.Entry{
			Kind: choose(s, jit.EntryTaskOpening, jit.EntryTaskOpened, jit.EntryCall, jit.EntryRefused, jit.EntryBlocked, jit.EntryRequest,
				jit.EntryDecision, jit.EntryGrant, jit.EntryUse, jit.EntryCallSent, jit.EntryCallReturned, jit.EntryCallEnded,
				jit.EntryTaskCompleting, jit.EntryTaskCompleted, journal.EntryTaskAttempt, journal.EntryTaskExpired,
				journal.EntryTaskUnknown, journal.EntryPruned, journal.EntryLoss, jit.EntryKind(s.text())),
			Time: s.time(), Run: choose(s, theRun, theRun, "RUN2", ""), TaskID: choose(s, theTask, ""), CallID: choose(s, "call-1", "call-2", ""),
			Tool: choose(s, "fetch_document", "", s.text()), Args: []byte(s.text()), IdempotencyKey: choose(s, "k1", "k2", ""),
			RequestID: choose(s, "jit_1", "jit_2", ""), Justification: s.text(), Status: jit.Status(s.next() % 7), Risk: s.text(),
			DecidedBy: choose(s, "", s.text()), ExpiresAt: s.time(), HTTPStatus: s.next() * 4, Error: choose(s, "", s.text()), Method: choose(s, "GET", "POST"),
			Outcome: choose(s, jit.OutcomeAnswered, jit.OutcomeRefused, jit.OutcomeNotSent, jit.OutcomeInDoubt, "", jit.Outcome(s.text())),
			Result:  choose(s, "ok", "denied", ""), Issued: s.next() - 8, Revoked: s.next() - 8,
		}
		if s.next()%4 > 0 {
			e.Detail, e.Demanded, e.Ceiling = &d, []rar.Detail{d}, []rar.Detail{d, {}}
		}
		r := journal.Record{Entry: e, Seq: int64(choose(s, len(out)+1, len(out)+1, s.next())), Owner: choose(s, first, first, second, "")}
		if s.next()%2 > 0 {
			r.Ref = &journal.Head{Seq: int64(s.next())}
		}
		out = append(out, r)
	}
	return out
}

// FuzzBuild tells stories of whatever records: it never panics, loses none, and what
// it writes is whole.
func FuzzBuild(f *testing.F) {
	f.Add([]byte{}, int64(0))
	f.Add([]byte("a story of some records, as good as any other, with this and that in it; and it goes on for a while, so that there are several"), int64(1))
	seed := make([]byte, 4096)
	for i := range seed {
		seed[i] = byte(i*i*7 + i/13)
	}
	f.Add(seed, int64(1e15))
	f.Fuzz(func(t *testing.T, data []byte, at int64) {
		records := (&source{data}).records()
		opts := explain.Options{Gone: map[string]bool{theRun: at%2 == 0}}
		if at%3 > 0 {
			opts.At = start().Add(time.Duration(at))
		}
		s := build(t, records, opts)
		complete(t, records, s)
		checkText(t, text(t, s))
		checkJSON(t, asJSON(t, s))
		checkPage(t, html(t, s))
		if err := s.Only("call-1").WriteHTML(io.Discard, time.UTC); err != nil {
			t.Error(err)
		}
	})
}

// TestAnyRecords is FuzzBuild with longer stories than mutation soon finds.
func TestAnyRecords(t *testing.T) {
	for seed := range uint64(25) {
		random := rand.New(rand.NewPCG(seed, 1))
		data := make([]byte, 200+random.IntN(3000))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		records := (&source{data}).records()
		s := build(t, records, explain.Options{Gone: map[string]bool{theRun: seed%2 == 0}, At: start().Add(time.Hour)})
		complete(t, records, s)
		checkText(t, text(t, s))
		checkJSON(t, asJSON(t, s))
		checkPage(t, html(t, s))
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
}
