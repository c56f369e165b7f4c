package journal

import (
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
)

// Kinds of entries that only the journal itself writes.
const (
	EntryTaskAttempt jit.EntryKind = "task_attempt"   // reports a completion that failed
	EntryTaskExpired jit.EntryKind = "task_expired"   // reports that nothing under it can be valid any more
	EntryTaskUnknown jit.EntryKind = "task_unknown"   // reports that nothing more can be found out or done
	EntryPruned      jit.EntryKind = "journal_pruned" // the entries up to Ref were removed
	EntryJoined      jit.EntryKind = "journal_joined" // Ref was the last entry of another chain when this one began
	EntryLoss        jit.EntryKind = "journal_loss"   // in older journals: the entries before this one, up to Ref, were found gone
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
	Ref         *Head     // of EntryPruned, EntryJoined and EntryLoss
	Prev        int64     // the number of the entry before it in its chain; 0 where the numbers of a chain have no gaps
}

// Limits of an entry.
const (
	MaxText = 8 << 10 // bytes of a free text: what is longer is cut, and says so
	maxName = 1 << 10 // bytes of an identifier: a longer one is refused

	// MaxEntry bounds a whole entry, in bytes of JSON.
	MaxEntry = 1 << 20

	maxInt = 1 << 53 // beyond it a JSON number is not exact
)

type (
	// A freeText is cut to [MaxText]; other strings are identifiers.
	freeText string

	// A tokenHash must look like one: a token in its place would stand there for ever.
	tokenHash string

	field struct {
		name string // in JSON
		at   any    // a pointer into the record, whose type says how it is kept
	}
)

// fields lists all that is kept of a record but its hash, sorted by name as RFC 8785
// has it. It is the one list: what is added to it, or renamed, needs a new schema
// version of every store. An array needs no memory of the heap's.
func (r *Record) fields() [46]field {
	return [...]field{
		{"args", &r.Args},
		{"attempt", &r.Attempt},
		{"authority", &r.Authority},
		{"call_id", &r.CallID},
		{"ceiling", &r.Ceiling},
		{"decided_by", (*freeText)(&r.DecidedBy)},
		{"demanded", &r.Demanded},
		{"detail", &r.Detail},
		{"digest", &r.Digest},
		{"effect", &r.Effect},
		{"epoch", &r.Epoch},
		{"error", (*freeText)(&r.Error)},
		{"expires_at", &r.ExpiresAt},
		{"http_status", &r.HTTPStatus},
		{"idempotency_key", &r.IdempotencyKey},
		{"issued", &r.Issued},
		{"justification", (*freeText)(&r.Justification)},
		{"kind", (*string)(&r.Kind)},
		{"message", (*freeText)(&r.Message)},
		{"method", &r.Method},
		{"model", &r.Model},
		{"name", (*freeText)(&r.Name)},
		{"next_attempt", &r.NextAttempt},
		{"on_behalf_of", (*freeText)(&r.OnBehalfOf)},
		{"outcome", (*string)(&r.Outcome)},
		{"output_tokens", &r.Output},
		{"owner", &r.Owner},
		{"parent", &r.Parent},
		{"prev", &r.Prev},
		{"prompt_tokens", &r.Prompt},
		{"ref", &r.Ref},
		{"request_id", &r.RequestID},
		{"result", &r.Result},
		{"revoked", &r.Revoked},
		{"risk", &r.Risk},
		{"run", &r.Run},
		{"seq", &r.Seq},
		{"session", &r.Session},
		{"status", &r.Status},
		{"task_id", &r.TaskID},
		{"time", &r.Time},
		{"token_hash", (*tokenHash)(&r.TokenHash)},
		{"tool", &r.Tool},
		{"trace", &r.Trace},
		{"until", &r.Until},
		{"url", (*freeText)(&r.URL)},
	}
}

// seal makes r, whose number is set, the entry after last, in the form in which it can be
// kept, and returns its text. It fails for an entry that cannot be kept, and never for one of Decode.
func (r *Record) seal(mac hash.Hash, last Head) ([]byte, error) {
	text, err := r.encode()
	if err != nil {
		return nil, err
	}
	r.Hash = link(mac, last.Hash, text)
	return text, nil
}

// JSON returns the canonical JSON (RFC 8785) of a record, without its hash: all that
// it says.
func (r Record) JSON() ([]byte, error) { return r.encode() }

// Line returns the record as a line of an export: {"entry":...,"hash":"..."}. The hash is
// over that of the entry before and this one as [Record.JSON] has it. It stands here in
// that form, but for characters that are not printable, which are escapes: a terminal may
// be what reads it.
func (r Record) Line() ([]byte, error) {
	text, err := r.JSON()
	return fmt.Appendf(nil, "{\"entry\":%s,\"hash\":\"%x\"}\n", plain.JSON(text), r.Hash), err
}

// Head returns the head that names the record.
func (r Record) Head() Head { return Head{r.Seq, r.Hash} }

// link returns the hash, by that of a chain's key, of an entry after the one with hash prev. prev has a fixed
// length, so no two pairs of hash and text read alike.
func link(mac hash.Hash, prev [32]byte, text []byte) (sum [32]byte) {
	mac.Reset()
	_, _ = mac.Write(prev[:]) // never fails
	_, _ = mac.Write(text)
	mac.Sum(sum[:0])
	return sum
}

// encode makes r tidy and returns its canonical JSON.
func (r *Record) encode() ([]byte, error) {
	if r.Kind == "" {
		return nil, errors.New("journal: entry without a kind")
	}
	fields := r.fields()
	text, err := encode(fields[:])
	if err != nil {
		return nil, fmt.Errorf("journal: entry %s: %w", clip(string(r.Kind)), err)
	}
	return text, nil
}

func encode(fields []field) ([]byte, error) {
	text := append(make([]byte, 0, 512), '{')
	for _, f := range fields {
		before := len(text)
		if before > 1 {
			text = append(text, ',')
		}
		text = append(append(append(text, '"'), f.name...), '"', ':')
		value := len(text)
		var err error
		if text, err = f.appendTo(text); err != nil {
			return nil, fmt.Errorf("its %s %w", f.name, err)
		}
		if len(text) == value {
			text = text[:before]
		}
	}
	if text = append(text, '}'); len(text) > MaxEntry {
		return nil, fmt.Errorf("%d bytes, over the limit of %d", len(text), MaxEntry)
	}
	return text, nil
}

// Until returns when the last of what e announces or reports ends to be valid at
// most, zero if it is about nothing that can be. longest is the longest time that
// anything is valid for, counted from when it was asked for or, if a person decides,
// from the last moment for that.
func Until(e jit.Entry, longest time.Duration) time.Time {
	switch e.Kind {
	case jit.EntryRequest:
		return e.Time.Add(longest)
	case jit.EntryDecision:
		switch {
		case e.Status == jit.StatusDenied || e.Status == jit.StatusExpired:
			return time.Time{}
		case e.ExpiresAt.After(e.Time): // a person may still decide until then
			return e.ExpiresAt.Add(longest)
		}
		return e.Time.Add(longest)
	case jit.EntryGrant:
		if e.ExpiresAt.IsZero() {
			return e.Time.Add(longest)
		}
		return e.ExpiresAt
	}
	return time.Time{}
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
