// Package approval shows a request for authority to the person who decides it: one
// text for terminals, pages and commands, what taking a part away leaves, a digest that
// binds the decision to what was shown, and a page.
//
// Everything in a request but its id came from others. It is shown whole, in printable
// characters, or it says what is missing.
package approval

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/rar"
)

// ErrDecided reports that a request is no longer open: somebody else was first, or its
// time is over.
var ErrDecided = errors.New("the request can no longer be decided")

// ErrOtherRequest reports that a request is not the one that was shown.
var ErrOtherRequest = errors.New("the request is not the one that was shown")

// A Request is what a person decides. Members that the server did not say are zero.
type Request struct {
	ID       string       `json:"request_id"`
	TaskID   string       `json:"task_id,omitempty"`
	TaskName string       `json:"task_name,omitempty"`
	Details  []rar.Detail `json:"authorization_details"`

	// The call that the authority is for, as the agent's program says; not the model.
	Tool   string          `json:"tool,omitempty"`
	CallID string          `json:"call_id,omitempty"`
	Args   json.RawMessage `json:"arguments,omitempty"` // long texts are cut, and say so
	Origin string          `json:"origin,omitempty"`    // of the API that demands it
	User   string          `json:"user,omitempty"`      // of the program, whose session it serves

	Agent         string        `json:"agent,omitempty"`
	OnBehalfOf    string        `json:"on_behalf_of,omitempty"`
	Risk          string        `json:"risk_level,omitempty"`
	Why           string        `json:"risk_reason,omitempty"`
	Justification string        `json:"justification,omitempty"` // in the agent's words: a claim
	TTL           time.Duration `json:"requested_ttl_ns,omitempty"`
	ExpiresAt     time.Time     `json:"expires_at,omitzero"`
	Before        []Earlier     `json:"before,omitempty"`
	Also          []Request     `json:"also,omitempty"` // that ask the same for other tasks, see [Together]

	// OnlyWhole says that the server cannot grant less than was asked, but for a shorter time.
	OnlyWhole bool `json:"only_whole,omitempty"`

	// Problem says why Details cannot be read. Such a request can only be denied.
	Problem string `json:"problem,omitempty"`
}

// An Earlier is what was decided about the same agent's task before.
type Earlier struct {
	Detail rar.Detail `json:"authorization_details"`
	Status string     `json:"status"`
}

// MaxMessage bounds, in bytes, what a person says with a decision on the page and over A2A.
const MaxMessage = 2000

// A Decision is what a person decides, about what was shown.
type Decision struct {
	Approve bool
	Digest  string        // of the request as it was shown; "" where that is not known
	Less    []rar.Detail  // with Approve: what is granted; nil is all that was asked
	TTL     time.Duration // with Approve: for how long; 0 is as it was asked
	Reason  string        // for the organization
	Message string        // for the agent
}

// A Decider is where requests are decided. Its methods may be called concurrently.
type Decider interface {
	// Pending returns the requests that wait, the oldest first, and whether there are
	// more than it can list.
	Pending(ctx context.Context) (list []Request, more bool, err error)

	// Decide decides a request. The first decision counts: a later one fails with an
	// error that wraps [ErrDecided], and one about something else than what waits with
	// [ErrOtherRequest].
	Decide(ctx context.Context, id string, d Decision) error
}

// Digest binds a decision to what was shown: details, task, call and end.
func (r Request) Digest() string {
	bound, _ := json.Marshal(struct { // texts and lists of texts
		Details                            []string
		Task, Tool, Call, Args, Origin, ID string
		ExpiresAt                          int64
	}{canonical(r.Details), r.TaskID, r.Tool, r.CallID, sameJSON(r.Args), r.Origin, r.ID, r.ExpiresAt.Unix()})
	sum := sha256.Sum256(append([]byte("jitagent approval 1\n"), bound...))
	return hex.EncodeToString(sum[:])
}

func canonical(details []rar.Detail) []string {
	texts := make([]string, 0, len(details))
	for _, d := range details {
		text, err := d.Canonical()
		if err != nil {
			text = []byte("not valid: " + d.String())
		}
		texts = append(texts, string(text))
	}
	return texts
}

// sameJSON returns a JSON text as it reads whatever server it went through: members in
// order, no spaces, numbers as they were written.
func sameJSON(text json.RawMessage) string {
	var v any
	if strictjson.AsWritten(text, &v) != nil {
		return string(text)
	}
	same, _ := json.Marshal(v) // it was JSON
	return string(same)
}

// A Line is a part of what is shown.
type Line struct {
	Label, Text string
	Claim       bool // the agent says so, and nobody has checked it
}

// Bounds of what is shown of one text, in characters.
const (
	maxShown = 4000
	maxLabel = 300
	maxID    = 60
	maxNamed = 8 // tasks, where not all of a request is shown

	maxColumn = 14
)

// Lines returns what a person must see, in order.
func (r Request) Lines() []Line {
	var lines []Line
	add := func(label, format string, args ...any) {
		lines = append(lines, Line{Label: label, Text: plain.Escape(fmt.Sprintf(format, args...), maxShown)})
	}
	maybe := func(label, text string) {
		if text != "" {
			add(label, "%s", text)
		}
	}
	add("request", "%s", r.ID)
	for _, d := range r.Details {
		add("wants", "%s", d.Type)
		for _, name := range members(d) {
			add("  "+name.Label, "%s", name.Text)
		}
	}
	maybe("unreadable", r.Problem)
	maybe("tool", r.Tool)
	maybe("arguments", sameOrNone(r.Args))
	maybe("call", r.CallID)
	maybe("API", r.Origin)
	if r.Tool == "" {
		add("tool", "the server does not say for which call")
	}
	for _, one := range r.All() {
		task := cmp.Or(one.TaskName, "without a name") + " (" + cmp.Or(one.TaskID, "not said") + ")"
		if len(r.Also) > 0 {
			task += ", request " + one.ID
		}
		add("task", "%s", task)
	}
	maybe("agent", r.Agent)
	maybe("for", r.whom())
	add("risk", "%s%s", cmp.Or(r.Risk, "not said"), plain.Between(": ", r.Why, ""))
	if r.TTL > 0 {
		add("lasts", "%s from when it is used, at most", r.TTL)
	}
	if !r.ExpiresAt.IsZero() {
		add("decide by", "%s", r.ExpiresAt.UTC().Format(time.RFC3339))
	}
	for _, e := range r.Before {
		add("before", "%s: %s", e.Status, e.Detail)
	}
	said := map[string]bool{"": true}
	for _, one := range r.All() {
		if !said[one.Justification] {
			said[one.Justification] = true
			lines = append(lines, Line{"agent says", "“" + plain.Escape(one.Justification, maxShown) + "” (its own words: a claim)", true})
		}
	}
	return lines
}

// whom is for whom it is asked: as the authorization server knows them, as the program
// does, or as both do.
func (r Request) whom() string {
	if r.OnBehalfOf == "" || strings.EqualFold(r.OnBehalfOf, r.User) {
		return r.User
	}
	return r.OnBehalfOf + plain.Between(" (", r.User, ")")
}

func sameOrNone(text json.RawMessage) string {
	if len(text) == 0 {
		return ""
	}
	return sameJSON(text)
}

// members returns what a detail names besides its type.
func members(d rar.Detail) (lines []Line) {
	add := func(label, text string) {
		if text != "" {
			lines = append(lines, Line{Label: label, Text: text})
		}
	}
	each := func(label string, list []string) {
		for _, s := range list { // a line each: no text passes for two
			add(label, s)
		}
	}
	if d.Actions == nil {
		add("action", "any: none is named")
	}
	each("action", d.Actions)
	add("object", cmp.Or(d.Identifier, "any: none is named"))
	each("location", d.Locations)
	each("datatype", d.DataTypes)
	each("privilege", d.Privileges)
	for _, name := range slices.Sorted(maps.Keys(d.Extra)) {
		add(plain.Escape(name, maxLabel), string(d.Extra[name]))
	}
	return lines
}

// Text is the one text of a request, for a terminal.
func (r Request) Text() string {
	lines := r.Lines()
	width := 0
	for _, l := range lines {
		width = max(width, min(len(l.Label), maxColumn))
	}
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%-*s  %s\n", width, l.Label, l.Text)
	}
	return b.String()
}

// Wants returns what is asked, a line for each detail, for whom, and of several requests for
// which tasks, a line for each of the first.
func (r Request) Wants() (lines []string) {
	for _, d := range r.Details {
		lines = append(lines, plain.Escape(d.String(), 600))
	}
	if r.Problem != "" || len(lines) == 0 {
		lines = []string{"what cannot be read"}
	}
	whom := plain.Between("for ", r.whom(), "")
	if len(r.Also) == 0 && whom != "" {
		whom += plain.Between(": ", r.TaskName, "")
	}
	if whom != "" {
		lines = append(lines, plain.Escape(whom, maxLabel))
	}
	if len(r.Also) == 0 {
		return lines
	}
	for i, one := range r.All() {
		if i == maxNamed {
			return append(lines, "that for "+plain.Count(len(r.Also)+1-i, "more task"))
		}
		lines = append(lines, plain.Escape(fmt.Sprintf("that for %s: %s", one.ID, cmp.Or(one.TaskName, one.TaskID)), maxLabel))
	}
	return lines
}

// Less returns what is left of what was asked when take is taken away: each as
// member=value, such as actions=delete, or with the word that is shown, as in
// action=delete. Nothing can be added, and something must be left
// of each list that is named.
func (r Request) Less(take []string) ([]rar.Detail, error) {
	if r.Problem != "" || len(r.Details) == 0 {
		return nil, errors.New("what is asked cannot be read")
	}
	switch {
	case len(take) == 0:
		return nil, nil
	case r.OnlyWhole:
		return nil, errors.New("this authorization server grants a request whole or not at all, but for a shorter time")
	}
	less := make([]rar.Detail, len(r.Details))
	for i, d := range r.Details {
		less[i] = d.Clone()
	}
	for _, t := range take {
		name, value, ok := strings.Cut(t, "=")
		if !ok {
			return nil, fmt.Errorf("%s: write member=value, such as actions=delete", plain.Line(t, 80))
		}
		found := false
		for i := range less {
			list := map[string]*[]string{
				"action": &less[i].Actions, "location": &less[i].Locations,
				"datatype": &less[i].DataTypes, "privilege": &less[i].Privileges,
			}[strings.TrimSuffix(name, "s")]
			if name == "object" && value == less[i].Identifier {
				list = &[]string{value}
			}
			if list == nil || !slices.Contains(*list, value) {
				continue
			}
			found = true
			*list = slices.DeleteFunc(*list, func(s string) bool { return s == value })
			if len(*list) == 0 {
				return nil, fmt.Errorf("%s: nothing would be left, which is a denial", plain.Line(t, 80))
			}
		}
		if !found {
			return nil, fmt.Errorf("%s: the request does not name that", plain.Line(t, 80))
		}
	}
	return less, r.Within(less)
}

// Within reports what of less was not asked.
func (r Request) Within(less []rar.Detail) error {
	if len(less) == 0 {
		return errors.New("nothing would be granted, which is a denial")
	}
	for _, d := range less {
		if _, err := rar.WithinAny(d, r.Details); err != nil {
			return fmt.Errorf("more than was asked: %w", err)
		}
	}
	return nil
}
