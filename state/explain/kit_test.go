package explain_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/state/explain"
	"github.com/jitagent/jitagent/state/journal"
)

const (
	origin  = "http://127.0.0.1:4412"
	first   = "OWNERA"
	second  = "OWNERB"
	theRun  = "RUN1"
	theTask = "task_8f2c"
)

// start is when the stories begin.
func start() time.Time { return time.Date(2026, 11, 2, 14, 2, 3, 120_000_000, time.UTC) }

// A writer makes records, each with the time that was said last.
type writer struct {
	now     time.Time
	owner   string
	run     string
	task    string
	records []journal.Record
}

func newWriter() *writer { return &writer{now: start(), owner: first, run: theRun, task: theTask} }

// at sets the clock to a time after the start.
func (w *writer) at(after time.Duration) *writer { w.now = start().Add(after); return w }

// plus moves the clock.
func (w *writer) plus(d time.Duration) *writer { w.now = w.now.Add(d); return w }

func (w *writer) add(e jit.Entry) *journal.Record {
	e.Time, e.Run = w.now, w.run
	if e.TaskID == "" && e.Kind != jit.EntryTaskOpening {
		e.TaskID = w.task
	}
	w.records = append(w.records, journal.Record{Entry: e, Seq: int64(len(w.records) + 1), Owner: w.owner})
	return &w.records[len(w.records)-1]
}

func (w *writer) open(name string) {
	w.add(jit.Entry{Kind: jit.EntryTaskOpening, Authority: "http://127.0.0.1:4411/acme-corp/analyst-agent", Session: "session-3", Trace: "4bf92f3577b34da6a3ce929d0e0e4736", Name: name, OnBehalfOf: "ada@acme-corp.example"})
	w.plus(12 * time.Millisecond)
	w.add(jit.Entry{Kind: jit.EntryTaskOpened, ExpiresAt: w.now.Add(time.Hour)})
}

func (w *writer) close() {
	w.add(jit.Entry{Kind: jit.EntryTaskCompleting})
	w.plus(9 * time.Millisecond)
	issued, now := 0, 0
	for _, r := range w.records {
		if r.Kind == jit.EntryGrant {
			issued++
			if r.ExpiresAt.After(w.now) {
				now++
			}
		}
	}
	w.add(jit.Entry{Kind: jit.EntryTaskCompleted, Issued: issued, Revoked: now})
}

func reading(doc string) rar.Detail {
	return rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: doc, Locations: []string{origin}}
}

func reports() rar.Detail {
	return rar.Detail{Type: "file_access", Actions: []string{"write"}, Identifier: "reports", Locations: []string{origin}}
}

// A made is a call in the making.
type made struct {
	w        *writer
	id, tool string
	want     rar.Detail
	url      string
	because  string
}

func (m *made) add(e jit.Entry) *journal.Record {
	e.CallID, e.Tool = m.id, m.tool
	return m.w.add(e)
}

// fetch begins a call that reads a document.
func (w *writer) fetch(id, doc string) *made {
	m := &made{w, id, "fetch_document", reading(doc), origin + "/v1/documents/" + doc, "Read document " + doc}
	m.begin(fmt.Sprintf(`{"document_id":%q}`, doc))
	return m
}

// report begins a call that creates a report.
func (w *writer) report(id, title string) *made {
	m := &made{w, id, "create_report", reports(), origin + "/v1/reports", "Create a report titled “" + title + "”"}
	m.begin(fmt.Sprintf(`{"content":"Revenue grew by 4%%… (812 bytes)","title":%q}`, title))
	return m
}

func (m *made) begin(args string) {
	bare := m.want
	bare.Locations = nil
	m.add(jit.Entry{Kind: jit.EntryCall, Args: json.RawMessage(args), Ceiling: []rar.Detail{m.want, bare}, Justification: m.because})
	m.w.plus(400 * time.Microsecond)
}

func (m *made) method() string {
	if m.tool == "create_report" {
		return "POST"
	}
	return "GET"
}

func (m *made) key() string { return "jit-key-" + m.id }

func (m *made) refused() {
	if m.method() == "POST" {
		m.sent("")
		m.w.plus(3 * time.Millisecond)
		m.add(jit.Entry{Kind: jit.EntryCallReturned, IdempotencyKey: m.key(), Method: "POST", URL: m.url, HTTPStatus: 403, Outcome: jit.OutcomeRefused})
	}
	m.add(jit.Entry{Kind: jit.EntryRefused, Method: m.method(), URL: m.url, HTTPStatus: 403, Demanded: []rar.Detail{m.want}})
	m.w.plus(time.Millisecond)
}

func (m *made) asked() {
	m.add(jit.Entry{Kind: jit.EntryRequest, Detail: &m.want, Justification: m.because})
	m.w.plus(14 * time.Millisecond)
}

func (m *made) decided(request string, status jit.Status, risk, by, message string, until time.Time) {
	m.add(jit.Entry{Kind: jit.EntryDecision, RequestID: request, Detail: &m.want, Status: status, Risk: risk, DecidedBy: by, Message: message, ExpiresAt: until})
	m.w.plus(2 * time.Millisecond)
}

func (m *made) token(request string) {
	m.add(jit.Entry{Kind: jit.EntryGrant, RequestID: request, Detail: &m.want, ExpiresAt: m.w.now.Add(5 * time.Minute), TokenHash: "00112233445566778899aabbccddeeff"})
	m.w.plus(6 * time.Millisecond)
}

func (m *made) used(request string, status int) {
	m.add(jit.Entry{Kind: jit.EntryUse, RequestID: request, Method: "GET", URL: m.url, HTTPStatus: status})
	m.w.plus(time.Millisecond)
}

func (m *made) sent(request string) {
	m.add(jit.Entry{Kind: jit.EntryCallSent, IdempotencyKey: m.key(), RequestID: request, Method: "POST", URL: m.url})
}

func (m *made) returned(request string, status int, outcome jit.Outcome, err string) {
	m.w.plus(7 * time.Millisecond)
	m.add(jit.Entry{Kind: jit.EntryCallReturned, IdempotencyKey: m.key(), RequestID: request, Method: "POST", URL: m.url, HTTPStatus: status, Outcome: outcome, Error: err})
	m.w.plus(time.Millisecond)
}

func (m *made) ended(result, err string) {
	m.add(jit.Entry{Kind: jit.EntryCallEnded, Result: result, Error: err})
}

// granted is the whole way from refusal to token, by policy.
func (m *made) granted(request, risk string) {
	m.refused()
	m.asked()
	m.decided(request, jit.StatusApproved, risk, "", "", time.Time{})
	m.token(request)
}

// The stories that golden files and pictures are made of.

// plain is a document read and a report written.
func plain() []journal.Record {
	w := newWriter()
	w.open("analyst: Fetch document doc_9982, summarize it, and create a report titled 'Q4 Analysis'.")
	w.plus(30 * time.Millisecond)
	m := w.fetch("call-1", "doc_9982")
	m.granted("jit_1", "low")
	m.used("jit_1", 200)
	m.ended("ok", "")
	w.plus(900 * time.Millisecond)
	m = w.report("call-2", "Q4 Analysis")
	m.granted("jit_2", "medium")
	m.sent("jit_2")
	m.returned("jit_2", 201, jit.OutcomeAnswered, "")
	m.ended("ok", "")
	w.plus(400 * time.Millisecond)
	w.close()
	return w.records
}

// denied is a person's no, and a demand outside the ceiling.
func denied() []journal.Record {
	w := newWriter()
	w.open("analyst: Summarize doc_7310")
	w.plus(20 * time.Millisecond)
	m := w.fetch("call-1", "doc_7310")
	m.refused()
	m.asked()
	m.decided("jit_1", jit.StatusPending, "high", "", "", w.now.Add(10*time.Minute))
	w.plus(42 * time.Second)
	m.decided("jit_1", jit.StatusDenied, "high", "reviewer@acme-corp.example", "Not before the board has met.", time.Time{})
	m.ended("denied", "a person denied file_access read doc_7310: Not before the board has met.")
	w.plus(700 * time.Millisecond)
	m = w.fetch("call-2", "doc_9982")
	over := rar.Detail{Type: "file_access", Actions: []string{"read", "delete"}, Identifier: "doc_9982"}
	m.add(jit.Entry{Kind: jit.EntryRefused, Method: "GET", URL: m.url, HTTPStatus: 403, Demanded: []rar.Detail{over}})
	m.add(jit.Entry{Kind: jit.EntryBlocked, Detail: &over, Error: "rar: actions: delete is not in the ceiling"})
	m.ended("denied", "the API demands more than this call may ask for")
	w.plus(300 * time.Millisecond)
	w.close()
	return w.records
}

// awaited is a request that a person grants after three minutes.
func awaited() []journal.Record {
	w := newWriter()
	w.open("analyst: Create a report about doc_7310 titled 'Salaries'")
	w.plus(20 * time.Millisecond)
	m := w.fetch("call-1", "doc_7310")
	m.refused()
	m.asked()
	m.decided("jit_1", jit.StatusPending, "high", "", "", w.now.Add(10*time.Minute))
	w.plus(3*time.Minute + 2*time.Second)
	m.decided("jit_1", jit.StatusApproved, "high", "reviewer@acme-corp.example", "For the board only.", time.Time{})
	m.token("jit_1")
	m.used("jit_1", 200)
	m.ended("ok", "")
	w.plus(900 * time.Millisecond)
	m = w.report("call-2", "Salaries")
	m.granted("jit_2", "medium")
	m.sent("jit_2")
	m.returned("jit_2", 201, jit.OutcomeAnswered, "")
	m.ended("ok", "")
	w.plus(200 * time.Millisecond)
	w.close()
	return w.records
}

// crashed is a process that dies with a report under way, and another that
// recovers its task at the second try.
func crashed() []journal.Record {
	w := newWriter()
	w.open("analyst: Fetch document doc_9982, summarize it, and create a report titled 'Q4 Analysis'.")
	w.plus(30 * time.Millisecond)
	m := w.fetch("call-1", "doc_9982")
	m.granted("jit_1", "low")
	m.used("jit_1", 200)
	m.ended("ok", "")
	w.plus(900 * time.Millisecond)
	m = w.report("call-2", "Q4 Analysis")
	m.granted("jit_2", "medium")
	m.sent("jit_2")
	w.owner = second
	w.plus(95 * time.Second)
	w.add(jit.Entry{Kind: jit.EntryTaskCompleting})
	w.plus(300 * time.Millisecond)
	r := w.add(jit.Entry{Kind: journal.EntryTaskAttempt, Error: "lumoauth: complete task: 503"})
	r.Attempt, r.NextAttempt = 1, w.now.Add(2*time.Second)
	w.plus(2100 * time.Millisecond)
	w.add(jit.Entry{Kind: jit.EntryTaskCompleted})
	return w.records
}

// long is 40 calls and 60 tokens over 20 minutes, with a doubt and some denials.
func long() []journal.Record {
	w := newWriter()
	w.open("analyst: Read the whole archive and write a report about each year")
	n := 0
	for i := range 40 {
		w.at(time.Duration(i)*29*time.Second + 80*time.Millisecond)
		id := fmt.Sprintf("call-%d", i+1)
		if i%2 == 0 {
			m := w.fetch(id, fmt.Sprintf("doc_%d", 9000+i))
			for range 2 {
				n++
				m.granted(fmt.Sprintf("jit_%d", n), "low")
				w.plus(200 * time.Millisecond)
				m.used(fmt.Sprintf("jit_%d", n), 200)
			}
			m.ended("ok", "")
			continue
		}
		m := w.report(id, fmt.Sprintf("Year %d", 1980+i))
		n++
		request := fmt.Sprintf("jit_%d", n)
		m.refused()
		m.asked()
		switch i {
		case 7, 23:
			m.decided(request, jit.StatusDenied, "critical", "", "Not in this quarter.", time.Time{})
			m.ended("denied", "denied by policy")
			m = w.fetch(id+"b", "doc_9999")
			m.granted(request+"b", "low")
			m.used(request+"b", 404)
			m.ended("failed", "the API answered 404")
			continue
		case 15:
			m.decided(request, jit.StatusPending, "high", "", "", w.now.Add(10*time.Minute))
			w.plus(25 * time.Second)
		}
		m.decided(request, jit.StatusApproved, "medium", "", "", time.Time{})
		m.token(request)
		m.sent(request)
		if i == 31 {
			m.returned(request, 0, jit.OutcomeInDoubt, "the answer broke off: unexpected EOF")
			m.ended("maybe_executed", "nobody knows whether it took effect")
			continue
		}
		m.returned(request, 201, jit.OutcomeAnswered, "")
		m.ended("ok", "")
	}
	w.at(19*time.Minute + 58*time.Second)
	w.close()
	return w.records
}

// fast is a run of 50 ms.
func fast() []journal.Record {
	w := newWriter()
	w.open("analyst: Summarize doc_9982")
	m := w.fetch("call-1", "doc_9982")
	m.granted("jit_1", "low")
	m.used("jit_1", 200)
	m.ended("ok", "")
	w.close()
	return w.records
}

// stories are all of them, by name.
func stories() map[string][]journal.Record {
	return map[string][]journal.Record{
		"plain": plain(), "denied": denied(), "awaited": awaited(), "crashed": crashed(), "long": long(), "fast": fast(),
	}
}

func build(t testing.TB, records []journal.Record, opts explain.Options) *explain.Story {
	t.Helper()
	s := explain.Build(records, opts)
	if s == nil {
		t.Fatal("Build returned nothing")
	}
	return s
}
