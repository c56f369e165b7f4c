package jit_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
)

// benchAPI answers requests with a grant's token and demands one of all others. It
// keeps nothing, unlike the fake of the tests.
func benchAPI(b *testing.B) (url string, base *http.Transport) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer grant-") {
			_ = challenge.Write(w, http.StatusForbidden, read(r.URL.Path[len("/docs/"):]), "")
			return
		}
		_, _ = io.WriteString(w, "content")
	}))
	base = &http.Transport{MaxIdleConnsPerHost: 128}
	b.Cleanup(func() { base.CloseIdleConnections(); srv.Close() })
	return srv.URL, base
}

// nothing is an API without a wire: what is left is the client's own cost.
var nothing = tripper(func(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
})

func benchGet(ctx context.Context, b *testing.B, client *http.Client, url, bearer string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		b.Error(err)
		return
	}
	if bearer != "" {
		req.Header.Set("Authorization", bearer)
	}
	resp, err := client.Do(req)
	if err != nil {
		b.Error(err)
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b.Errorf("GET = %d", resp.StatusCode)
	}
}

// covered returns a client whose calls a live grant covers, and a context for them.
func covered(b *testing.B, url string, base http.RoundTripper) (*client, context.Context) {
	c := newClient(b, jit.Config{Authority: &fake.Authority{}}, must(jit.ParseOrigin(url)), url, nil).over(base)
	ctx := c.task.Call(b.Context(), jit.Call{ID: "1", Tool: "fetch", Ceiling: []rar.Detail{read("doc_1")}})
	for range 2 {
		benchGet(ctx, b, c.Client, url+"/docs/doc_1", "")
	}
	return c, ctx
}

// BenchmarkCoveredCall is a call that a live grant covers, beside the same call of
// a plain client with a fixed header.
func BenchmarkCoveredCall(b *testing.B) {
	url, base := benchAPI(b)
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			benchGet(b.Context(), b, &http.Client{Transport: base}, url+"/docs/doc_1", "Bearer grant-x")
		}
	})
	b.Run("jit", func(b *testing.B) {
		c, ctx := covered(b, url, keepIdle{base})
		b.ReportAllocs()
		for b.Loop() {
			benchGet(ctx, b, c.Client, url+"/docs/doc_1", "")
		}
	})
	// Each call with a context of its own, as tool calls have.
	b.Run("jit, new call", func(b *testing.B) {
		c, _ := covered(b, url, keepIdle{base})
		call := jit.Call{ID: "1", Tool: "fetch", Ceiling: []rar.Detail{read("doc_1")}}
		b.ReportAllocs()
		for b.Loop() {
			benchGet(c.task.Call(b.Context(), call), b, c.Client, url+"/docs/doc_1", "")
		}
	})
}

// BenchmarkTransport is what is left of a covered call without a wire.
func BenchmarkTransport(b *testing.B) {
	get := func(b *testing.B, ctx context.Context, transport http.RoundTripper) {
		req := must(http.NewRequestWithContext(ctx, http.MethodGet, "https://api.example.com/docs/doc_1", nil))
		req.Header.Set("Accept", "application/json")
		b.ReportAllocs()
		for b.Loop() {
			if _, err := transport.RoundTrip(req); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("plain", func(b *testing.B) { get(b, b.Context(), nothing) })
	b.Run("jit", func(b *testing.B) {
		c, ctx := covered(b, "https://api.example.com", guarded(needsPath))
		get(b, ctx, c.over(nothing).Transport)
	})
}

// BenchmarkEscalation is a first call: refused, asked for, redeemed, repeated;
// beside the same steps by hand.
func BenchmarkEscalation(b *testing.B) {
	url, base := benchAPI(b)
	b.Run("by hand", func(b *testing.B) {
		client := &http.Client{Transport: base}
		for b.Loop() {
			authority := &fake.Authority{}
			req := must(http.NewRequestWithContext(b.Context(), http.MethodGet, url+"/docs/doc_1", nil))
			req.Header.Set("Authorization", "Bearer "+fake.BaseToken)
			resp, err := client.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			ch, err := challenge.Parse(resp.StatusCode, resp.Header, body)
			if err != nil {
				b.Fatal(err)
			}
			decision, _ := authority.Request(b.Context(), jit.Request{Detail: ch.Details[0]})
			issued, _ := authority.Token(b.Context(), decision.RequestID)
			benchGet(b.Context(), b, client, url+"/docs/doc_1", "Bearer "+issued.Token.Reveal())
		}
	})
	b.Run("jit", func(b *testing.B) {
		c := newClient(b, jit.Config{Authority: &fake.Authority{}}, must(jit.ParseOrigin(url)), url, nil).over(keepIdle{base})
		n := 0
		for b.Loop() {
			n++
			id := fmt.Sprintf("doc_%d", n)
			// A tool of its own, so that nothing is known of the endpoint.
			ctx := c.task.Call(b.Context(), jit.Call{ID: id, Tool: id, Ceiling: []rar.Detail{read(id)}})
			benchGet(ctx, b, c.Client, url+"/docs/"+id, "")
		}
	})
}

// BenchmarkParallel is a hundred identical calls at once, from nothing to the last
// result.
func BenchmarkParallel(b *testing.B) {
	url, base := benchAPI(b)
	for b.Loop() {
		c := newClient(b, jit.Config{Authority: &fake.Authority{}}, must(jit.ParseOrigin(url)), url, nil).over(keepIdle{base})
		done := make(chan struct{})
		for range 100 {
			go func() {
				ctx := c.task.Call(b.Context(), jit.Call{ID: "1", Tool: "fetch", Ceiling: []rar.Detail{read("doc_1")}})
				benchGet(ctx, b, c.Client, url+"/docs/doc_1", "")
				done <- struct{}{}
			}()
		}
		for range 100 {
			<-done
		}
	}
}
