package journal

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
)

// Kinds of entries that only the journal itself writes.
const (
	EntryTaskAttempt jit.EntryKind = "task_attempt"   // reports a completion that failed
	EntryTaskExpired jit.EntryKind = "task_expired"   // reports that nothing under it can be valid any more
	EntryTaskUnknown jit.EntryKind = "task_unknown"   // reports that nothing more can be found out or done
	EntryPruned      jit.EntryKind = "journal_pruned" // the entries up to Ref were removed
	EntryLoss        jit.EntryKind = "journal_loss"   // the entries after this one's predecessor, up to Ref, were found gone
)

// A Record is an entry as the journal keeps it. Its times are in UTC, cut to
// microseconds; free texts are valid UTF-8, cut to [MaxText].
type Record struct {
	jit.Entry

	Seq   int64    // 1 for the first
	Hash  [32]byte // over the hash before it and the entry
	Owner string   // the process that wrote it

	// Until is when the last of whatever this entry announces or reports ends to be
	// valid, as far as can be known; zero when it is about nothing that can.
	Until time.Time

	Attempt     int       // of EntryTaskAttempt: how many there were, this one included
	NextAttempt time.Time // of EntryTaskAttempt: when to try again
	Ref         *Head     // of EntryPruned and EntryLoss
}

// Limits of an entry.
const (
	MaxText = 8 << 10 // bytes of a free text: what is longer is cut, and says so
	maxName = 1 << 10 // bytes of an identifier: a longer one is refused

	maxEntry = 1 << 20 // bytes of a whole entry, as JSON
)

// wire is the JSON of a record. The member names are part of the file format:
// what is added here needs a new schema version.
type wire struct {
	Seq            int64        `json:"seq"`
	Time           string       `json:"time"`
	Kind           string       `json:"kind"`
	Owner          string       `json:"owner,omitzero"`
	Run            string       `json:"run,omitzero"`
	Authority      string       `json:"authority,omitzero"`
	Session        string       `json:"session,omitzero"`
	Name           string       `json:"name,omitzero"`
	OnBehalfOf     string       `json:"on_behalf_of,omitzero"`
	Task           string       `json:"task_id,omitzero"`
	Call           string       `json:"call_id,omitzero"`
	Tool           string       `json:"tool,omitzero"`
	Args           string       `json:"args,omitzero"` // as text: canonical form would round its numbers
	Ceiling        []rar.Detail `json:"ceiling,omitzero"`
	IdempotencyKey string       `json:"idempotency_key,omitzero"`
	Request        string       `json:"request_id,omitzero"`
	Detail         *rar.Detail  `json:"detail,omitzero"`
	Demanded       []rar.Detail `json:"demanded,omitzero"`
	Justification  string       `json:"justification,omitzero"`
	Status         string       `json:"status,omitzero"`
	Risk           string       `json:"risk,omitzero"`
	DecidedBy      string       `json:"decided_by,omitzero"`
	Message        string       `json:"message,omitzero"`
	ExpiresAt      string       `json:"expires_at,omitzero"`
	TokenHash      string       `json:"token_hash,omitzero"`
	Method         string       `json:"method,omitzero"`
	URL            string       `json:"url,omitzero"`
	HTTPStatus     int          `json:"http_status,omitzero"`
	Outcome        string       `json:"outcome,omitzero"`
	Result         string       `json:"result,omitzero"`
	Issued         int          `json:"issued,omitzero"`
	Revoked        int          `json:"revoked,omitzero"`
	Error          string       `json:"error,omitzero"`
	Until          string       `json:"until,omitzero"`
	Attempt        int          `json:"attempt,omitzero"`
	NextAttempt    string       `json:"next_attempt,omitzero"`
	Ref            string       `json:"ref,omitzero"`
}

// tidy returns r as it can be kept, or says why it cannot.
func tidy(r Record) (Record, error) {
	if r.Kind == "" {
		return r, errors.New("entry without a kind")
	}
	for name, v := range map[string]string{
		"kind": string(r.Kind), "run": r.Run, "task id": r.TaskID, "call id": r.CallID, "tool": r.Tool,
		"idempotency key": r.IdempotencyKey, "request id": r.RequestID, "risk": r.Risk, "method": r.Method,
		"authority": r.Authority, "session": r.Session, "outcome": string(r.Outcome), "result": r.Result,
	} {
		if len(v) > maxName || !utf8.ValidString(v) {
			return r, fmt.Errorf("entry %s: its %s is too long or not UTF-8", clip(string(r.Kind)), name)
		}
	}
	// A token in the place of its hash would stand here for ever.
	if r.TokenHash != "" && !isHash(r.TokenHash) {
		return r, fmt.Errorf("entry %s: its token hash is not one", r.Kind)
	}
	for _, text := range []*string{&r.Name, &r.OnBehalfOf, &r.Justification, &r.DecidedBy, &r.Message, &r.URL, &r.Error} {
		*text = clip(*text)
	}
	r.Args = []byte(clip(string(r.Args)))
	if len(r.Args) == 0 {
		r.Args = nil
	}
	r.Time, r.ExpiresAt, r.Until, r.NextAttempt = moment(r.Time), moment(r.ExpiresAt), moment(r.Until), moment(r.NextAttempt)
	return r, nil
}

// isHash reports whether s can be a hash in hex, of 8 to 32 bytes.
func isHash(s string) bool {
	return len(s) >= 16 && len(s) <= 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// clip returns s as valid UTF-8 of at most MaxText bytes.
func clip(s string) string {
	const mark = "... [cut]"
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= MaxText {
		return s
	}
	end := MaxText - len(mark)
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

// latest is the last moment that RFC 3339 can write.
func latest() time.Time { return time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC) }

// moment returns t as the journal keeps it.
func moment(t time.Time) time.Time {
	t = t.UTC().Truncate(time.Microsecond)
	switch {
	case t.IsZero() || t.Year() < 1:
		return time.Time{}
	case t.After(latest()):
		return latest()
	}
	return t
}

const stampLayout = "2006-01-02T15:04:05.000000Z"

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(stampLayout)
}

func parseStamp(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return time.Parse(stampLayout, s)
}

// encode returns the canonical JSON (RFC 8785) of a tidy record, without its hash.
func encode(r Record) ([]byte, error) {
	w := wire{
		Seq: r.Seq, Time: stamp(r.Time), Kind: string(r.Kind), Owner: r.Owner, Run: r.Run, Authority: r.Authority,
		Session: r.Session, Name: r.Name, OnBehalfOf: r.OnBehalfOf, Task: r.TaskID, Call: r.CallID, Tool: r.Tool,
		Args: string(r.Args), Ceiling: r.Ceiling, IdempotencyKey: r.IdempotencyKey, Request: r.RequestID, Detail: r.Detail,
		Demanded: r.Demanded, Justification: r.Justification, Risk: r.Risk, DecidedBy: r.DecidedBy, Message: r.Message,
		ExpiresAt: stamp(r.ExpiresAt), TokenHash: r.TokenHash, Method: r.Method, URL: r.URL, HTTPStatus: r.HTTPStatus,
		Outcome: string(r.Outcome), Result: r.Result, Issued: r.Issued, Revoked: r.Revoked, Error: r.Error,
		Until: stamp(r.Until), Attempt: r.Attempt, NextAttempt: stamp(r.NextAttempt),
	}
	if r.Status != jit.StatusUnknown {
		w.Status = r.Status.String()
	}
	if r.Ref != nil {
		w.Ref = r.Ref.String()
	}
	text, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("entry %s: %w", r.Kind, err)
	}
	value := jsontext.Value(text)
	if err := value.Canonicalize(); err != nil {
		return nil, fmt.Errorf("entry %s: %w", r.Kind, err)
	}
	if len(value) > maxEntry {
		return nil, fmt.Errorf("entry %s: %d bytes, over the limit of %d", r.Kind, len(value), maxEntry)
	}
	return value, nil
}

// decode reads what encode wrote, and nothing else: a text that encode would have
// spelled otherwise is refused.
func decode(data []byte) (Record, error) {
	var w wire
	if err := strictjson.Exact(data, &w); err != nil {
		return Record{}, err
	}
	r := Record{
		Entry: jit.Entry{
			Kind: jit.EntryKind(w.Kind), Run: w.Run, Authority: w.Authority, Session: w.Session, Name: w.Name,
			OnBehalfOf: w.OnBehalfOf, TaskID: w.Task, CallID: w.Call, Tool: w.Tool, Ceiling: w.Ceiling,
			IdempotencyKey: w.IdempotencyKey, RequestID: w.Request, Detail: w.Detail, Demanded: w.Demanded,
			Justification: w.Justification, Status: status(w.Status), Risk: w.Risk, DecidedBy: w.DecidedBy, Message: w.Message,
			TokenHash: w.TokenHash, Method: w.Method, URL: w.URL, HTTPStatus: w.HTTPStatus, Outcome: jit.Outcome(w.Outcome),
			Result: w.Result, Issued: w.Issued, Revoked: w.Revoked, Error: w.Error,
		},
		Seq: w.Seq, Owner: w.Owner, Attempt: w.Attempt,
	}
	if w.Args != "" {
		r.Args = []byte(w.Args)
	}
	var errs [4]error
	r.Time, errs[0] = parseStamp(w.Time)
	r.ExpiresAt, errs[1] = parseStamp(w.ExpiresAt)
	r.Until, errs[2] = parseStamp(w.Until)
	r.NextAttempt, errs[3] = parseStamp(w.NextAttempt)
	if errors.Join(errs[:]...) != nil {
		return Record{}, errors.New("a time is not one")
	}
	if w.Ref != "" {
		head, err := ParseHead(w.Ref)
		if err != nil {
			return Record{}, err
		}
		r.Ref = &head
	}
	again, err := encode(r)
	if err != nil {
		return Record{}, err
	}
	if !bytes.Equal(again, data) {
		return Record{}, errors.New("it is not in the form in which entries are written")
	}
	return r, nil
}

// status returns the status of a name. A name that this program does not know is
// caught by decode: it would be written otherwise.
func status(name string) jit.Status {
	for s := jit.StatusUnknown + 1; s.String() != jit.StatusUnknown.String(); s++ {
		if s.String() == name {
			return s
		}
	}
	return jit.StatusUnknown
}
