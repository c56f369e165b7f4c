package jit_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
)

// refusing is a client of an API that refuses everything in its own way.
func refusing(t *testing.T, authority *fake.Authority, handler http.HandlerFunc) *client {
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	return newClient(t, jit.Config{Authority: authority}, must(jit.ParseOrigin(srv.URL)), srv.URL, nil)
}

// endless writes until the client goes away.
func endless(w io.Writer) {
	chunk := []byte(strings.Repeat("x", 4096))
	for {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

func TestEndlessRefusalIsReadInPart(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"plain": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(403)
			endless(w)
		},
		"json": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(403)
			_, _ = io.WriteString(w, `{"error":"insufficient_authorization_details","x":"`)
			endless(w)
		},
	} {
		authority := &fake.Authority{}
		c := refusing(t, authority, handler)
		resp, err := c.get(t.Context(), "doc_1", read("doc_1"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		n, err := io.CopyN(io.Discard, resp.Body, 1<<20)
		_ = resp.Body.Close()
		if err != nil || n != 1<<20 || len(authority.Requests()) != 0 {
			t.Errorf("%s: %d bytes, %v, %d requests, want the caller to have the body as it comes", name, n, err, len(authority.Requests()))
		}
	}
}

func TestDemandBeforeAnEndlessBodyIsMet(t *testing.T) {
	authority := &fake.Authority{}
	c := refusing(t, authority, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer "+fake.TokenFor(read("doc_1")) {
			return
		}
		_ = challenge.Write(w, 403, read("doc_1"), "")
		endless(w)
	})
	c.want200(t, "doc_1")
}

// A refusal that never ends must not hold the call up: the demand is in the header.
func TestDemandBeforeAStalledBodyIsMet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t, jit.Config{Authority: &fake.Authority{}}, nil)
		answer := guarded(needsPath)
		c.over(tripper(func(r *http.Request) (*http.Response, error) {
			resp, err := answer(r)
			if resp.StatusCode == 403 {
				reader, writer := io.Pipe() // nobody writes
				resp.Body = pipeBody{reader, writer}
			}
			return resp, err
		}))
		start := time.Now()
		c.want200(t, "doc_1")
		if took := time.Since(start); took > time.Second {
			t.Errorf("the call took %s", took)
		}
	})
}

type pipeBody struct {
	*io.PipeReader
	w *io.PipeWriter
}

func (p pipeBody) Close() error { return errors.Join(p.w.Close(), p.PipeReader.Close()) }

func TestStalledRefusalEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := refusing(t, &fake.Authority{}, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(403)
		_, _ = io.WriteString(w, "x")
		_ = http.NewResponseController(w).Flush()
		cancel()
		<-r.Context().Done()
	})
	resp, err := c.get(ctx, "doc_1", read("doc_1"))
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("GET = %v, want cancelled", err)
	}
}

func TestCutRefusalIsNotTakenForWhole(t *testing.T) {
	const hint = `{"error":"insufficient_authorization_details","authorization_details_hint":{"type":"file_access","actions":["read"],"identifier":"doc_1"}}`
	for name, handler := range map[string]http.HandlerFunc{
		"shorter than said": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", fmt.Sprint(len(hint)+100))
			w.WriteHeader(403)
			_, _ = io.WriteString(w, hint)
		},
		"aborted": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(403)
			_, _ = io.WriteString(w, hint)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		authority := &fake.Authority{}
		c := refusing(t, authority, handler)
		resp, err := c.get(t.Context(), "doc_1", read("doc_1"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err == nil || len(authority.Requests()) != 0 {
			t.Errorf("%s: body ends with %v after %d requests, want an error after 0", name, err, len(authority.Requests()))
		}
	}
	t.Run("whole", func(t *testing.T) { // or the test above could not fail
		authority := &fake.Authority{}
		c := refusing(t, authority, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(403)
			_, _ = io.WriteString(w, hint)
		})
		if _, err := c.get(t.Context(), "doc_1", read("doc_1")); !errors.Is(err, jit.ErrStillRefused) || len(authority.Requests()) == 0 {
			t.Errorf("GET = %v after %d requests, want still refused after some", err, len(authority.Requests()))
		}
	})
}

func TestCompressedRefusalIsBounded(t *testing.T) {
	const size = 4 << 20
	var bomb bytes.Buffer
	zip := gzip.NewWriter(&bomb)
	if _, err := zip.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	authority := &fake.Authority{}
	c := refusing(t, authority, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(403)
		_, _ = w.Write(bomb.Bytes())
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	resp, err := c.get(t.Context(), "doc_1", read("doc_1"))
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if n := after.TotalAlloc - before.TotalAlloc; n > size/4 || len(authority.Requests()) != 0 {
		t.Errorf("%d bytes allocated, %d requests, want far less than the %d of the body, and 0", n, len(authority.Requests()), size)
	}
}

func TestHugeHeadersAreRefused(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"1 MiB of a field": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Large", strings.Repeat("x", 1<<20))
			w.WriteHeader(403)
		},
		"a demand of 1 MiB": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(challenge.Header, strings.Repeat("x", 1<<20))
			w.WriteHeader(403)
		},
		"a demand of 100 KB": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(challenge.Header, strings.Repeat("e", 100_000))
			w.WriteHeader(403)
		},
		"many challenges": func(w http.ResponseWriter, _ *http.Request) {
			for range 1000 {
				w.Header().Add("WWW-Authenticate", `Bearer error="insufficient_authorization_details"`)
			}
			w.WriteHeader(401)
		},
	} {
		authority := &fake.Authority{}
		c := refusing(t, authority, handler)
		resp, err := c.get(t.Context(), "doc_1", read("doc_1"))
		if err == nil {
			_ = resp.Body.Close()
		}
		if err == nil || len(err.Error()) > 1000 || len(authority.Requests()) != 0 {
			t.Errorf("%s: %v after %d requests, want a short error after 0", name, err, len(authority.Requests()))
		}
	}
}

// A ceiling may name resources of two APIs. The one must not obtain, and be sent, a
// token for the other.
func TestDemandForAnotherOriginsResourceIsRefused(t *testing.T) {
	at := func(locations ...string) rar.Detail {
		d := read("doc_1")
		d.Locations = locations
		return d
	}
	for location, ok := range map[string]bool{
		"https://api.example.com":      true,
		"https://api.example.com/docs": true,
		"urn:acme:docs":                true,
		"https://bank.test":            false,
		"https://bank.test/x":          false,
		"HTTPS://bank.test":            false,
		"http://api.example.com":       false,
		"https://api.example.com:8443": false,
		"//bank.test/x":                false,
		"https:bank.test":              false,
		"wss://bank.test":              false,
		"https://bank.test/%zz":        false,
	} {
		authority, seen := &fake.Authority{}, &events{}
		c := offline(t, jit.Config{Authority: authority}, seen.observe)
		c.over(guarded(func(*http.Request) rar.Detail { return at(location) }))
		_, _, err := c.send(t.Context(), jit.Call{ID: "1", Ceiling: []rar.Detail{at(location)}}, "GET", c.base+"/docs/doc_1", "")
		switch asked := len(authority.Requests()); {
		case ok && (err != nil || asked != 1):
			t.Errorf("%s: %v after %d requests, want 1", location, err, asked)
		case !ok && (!errors.Is(err, jit.ErrOutsideCeiling) || asked != 0):
			t.Errorf("%s: %v after %d requests, want outside the ceiling after 0", location, err, asked)
		}
	}
	both := at("https://api.example.com", "https://bank.test")
	authority := &fake.Authority{}
	c := offline(t, jit.Config{Authority: authority}, nil).over(guarded(func(*http.Request) rar.Detail { return both }))
	_, _, err := c.send(t.Context(), jit.Call{ID: "1", Ceiling: []rar.Detail{both}}, "GET", c.base+"/docs/doc_1", "")
	if !errors.Is(err, jit.ErrOutsideCeiling) || len(authority.Requests()) != 0 {
		t.Errorf("both: %v after %d requests, want outside the ceiling after 0", err, len(authority.Requests()))
	}
}
