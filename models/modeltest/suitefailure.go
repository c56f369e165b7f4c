package modeltest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"
)

var errUpstream = errors.New("the upstream was told to fail")

// failureTests are about providers that do not answer.
func failureTests() []subtest {
	return []subtest{
		{name: "errors by status", run: statuses},
		{name: "retried before the first piece", run: retried},
		{name: "a wait that is too long is not waited", run: retryAfterStays},
		{name: "context too long", run: tooLong},
		{name: "garbage", run: garbage},
		{name: "redirects are not followed", run: redirects},
	}
}

func statuses(c *trial) {
	for _, tt := range []struct {
		status    int
		reason    string
		temporary bool
	}{
		{400, "", false}, {401, "", false}, {403, "", false}, {404, "", false}, {413, "", false},
		{500, "", true}, {502, "", true}, {503, "", true}, {529, "", true},
	} {
		for mode, stream := range modes {
			llm, _, up := c.always(Text("never"))
			for range 20 {
				up.Next(Status(tt.status, tt.reason, nil))
			}
			e := c.failure(call(c.Context(), llm, simple(), stream), up)
			if _, temporary := e.Temporary(); e.Status != tt.status || temporary != tt.temporary {
				c.Errorf("%s: status %d came as %d, temporary: %v", mode, tt.status, e.Status, temporary)
			}
			if n := len(up.Requests()); !tt.temporary && n != 1 || n > 10 {
				c.Errorf("%s: status %d: %d requests", mode, tt.status, n)
			}
		}
	}
}

func retried(c *trial) {
	now := http.Header{"Retry-After": {"0"}}
	for name, fault := range map[string]Fault{"429": Status(429, "", now), "500": Status(500, "", nil), "503": Status(503, "", now)} {
		for mode, stream := range modes {
			llm, _, up := c.always(Text("At last."))
			up.Next(fault)
			if r := c.ask(llm, simple(), stream); r.text != "At last." || len(up.Requests()) != 2 {
				c.Errorf("%s, %s: %q after %d requests, want 2", name, mode, r.text, len(up.Requests()))
			}
			sent := up.Requests()
			if string(sent[0].Body) != string(sent[len(sent)-1].Body) || sent[0].Path != sent[len(sent)-1].Path {
				c.Errorf("%s, %s: the second request is not the first", name, mode)
			}
		}
	}
}

// retryAfterStays: a provider that asks for an hour gets its answer at once.
func retryAfterStays(c *trial) {
	for mode, stream := range modes {
		llm, _, up := c.always(Text("never"))
		for range 20 {
			up.Next(Status(429, "", http.Header{"Retry-After": {"3600"}}))
		}
		ctx, cancel := context.WithTimeout(c.Context(), c.patience)
		e := c.failure(call(ctx, llm, simple(), stream), up)
		cancel()
		if wait, temporary := e.Temporary(); e.Status != 429 || e.RetryAfter != time.Hour || wait != time.Hour || !temporary {
			c.Errorf("%s: status %d, retry after %s, temporary after %s: %v", mode, e.Status, e.RetryAfter, wait, temporary)
		}
		if n := len(up.Requests()); n != 1 {
			c.Errorf("%s: %d requests within the hour", mode, n)
		}
	}
}

// tooLong: the person must learn that the conversation is the problem, which the
// status alone does not say.
func tooLong(c *trial) {
	const openAI = `{"error":{"message":"This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens. ` + mark + `","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`
	const google = `{"error":{"code":400,"message":"The input token count (1048577) exceeds the maximum number of tokens allowed (1048576). ` + mark + `","status":"INVALID_ARGUMENT"}}`
	byWire := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body := openAI
			if strings.Contains(r.URL.Path, "enerateContent") {
				body = google
			}
			Answer(http.StatusBadRequest, "application/json", body)(nil).ServeHTTP(w, r)
		})
	}
	for mode, stream := range modes {
		llm, _, up := c.always(Text("never"))
		up.Next(byWire)
		e := c.failure(call(c.Context(), llm, simple(), stream), up)
		if said := strings.ToLower(e.Problem + " " + e.Remedy); e.Status != 400 || !strings.Contains(said, "long") && !strings.Contains(said, "short") {
			c.Errorf("%s: %v", mode, e)
		}
		if n := len(up.Requests()); n != 1 {
			c.Errorf("%s: %d requests", mode, n)
		}
	}
}

func garbage(c *trial) {
	deep := strings.Repeat("[", 100_000)
	for name, g := range map[string]struct{ contentType, body string }{
		"nothing":               {"application/json", ""},
		"no events":             {"text/event-stream", ""},
		"a page":                {"text/html", "<html>" + mark},
		"text":                  {"application/json", mark},
		"null":                  {"application/json", "null"},
		"an empty object":       {"application/json", "{}"},
		"an array":              {"application/json", "[]"},
		"other types":           {"application/json", `{"choices":"` + mark + `","candidates":7}`},
		"no choices":            {"application/json", `{"choices":[],"candidates":[]}`},
		"null choices":          {"application/json", `{"choices":[null],"candidates":[null]}`},
		"nesting":               {"application/json", deep},
		"bytes":                 {"application/json", "\x00\xff\xfe" + mark},
		"events of text":        {"text/event-stream", "data: " + mark + "\n\n"},
		"events of null":        {"text/event-stream", "data: null\n\n"},
		"events of nothing":     {"text/event-stream", "data: {}\n\ndata: {}\n\n"},
		"events of other types": {"text/event-stream", `data: {"choices":[{"delta":"` + mark + `"}],"candidates":[{"content":7}]}` + "\n\n"},
		"events of nesting":     {"text/event-stream", "data: " + deep + "\n\n"},
		"comments":              {"text/event-stream", strings.Repeat(": "+mark+"\n\n", 500)},
		"no prefix":             {"text/event-stream", mark + "\n\n" + mark},
		"the end alone":         {"text/event-stream", "data: [DONE]\n\n"},
	} {
		for mode, stream := range modes {
			llm, _, up := c.always(Text("never"))
			for range 20 {
				up.Next(Answer(http.StatusOK, g.contentType, g.body))
			}
			r := call(c.Context(), llm, simple(), stream)
			if r.err == nil {
				c.Errorf("%s, %s: taken for an answer: %s", name, mode, show(r.final))
				continue
			}
			c.fails(r, up)
		}
	}
}

// redirects: the next host would get the key and the documents.
func redirects(c *trial) {
	elsewhere := c.upstream(configOf(Text("stolen")))
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, stream := range modes {
			llm, _, up := c.always(Text("never"))
			for range 20 {
				up.Next(func(http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						w.Header().Set("Location", elsewhere.srv.URL+r.URL.RequestURI())
						w.WriteHeader(status)
					})
				})
			}
			c.fails(call(c.Context(), llm, simple(), stream), up)
		}
	}
	if n := len(elsewhere.Requests()); n > 0 {
		c.Errorf("%d requests went to another origin", n)
	}
}

// cancelTests are about contexts that end.
func cancelTests() []subtest {
	return []subtest{
		{name: "cancelled while the provider thinks", run: cancelledWaiting},
		{name: "cancelled within a stream", run: cancelledWithin},
		{name: "cancelled between retries", run: cancelledBetween},
		{name: "a deadline passes", run: deadline},
	}
}

// arrived is a fault that says when its request has come.
func arrived(then Fault) (Fault, <-chan struct{}) {
	here := make(chan struct{})
	var once sync.Once
	return func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			once.Do(func() { close(here) })
			then(server).ServeHTTP(w, r)
		})
	}, here
}

func (c *trial) cancelled(r *reply, want error, up *Upstream, where string) {
	c.Helper()
	if !errors.Is(r.err, want) || r.finals > 0 || r.late {
		c.Errorf("%s: error %v with %d final responses, want %v", where, r.err, r.finals, want)
	}
	if r.err != nil {
		c.noSecrets(r.err, up)
	}
	if n := len(up.Requests()); n != 1 {
		c.Errorf("%s: %d requests, want 1", where, n)
	}
}

func cancelledWaiting(c *trial) {
	for mode, stream := range modes {
		llm, _, up := c.always(Text("never"))
		fault, here := arrived(Stall())
		up.Next(fault)
		ctx, cancel := context.WithCancel(c.Context())
		go func() {
			<-here
			cancel()
		}()
		c.bounded(up, func() { c.cancelled(call(ctx, llm, simple(), stream), context.Canceled, up, mode) })
	}
}

func cancelledWithin(c *trial) {
	llm, script, up := c.always(Turn{Texts: []string{"Half "}, Stall: true})
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	c.bounded(up, func() {
		r := &reply{}
		for resp, err := range llm.GenerateContent(ctx, simple(), true) {
			switch {
			case err != nil:
				r.err = err
			case resp.Partial:
				r.pieces = append(r.pieces, resp)
				cancel()
			default:
				r.finals++
			}
		}
		c.cancelled(r, context.Canceled, up, "streamed")
		if len(r.pieces) == 0 || len(script.Requests()) != 1 {
			c.Errorf("no piece came before the cancel")
		}
	})
}

func cancelledBetween(c *trial) {
	for mode, stream := range modes {
		llm, _, up := c.always(Text("never"))
		fault, here := arrived(Status(429, "", http.Header{"Retry-After": {"1"}}))
		up.Next(fault)
		ctx, cancel := context.WithCancel(c.Context())
		go func() {
			<-here
			cancel()
		}()
		c.bounded(up, func() {
			r := call(ctx, llm, simple(), stream)
			// Where the refusal was read first and is not waited for, it is the error.
			if !errors.Is(r.err, context.Canceled) {
				c.fails(r, up)
			}
			c.cancelled(r, r.err, up, mode)
		})
	}
}

func deadline(c *trial) {
	for mode, stream := range modes {
		llm, _, up := c.always(Text("never"))
		up.Next(Stall())
		ctx, cancel := context.WithTimeout(c.Context(), 50*time.Millisecond)
		c.bounded(up, func() {
			r := call(ctx, llm, simple(), stream)
			if len(up.Requests()) == 0 {
				return // the machine was busy: the deadline passed before the request
			}
			c.cancelled(r, context.DeadlineExceeded, up, mode)
		})
		cancel()
	}
}
