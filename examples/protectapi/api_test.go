package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/jit/jittest"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
	"github.com/jitagent/jitagent/secret"
)

// start returns a world, and the notes API under its authorization server.
func start(t *testing.T) (*jittest.World, string) {
	t.Helper()
	self := lumodev.Client{ClientID: "notes-api", ClientSecret: secret.New("notes-secret-93b1f0aa")}
	w := jittest.Start(t, jittest.AuthServer(func(c *lumodev.Config) { c.ResourceServers = []lumodev.Client{self} }))
	guard, err := resource.New(t.Context(), resource.Config{
		Issuer: w.Issuer(), ClientID: self.ClientID, ClientSecret: self.ClientSecret,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(nil)
	base := "http://" + server.Listener.Addr().String()
	server.Config.Handler = newAPI(guard, base)
	server.Start()
	t.Cleanup(server.Close)
	return w, base
}

func note(base, action, id string) rar.Detail {
	return rar.Detail{Type: "note", Actions: []string{action}, Identifier: id, Locations: []string{base}}
}

func do(t *testing.T, token secret.String, method, url, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if !token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+token.Reveal())
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func TestWhoGetsWhat(t *testing.T) {
	w, base := start(t)
	granted := func(action, id string) secret.String {
		grant, err := jit.Acquire(w.Call(note(base, action, id)), note(base, action, id))
		if err != nil {
			t.Fatal(err)
		}
		return grant.Token
	}
	own, err := w.Authority.AgentToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := note("https://notes.example", "read", "n_1")
	grant, err := jit.Acquire(w.Call(elsewhere), elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	reader := granted("read", "n_1")
	for _, test := range []struct {
		name, method, path string
		token              secret.String
		body               string
		want               int
	}{
		{"no token", "GET", "/v1/notes/n_1", secret.String{}, "", 401},
		{"nonsense", "GET", "/v1/notes/n_1", secret.New("nonsense"), "", 401},
		{"the agent's own token", "GET", "/v1/notes/n_1", own.Token, "", 403},
		{"token for another note", "GET", "/v1/notes/n_1", granted("read", "n_2"), "", 403},
		{"token for another API", "GET", "/v1/notes/n_1", grant.Token, "", 403},
		{"token to write", "GET", "/v1/notes/n_1", granted("write", "n_1"), "", 403},
		{"token to read", "PUT", "/v1/notes/n_1", reader, "x", 403},
		{"a note that is not there, without authority", "GET", "/v1/notes/n_9", own.Token, "", 403},
		{"a note that is not there, with authority", "GET", "/v1/notes/n_9", granted("read", "n_9"), "", 404},
		{"no id of a note", "GET", "/v1/notes/n_1%2f..", own.Token, "", 400},
		{"too large", "PUT", "/v1/notes/n_1", granted("write", "n_1"), strings.Repeat("x", maxNote+1), 413},
		{"read", "GET", "/v1/notes/n_1", reader, "", 200},
		{"write", "PUT", "/v1/notes/n_1", granted("write", "n_1"), "x", 204},
	} {
		if got := do(t, test.token, test.method, base+test.path, test.body).StatusCode; got != test.want {
			t.Errorf("%s: %s %s = %d, want %d", test.name, test.method, test.path, got, test.want)
		}
	}
	w.Complete()
	if got := do(t, reader, "GET", base+"/v1/notes/n_1", "").StatusCode; got != 401 {
		t.Errorf("after the task: %d, want 401", got)
	}
}

func TestDemandIsForTheNoteAlone(t *testing.T) {
	w, base := start(t)
	own, err := w.Authority.AgentToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for method, action := range map[string]string{"GET": "read", "PUT": "write"} {
		resp := do(t, own.Token, method, base+"/v1/notes/n_7", "")
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		c, err := challenge.Parse(resp.StatusCode, resp.Header, body)
		if err != nil || len(c.Details) != 1 || !rar.Equal(c.Details[0], note(base, action, "n_7")) {
			t.Errorf("%s demands %v, %v; want %v", method, c, err, note(base, action, "n_7"))
		}
	}
}

func TestMemberGetsWhatItNeedsAndGivesItBack(t *testing.T) {
	w, base := start(t)
	origin, err := jit.ParseOrigin(base)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	api := *w.API
	api.Host = strings.TrimPrefix(base, "http://")
	if err := member(t.Context(), &out, w.Engine, &api); err != nil {
		t.Fatal(err)
	}
	w.AskedExactly(note(origin.String(), "write", "n_1"), note(origin.String(), "read", "n_1"))
	w.NothingLeft()
	w.NothingLeaked(out.String())
	if !strings.Contains(out.String(), "Monday") {
		t.Errorf("the note was not amended: %s", out.String())
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := member(ctx, io.Discard, w.Engine, &api); !errors.Is(err, context.Canceled) {
		t.Errorf("member() = %v, want %v", err, context.Canceled)
	}
}
