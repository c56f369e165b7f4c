package jit

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/rar"
)

// A Call is one tool call, or whatever else is the unit of work that a ceiling is
// fixed for.
type Call struct {
	// ID names the call within its run, such as an ADK function call id. A call
	// that is made again has the ID that it had. "" makes each call a new one.
	ID string
	// Tool names the tool, for people and for what is remembered per endpoint.
	Tool string
	// Ceiling is the most that may ever be asked for on behalf of this call. Each
	// element stands alone. An empty ceiling means that nothing may be asked for.
	// It must not be changed afterwards.
	Ceiling []rar.Detail
	// Justification is shown to the person who decides. The model may have
	// written it: it must be read as a claim.
	Justification string
	// Args is what the tool was called with, for the journal and for the person who
	// decides. Anything that encodes as JSON. What a person decides holds for calls with
	// the same Tool and Args that wait for it; nil says of no two calls that they are the
	// same, unless they have one ID.
	Args any
	// Repeats says that an effect may be meant twice. Without it a request of this
	// task that was answered as done (same tool, method, URL and body) is not sent
	// again, whichever call makes it: it is answered as it was the first time.
	Repeats bool
	// IdempotencyKey names the intended effect: the same from the first attempt
	// through refusal, grant and retry. "" derives one from the task and ID.
	IdempotencyKey string
}

type scope struct {
	task *Task
	call Call
	n    int64        // tells calls without an ID apart
	seq  atomic.Int64 // counts bodies that cannot be hashed

	// ceiling is the call's, checked once it is needed. In an element that is not
	// valid lies nothing.
	ceiling func() []rar.Checked

	saying sync.Once
	digest string // see said

	did    atomic.Bool // see TookEffect
	mu     sync.Mutex
	doubts []*InDoubtError
}

type (
	taskKey  struct{}
	scopeKey struct{}
)

// NewContext returns a context that names the task under which calls are made.
// An application sets it once around its run loop.
func NewContext(ctx context.Context, t *Task) context.Context {
	return context.WithValue(ctx, taskKey{}, t)
}

// FromContext returns the task that NewContext or [Task.Call] put in, or nil.
func FromContext(ctx context.Context) *Task {
	if s := scopeOf(ctx); s != nil {
		return s.task
	}
	t, _ := ctx.Value(taskKey{}).(*Task)
	return t
}

// Call returns a context under which [Transport] and [Acquire] work for c, and
// for nothing else. The innermost Call counts: a call within a call has its own
// ceiling and does not inherit.
func (t *Task) Call(ctx context.Context, c Call) context.Context {
	s := &scope{task: t, call: c}
	s.ceiling = sync.OnceValue(func() []rar.Checked { all, _ := rar.CheckAll(c.Ceiling); return all })
	if c.ID == "" {
		s.n = t.calls.Add(1)
	}
	if t.engine.cfg.Journal != nil {
		e := s.entry(EntryCall)
		e.Args, e.Ceiling, e.Justification = t.shownArgs(c.Args, maxArgs, maxArgText), c.Ceiling, c.Justification
		t.engine.note(e)
	}
	return context.WithValue(ctx, scopeKey{}, s)
}

// A callName tells calls apart, of which those without an ID are made once.
type callName struct {
	id string
	n  int64
}

func (s *scope) name() callName { return callName{s.call.ID, s.n} }

// said names what a person is told of the call: the same for calls that one decision
// may serve. One without arguments, and one whose effect is meant twice, is like itself.
func (s *scope) said() string {
	s.saying.Do(func() { s.digest = s.digestOfCall() })
	return s.digest
}

func (s *scope) digestOfCall() string {
	args, err := json.Marshal(s.call.Args)
	parts := []string{s.call.Tool, string(args)}
	if s.call.Args == nil || err != nil || s.call.Repeats {
		parts = append(parts, s.itself()...)
	}
	return hex.EncodeToString(digestOf(parts...))
}

// alone names the call for what serves no other, though a person be told the same of it.
func (s *scope) alone() string {
	return hex.EncodeToString(digestOf(append(s.itself(), challenge.TransactionCode)...))
}

// itself tells the call apart from every other.
func (s *scope) itself() []string {
	if s.call.ID != "" {
		return []string{s.task.run, s.call.ID}
	} // it is made once, in this process
	return []string{s.task.run, "", strconv.Itoa(s.task.epoch), strconv.FormatInt(s.n, 10)}
}

// maxArgs bounds what the journal keeps of a call's arguments, in bytes.
const maxArgs = 4 << 10

// maxArgText bounds one text among them.
const maxArgText = 256

// The same for the person who decides.
const (
	maxPurpose     = 8 << 10
	maxPurposeText = 2 << 10
)

// purpose is what authority for the API at origin is asked for.
func (s *scope) purpose(origin Origin) Purpose {
	return Purpose{
		Tool: s.call.Tool, CallID: s.call.ID, Args: s.task.shownArgs(s.call.Args, maxPurpose, maxPurposeText), Origin: origin.String(),
		User: SessionUser(s.task.spec.Session),
	}
}

// sizeOf names a text that is not shown whole.
func sizeOf(text string) string {
	return fmt.Sprintf("%d bytes, SHA-256 %x", len(text), sha256.Sum256([]byte(text)))
}

// cutTexts shortens texts over most bytes among arguments, such as a report's.
func cutTexts(args map[string]any, most int) map[string]any {
	out := make(map[string]any, len(args))
	for name, value := range args {
		if s, ok := value.(string); ok && len(s) > most {
			value = strings.ToValidUTF8(s[:most], "") + "… (" + sizeOf(s) + ")"
		}
		out[name] = value
	}
	return out
}

// shownArgs encodes arguments for others. What is too long is replaced by its size:
// half a JSON text is none.
func (t *Task) shownArgs(args any, most, mostText int) json.RawMessage {
	if m, ok := args.(map[string]any); ok {
		args = cutTexts(m, mostText)
	}
	if args == nil {
		return nil
	}
	text, err := json.Marshal(args)
	if err != nil {
		return nil
	}
	shown := t.Scrub(string(text))
	if len(shown) > most || !json.Valid([]byte(shown)) {
		return json.RawMessage(`"` + sizeOf(string(text)) + `"`)
	}
	return json.RawMessage(shown)
}

func scopeOf(ctx context.Context) *scope {
	s, _ := ctx.Value(scopeKey{}).(*scope)
	return s
}

func (s *scope) about() About {
	return About{Time: time.Now(), TaskID: s.task.knownID(), CallID: s.call.ID, Tool: s.call.Tool}
}

// entry is a journal entry about the call.
func (s *scope) entry(kind EntryKind) Entry {
	e := s.task.entry(kind)
	e.CallID, e.Tool = s.call.ID, s.call.Tool
	return e
}

// effectOf names what a request that is not read-only does. Its key is the same for
// the same method, URL and body under the same call, so that a repeat is known as
// one, and different for a second effect of the same call. Its digest leaves out
// the call.
func (s *scope) effectOf(req *http.Request) effect {
	base := s.call.IdempotencyKey
	if base == "" {
		base = s.task.run + "\x00" + s.call.ID + "\x00" + strconv.FormatInt(s.n, 10)
	}
	body := sha256.New()
	known := hashBody(body, req)
	if !known {
		_, _ = io.WriteString(body, "unread body "+strconv.FormatInt(s.seq.Add(1), 10))
	}
	sum := string(body.Sum(nil))
	e := effect{key: "jit-" + base64.RawURLEncoding.EncodeToString(digestOf(base, req.Method, req.URL.String(), sum)[:18])}
	if known {
		e.digest = hex.EncodeToString(digestOf(s.call.Tool, req.Method, req.URL.String(), sum)[:16])
	}
	return e
}

// digestOf hashes parts, each with an end mark.
func digestOf(parts ...string) []byte {
	h := sha256.New()
	for _, part := range parts {
		_, _ = io.WriteString(h, part)
		_, _ = h.Write([]byte{0})
	}
	return h.Sum(nil)
}

// hashBody writes the request's body to h. It reports false when the body cannot
// be read without using it up.
func hashBody(h io.Writer, req *http.Request) bool {
	if req.Body == nil || req.Body == http.NoBody {
		return true
	}
	if req.GetBody == nil {
		return false
	}
	body, err := req.GetBody()
	if err != nil {
		return false
	}
	defer func() { _ = body.Close() }()
	_, err = io.Copy(h, body)
	return err == nil
}
