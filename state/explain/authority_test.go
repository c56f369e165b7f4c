package explain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/explain"
	"github.com/jitagent/jitagent/state/journal"
)

func TestWhoDecided(t *testing.T) {
	for _, tt := range []struct {
		name    string
		pending bool
		status  jit.Status
		by      string
		want    string
		say     string
	}{
		{"policy", false, jit.StatusApproved, "", explain.ByPolicy, "Approved at once, by the authorization server's own policy"},
		{"policy's no", false, jit.StatusDenied, "", explain.ByPolicy, "Denied at once, by the authorization server's own policy"},
		{"a person", true, jit.StatusApproved, "user 7", explain.ByPerson, "Approved by user 7 after 3 min"},
		{"a person without a name", true, jit.StatusDenied, "", explain.ByPerson, "Denied by a person whom the server does not name, after 3 min"},
		{"a person at once", false, jit.StatusApproved, "user 7", explain.ByPerson, "Approved by user 7 after 14 ms"},
		{"nobody", true, jit.StatusExpired, "", explain.ByNobody, "Nobody decided in time after 3 min"},
		{"not used", true, jit.StatusExpired, "user 7", explain.ByPerson, "Approved by user 7, and not used in time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWriter()
			w.open("x")
			m := w.fetch("call-1", "doc_1")
			m.asked()
			if tt.pending {
				m.decided("jit_1", jit.StatusPending, "high", "", "", w.now.Add(time.Hour))
				w.plus(3 * time.Minute)
			}
			m.decided("jit_1", tt.status, "high", tt.by, "", time.Time{})
			s := build(t, w.records, explain.Options{})
			q := s.Tasks[0].Asked[0]
			if q.By != tt.want || q.Status != tt.status.String() || q.ID != "jit_1" || len(s.Tasks[0].Asked) != 1 {
				t.Errorf("request = %+v, want decided by %s", q, tt.want)
			}
			if got := flat(t, s); !strings.Contains(got, tt.say) {
				t.Errorf("the story does not say %q:\n%s", tt.say, got)
			}
		})
	}
}

func TestEndOfGrants(t *testing.T) {
	grant := func(then func(*writer)) []journal.Record {
		w := newWriter()
		w.open("x")
		w.fetch("call-1", "doc_1").token("jit_1") // for 5 minutes
		then(w)
		return w.records
	}
	completed := func(after time.Duration) []journal.Record {
		return grant(func(w *writer) { w.plus(after); w.close() })
	}
	mark := func(kind jit.EntryKind) []journal.Record {
		return grant(func(w *writer) { w.plus(time.Minute); w.add(jit.Entry{Kind: kind}) })
	}
	ended := func(left time.Duration) []journal.Record {
		return grant(func(w *writer) {
			w.plus(time.Minute)
			w.add(jit.Entry{Kind: jit.EntryTaskCompleted, ExpiresAt: w.now.Add(left)})
		})
	}
	noExpiry := mark(journal.EntryTaskUnknown)
	for i := range noExpiry {
		noExpiry[i].ExpiresAt = time.Time{}
	}
	for _, tt := range []struct {
		name    string
		records []journal.Record
		at      time.Duration // after the start
		want    journal.GrantState
	}{
		{"completed", completed(time.Minute), time.Hour, journal.GrantRevoked},
		{"expired before the completion", completed(6 * time.Minute), time.Hour, journal.GrantExpired},
		{"completed, not to be revoked", ended(4 * time.Minute), 2 * time.Minute, journal.GrantExpires},
		{"completed, not to be revoked, long ago", ended(4 * time.Minute), time.Hour, journal.GrantExpired},
		{"open", grant(func(*writer) {}), time.Minute, journal.GrantLive},
		{"open, too long", grant(func(*writer) {}), time.Hour, journal.GrantExpired},
		{"completing", mark(jit.EntryTaskCompleting), 2 * time.Minute, journal.GrantLive},
		{"a failed try", mark(journal.EntryTaskAttempt), 2 * time.Minute, journal.GrantLive},
		{"task expired", mark(journal.EntryTaskExpired), time.Hour, journal.GrantExpired},
		{"unknown, no expiry", noExpiry, time.Hour, journal.GrantUnknown},
		{"unknown", mark(journal.EntryTaskUnknown), 2 * time.Minute, journal.GrantExpires},
		{"unknown, long ago", mark(journal.EntryTaskUnknown), time.Hour, journal.GrantExpired},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := build(t, tt.records, explain.Options{At: start().Add(tt.at)})
			g := s.Tasks[0].Grants[0]
			if g.End != tt.want || (g.End == journal.GrantRevoked || g.End == journal.GrantExpired) == g.Ended.IsZero() {
				t.Errorf("grant ends %q at %v, want %q", g.End, g.Ended, tt.want)
			}
			if !strings.Contains(flat(t, s), map[journal.GrantState]string{
				journal.GrantRevoked: "revoked at", journal.GrantExpired: "expired by itself", journal.GrantLive: "alive, until", journal.GrantExpires: "ends by itself at", journal.GrantUnknown: "not known whether it was revoked;",
			}[tt.want]) {
				t.Errorf("the text does not say so:\n%s", text(t, s))
			}
			html(t, s)
		})
	}
}
