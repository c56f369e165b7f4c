package modeltest

import (
	"context"
	_ "embed"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/adk/v2/model"
)

var errUpstream = errors.New("the upstream was told to fail")

// runs is how often a fault strikes where it must always be survived, or never.
const runs = 10

// sent holds the model to so many requests.
func (b *bench) sent(want int) {
	b.Helper()
	if n := b.up.count(); n != want {
		b.Errorf("%d requests, want %d", n, want)
	}
}

func statuses(c *trial) {
	for status, temporary := range map[int]bool{
		400: false, 401: false, 403: false, 404: false, 413: false, 500: true, 502: true, 503: true, 529: true,
	} {
		b := c.before(Text("never"))
		b.again(Status(status, "", nil))
		e := b.failure(b.try(simple()))
		if _, soon := e.Temporary(); e.Status != status || soon != temporary {
			c.Errorf("status %d came as %d, temporary: %v", status, e.Status, soon)
		}
		if n := b.up.count(); !temporary && n != 1 || n > 10 {
			c.Errorf("status %d: %d requests", status, n)
		}
	}
}

func retried(c *trial) {
	now := http.Header{"Retry-After": {"0"}}
	for name, fault := range map[string]Fault{
		"429": Status(429, "", now), "500": Status(500, "", nil), "503": Status(503, "", now),
		"a cut connection": Cut(0), "a cut within the first event": cutBytes(3),
		"an event that is no JSON": Answer(200, "Text/Event-Stream; charset=utf-8", "data: {\"cho\n\n"),
	} {
		for range runs {
			b := c.before(Text("At last."))
			b.up.Next(fault)
			r := b.try(simple())
			if r.err != nil || r.text != "At last." {
				c.Errorf("%s: %s, %v", name, r, r.err)
				break
			}
			c.wellFormed(r)
			b.sent(2)
			sent := b.up.Requests()
			if string(sent[0].Body) != string(sent[len(sent)-1].Body) || sent[0].Path != sent[len(sent)-1].Path {
				c.Errorf("%s: the second request is not the first", name)
			}
		}
	}
}

// retryAfterStays: a provider that asks for an hour gets its answer at once.
func retryAfterStays(c *trial) {
	b := c.before(Text("never"))
	b.again(Status(429, "", http.Header{"Retry-After": {"3600"}}))
	ctx, cancel := context.WithTimeout(c.Context(), c.patience)
	defer cancel()
	e := b.failure(call(ctx, b.llm, simple(), c.stream))
	if wait, temporary := e.Temporary(); e.Status != 429 || e.RetryAfter != time.Hour || wait != time.Hour || !temporary {
		c.Errorf("status %d, retry after %s, temporary after %s: %v", e.Status, e.RetryAfter, wait, temporary)
	}
	b.sent(1)
}

//go:embed testdata/bodies.txtar
var bodies []byte

// instead are faults that answer with the bodies of testdata/bodies.txtar: those with
// this status.
func instead(status int) map[string]Fault {
	out := make(map[string]Fault)
	insert := strings.NewReplacer("${mark}", mark, "${deep}", strings.Repeat("[", 100_000), "${bytes}", "\x00\xff\xfe", "${many}", strings.Repeat(": "+mark+"\n\n", 500))
	for _, file := range txtar.Parse(bodies).Files {
		kind, name, _ := strings.Cut(file.Name, ": ")
		if contentType, ok := strings.CutPrefix(kind, strconv.Itoa(status)+" "); ok {
			out[name] = Answer(status, contentType, insert.Replace(string(file.Data)))
		}
	}
	return out
}

// tooLong: the person must learn that the conversation is the problem, which the
// status alone does not say.
func tooLong(c *trial) {
	for name, fault := range instead(http.StatusBadRequest) {
		b := c.before(Text("never"))
		b.up.Next(fault)
		e := b.failure(b.try(simple()))
		if said := strings.ToLower(e.Problem + " " + e.Remedy); e.Status != 400 || !strings.Contains(said, "long") && !strings.Contains(said, "short") {
			c.Errorf("%s: %v", name, e)
		}
		b.sent(1)
	}
}

func garbage(c *trial) {
	for name, fault := range instead(http.StatusOK) {
		b := c.before(Text("never"))
		b.again(fault)
		if r := b.try(simple()); r.err == nil {
			c.Errorf("%s: taken for an answer: %s", name, show(r.final))
		} else {
			b.fails(r)
		}
	}
}

// redirects: the next host would get the key and the documents.
func redirects(c *trial) {
	elsewhere := c.before(Text("stolen")).up
	for _, status := range []int{301, 302, 303, 307, 308} {
		b := c.before(Text("never"))
		b.again(answers(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", elsewhere.srv.URL+r.URL.RequestURI())
			w.WriteHeader(status)
		}))
		b.fails(b.try(simple()))
	}
	if n := elsewhere.count(); n > 0 {
		c.Errorf("%d requests went to another origin", n)
	}
}

// ended holds a call to the end of its context, and to no second request.
func (b *bench) ended(r *reply, want error) {
	b.Helper()
	if !errors.Is(r.err, want) || r.finals > 0 || r.late {
		b.Errorf("error %v with %d final responses, want %v", r.err, r.finals, want)
	}
	if r.err != nil {
		b.noSecrets(r.err)
	}
	b.sent(1)
}

// cancelledUpon makes a call that meets a fault, and cancels it when the request has
// come.
func (c *trial) cancelledUpon(fault Fault) (b *bench, r *reply) {
	c.Helper()
	b = c.before(Text("never"))
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	b.up.Next(func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			cancel()
			fault(server).ServeHTTP(w, r)
		})
	})
	b.bounded(func() { r = call(ctx, b.llm, simple(), c.stream) })
	return b, r
}

func cancelledWaiting(c *trial) {
	b, r := c.cancelledUpon(stall())
	b.ended(r, context.Canceled)
}

func cancelledBetween(c *trial) {
	b, r := c.cancelledUpon(Status(429, "", http.Header{"Retry-After": {"1"}}))
	// Where the refusal was read first and is not waited for, it is the error.
	if !errors.Is(r.err, context.Canceled) {
		b.fails(r)
	}
	b.ended(r, r.err)
}

func cancelledWithin(c *trial) {
	b := c.before(Turn{Texts: []string{"Half "}, Stall: true})
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	b.bounded(func() {
		r := listen(b.llm.GenerateContent(ctx, simple(), true), func(*model.LLMResponse) { cancel() })
		b.ended(r, context.Canceled)
		if len(r.pieces) == 0 || len(b.script.Requests()) != 1 {
			c.Errorf("no piece came before the cancel")
		}
	})
}

func deadline(c *trial) {
	b := c.before(Text("never"))
	b.up.Next(stall())
	ctx, cancel := context.WithTimeout(c.Context(), 50*time.Millisecond)
	defer cancel()
	b.bounded(func() {
		r := call(ctx, b.llm, simple(), c.stream)
		if b.up.count() > 0 { // else the machine was busy: the deadline passed before the request
			b.ended(r, context.DeadlineExceeded)
		}
	})
}
