package modeltest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/dev/modelserver"
)

// A Request is one HTTP request as it arrived.
type Request struct {
	Method string
	Path   string // with the query, as sent
	Header http.Header
	Body   []byte
}

// An Upstream is a model server on a loopback socket, which can be told to fail. It
// speaks plain http. Make one with [Start]. It is safe for concurrent use.
type Upstream struct {
	srv    *httptest.Server
	server http.Handler

	mu       sync.Mutex
	faults   []Fault
	requests []Request
}

// Start serves llm under every model name until the test ends. Calls still running
// then are cut off.
func Start(t testing.TB, llm model.LLM) *Upstream {
	t.Helper()
	u, err := start(modelserver.Config{Fallback: llm})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.close)
	return u
}

func start(c modelserver.Config) (*Upstream, error) {
	server, err := modelserver.New(c)
	if err != nil {
		return nil, err
	}
	u := &Upstream{server: server}
	u.srv = httptest.NewServer(u)
	return u, nil
}

func (u *Upstream) close() {
	u.srv.CloseClientConnections()
	u.srv.Close()
}

// OpenAIURL is the base URL for clients of OpenAI. It ends in /v1.
func (u *Upstream) OpenAIURL() string { return u.srv.URL + "/v1" }

// AnthropicURL is the base URL for clients of Anthropic, which add /v1 themselves.
func (u *Upstream) AnthropicURL() string { return u.srv.URL }

// GeminiURL is the base URL for clients of Gemini. It ends in a slash.
func (u *Upstream) GeminiURL() string { return u.srv.URL + "/" }

// Next appends faults: the next requests meet one each, in order. A nil Fault lets
// its request pass. Requests after the last fault pass.
func (u *Upstream) Next(faults ...Fault) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.faults = append(u.faults, faults...)
}

// Requests returns what arrived so far, in order, faults included.
func (u *Upstream) Requests() []Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.requests)
}

// count returns how many requests arrived so far.
func (u *Upstream) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.requests)
}

// ServeHTTP implements [http.Handler].
func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, modelserver.MaxBody))
	if err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	fault := u.record(Request{r.Method, r.URL.RequestURI(), r.Header.Clone(), body})
	if fault == nil {
		u.server.ServeHTTP(w, r)
		return
	}
	fault(u.server).ServeHTTP(w, r)
}

func (u *Upstream) record(r Request) (fault Fault) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.requests = append(u.requests, r)
	if len(u.faults) > 0 {
		fault, u.faults = u.faults[0], u.faults[1:]
	}
	return fault
}
