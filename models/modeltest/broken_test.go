package modeltest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/openai"
	"github.com/jitagent/jitagent/models/provider"
	"github.com/jitagent/jitagent/secret"
)

// A recorder is a tb that fails for itself.
type recorder struct {
	ctx context.Context

	mu       sync.Mutex
	failures []string
	cleanups []func()
}

func (*recorder) Helper()                    {}
func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// failures runs one subtest and returns what it complains about.
func failures(t *testing.T, s subtest, open func(up *Upstream) model.LLM) []string {
	r := &recorder{ctx: t.Context()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.do(trial{tb: r, wire: true, patience: 300 * time.Millisecond, open: open})
	}()
	<-done
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
	return r.failures
}

// openWith opens a model that keeps the contract, over a transport that may not.
func openWith(t *testing.T, up *Upstream, transport http.RoundTripper, attempts int) model.LLM {
	base, err := provider.BaseURL("openai", up.OpenAIURL())
	if err != nil {
		t.Fatal(err)
	}
	llm, err := openai.New(provider.Config{
		Model: "model-1", Key: secret.New(testKey), KeyVariable: "OPENAI_API_KEY", BaseURL: base, HTTPClient: &http.Client{Transport: transport},
		Retry: provider.RetryPolicy{Initial: time.Millisecond, Max: time.Millisecond, Attempts: attempts},
	})
	if err != nil {
		t.Fatal(err)
	}
	return llm
}

const testKey = "canary-key-0123456789"

func TestContractHolds(t *testing.T) {
	RunSuite(t, func(t *testing.T, up *Upstream) model.LLM { return openWith(t, up, nil, 0) })
}

type (
	ask   = *model.LLMRequest
	heard = *model.LLMResponse
)

// broken is a model with something wrong.
type broken struct {
	model.LLM
	generate func(ctx context.Context, req ask, stream bool) iter.Seq2[heard, error]
}

func (b broken) GenerateContent(ctx context.Context, req ask, stream bool) iter.Seq2[heard, error] {
	return b.generate(ctx, req, stream)
}

// breaks says how a good model is broken.
type breaks func(good model.LLM) model.LLM

// calls breaks a model at its one method.
func calls(generate func(ctx context.Context, good model.LLM, req ask, stream bool) iter.Seq2[heard, error]) breaks {
	return func(good model.LLM) model.LLM {
		return broken{good, func(ctx context.Context, req ask, stream bool) iter.Seq2[heard, error] {
			return generate(ctx, good, req, stream)
		}}
	}
}

// asks changes a copy of each request.
func asks(change func(req ask)) breaks {
	return calls(func(ctx context.Context, good model.LLM, req ask, stream bool) iter.Seq2[heard, error] {
		copied, err := clone(req)
		if err != nil {
			return func(yield func(heard, error) bool) { yield(nil, err) }
		}
		change(copied)
		return good.GenerateContent(ctx, copied, stream)
	})
}

// hears changes each response; nil drops it.
func hears(change func(resp heard) heard) breaks {
	return calls(func(ctx context.Context, good model.LLM, req ask, stream bool) iter.Seq2[heard, error] {
		return func(yield func(heard, error) bool) {
			for resp, err := range good.GenerateContent(ctx, req, stream) {
				if err == nil {
					if resp = change(resp); resp == nil {
						continue
					}
				}
				if !yield(resp, err) {
					return
				}
			}
		}
	})
}

// last changes responses that are not partial.
func last(change func(resp heard)) breaks {
	return hears(func(resp heard) heard {
		if !resp.Partial {
			change(resp)
		}
		return resp
	})
}

// fails changes each error.
func fails(change func(err error) error) breaks {
	return calls(func(ctx context.Context, good model.LLM, req ask, stream bool) iter.Seq2[heard, error] {
		return func(yield func(heard, error) bool) {
			for resp, err := range good.GenerateContent(ctx, req, stream) {
				if err != nil {
					err = change(err)
				}
				if !yield(resp, err) {
					return
				}
			}
		}
	})
}

// swallows takes what came before an error for the answer.
func swallows(good model.LLM) model.LLM {
	return calls(func(ctx context.Context, good model.LLM, req ask, stream bool) iter.Seq2[heard, error] {
		return func(yield func(heard, error) bool) {
			text := ""
			for resp, err := range good.GenerateContent(ctx, req, stream) {
				if err != nil {
					resp, err = &model.LLMResponse{Content: genai.NewContentFromText(text, genai.RoleModel), FinishReason: genai.FinishReasonStop, TurnComplete: true}, nil
				} else if resp.Partial {
					text += resp.Content.Parts[0].Text
				}
				if !yield(resp, err) {
					return
				}
			}
		}
	})(good)
}

// transport changes what comes over the network.
type transport func(req *http.Request) (*http.Response, error)

func (f transport) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// rewrites changes bodies.
func rewrites(change func(body io.Reader) io.Reader) transport {
	return func(req *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		type body struct {
			io.Reader
			io.Closer
		}
		resp.Body = body{change(resp.Body), resp.Body}
		return resp, nil
	}
}

// replaces changes a text in bodies.
func replaces(from, to string) transport {
	return rewrites(func(r io.Reader) io.Reader {
		text, err := io.ReadAll(r)
		rest := io.Reader(bytes.NewReader(bytes.ReplaceAll(text, []byte(from), []byte(to))))
		if err != nil {
			rest = io.MultiReader(rest, iotest.ErrReader(err))
		}
		return rest
	})
}

// validOnly drops bytes that are no character by themselves, as a program does that
// turns each piece of a body into text.
type validOnly struct{ io.Reader }

func (v validOnly) Read(p []byte) (int, error) {
	n, err := v.Reader.Read(p)
	return copy(p, strings.ToValidUTF8(string(p[:n]), "")), err
}

// follows follows redirects below the client, key and all.
func follows(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	for range 3 {
		next := req.Clone(req.Context())
		next.Body = io.NopCloser(bytes.NewReader(body))
		resp, err := http.DefaultTransport.RoundTrip(next)
		if err != nil || resp.StatusCode/100 != 3 {
			return resp, err
		}
		_ = resp.Body.Close()
		if req.URL, err = resp.Location(); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("too many redirects")
}

func withError(err error, change func(e *provider.Error)) error {
	if e, ok := errors.AsType[*provider.Error](err); ok {
		copied := *e
		change(&copied)
		return &copied
	}
	return err
}

// A flaw is a mistake that adapters make, and the subtests that must see it.
type flaw struct {
	name      string
	breaks    breaks
	transport transport
	attempts  int
	seen      []string
}

func TestEveryFlawIsSeen(t *testing.T) {
	byName := make(map[string]subtest)
	for _, s := range contract {
		byName[s.name] = s
	}
	for _, f := range slices.Concat(requestFlaws(), answerFlaws(), failureFlaws()) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for _, name := range f.seen {
				s, ok := byName[name]
				if !ok {
					t.Fatalf("there is no subtest %q", name)
				}
				got := failures(t, s, func(up *Upstream) model.LLM {
					var rt http.RoundTripper
					if f.transport != nil {
						rt = f.transport
					}
					llm := openWith(t, up, rt, cmp.Or(f.attempts, 2))
					if f.breaks != nil {
						llm = f.breaks(llm)
					}
					return llm
				})
				if len(got) == 0 {
					t.Errorf("%q does not see it", name)
				}
			}
		})
	}
}

// Each subtest sees some flaw: none passes whatever a model does.
func TestEverySubtestCanFail(t *testing.T) {
	seen := make(map[string]bool)
	for _, f := range slices.Concat(requestFlaws(), answerFlaws(), failureFlaws()) {
		for _, name := range f.seen {
			seen[name] = true
		}
	}
	for _, s := range contract {
		if !seen[s.name] {
			t.Errorf("no flaw is known that %q sees", s.name)
		}
	}
}

// RunInProcess's comment says which subtests a model without a wire is held to.
func TestTheCommentListsSubtests(t *testing.T) {
	source, err := os.ReadFile("suite.go")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, s := range contract {
		if !s.wire {
			want.WriteString("//\t" + s.name + "\n")
		}
	}
	if comment, _, _ := strings.Cut(string(source), "func RunInProcess"); !strings.HasSuffix(comment, "//\n"+want.String()) {
		t.Errorf("the comment of RunInProcess does not list\n%s", &want)
	}
}

// oneByOne reads a body byte by byte, and drops what is no character by itself.
func oneByOne(r io.Reader) io.Reader { return validOnly{iotest.OneByteReader(r)} }
