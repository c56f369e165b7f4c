package mcp_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/tools/mcp"
)

// demands demands a detail for each call of a tool that does not carry its token.
func demands(d rar.Detail) func(w http.ResponseWriter, r *http.Request, method string) bool {
	return func(w http.ResponseWriter, r *http.Request, method string) bool {
		if method != "tools/call" || r.Header.Get("Authorization") == "Bearer "+fake.TokenFor(d) {
			return false
		}
		_ = challenge.Write(w, http.StatusForbidden, d, "")
		return true
	}
}

const readsFile = `tools: {files__look: {targets: {id: {type: file}}, ceilings: [{type: file, actions: [read], identifier: "{id}"}]}}`

func TestArgumentsThatAreAbsentAreAnObject(t *testing.T) {
	protocols(t, argumentsThatAreAbsentAreAnObject)
}

func argumentsThatAreAbsentAreAnObject(t *testing.T) {
	p := serve(t)
	add(p.Server, "look", "looks", say("seen"))
	ctx := task(t, &fake.Authority{})
	call(ctx, t, find(t, open(ctx, t, mcp.Server{URL: p.url}, ""), "files__look"), nil)
	var sent struct {
		Params struct{ Arguments json.RawMessage }
	}
	if err := json.Unmarshal([]byte(p.requests("tools/call")[0].body), &sent); err != nil || string(sent.Params.Arguments) != "{}" {
		t.Errorf("arguments are %s, want {}", sent.Params.Arguments)
	}
}

func TestAuthorityIsThePolicys(t *testing.T) { protocols(t, authorityIsThePolicys) }

func authorityIsThePolicys(t *testing.T) {
	for name, test := range map[string]struct {
		policy, id string
		asked      int
		tokens     int
		want       string
	}{
		"none for the tool":   {"", "a", 0, 0, "denied"},
		"within the ceiling":  {readsFile, "a", 1, 2, ""},
		"another of the same": {readsFile, "b", 0, 1, "denied"},
	} {
		t.Run(name, func(t *testing.T) {
			p := serve(t)
			add(p.Server, "look", "looks", say("seen"))
			p.guard(demands(read("a")))
			a := &fake.Authority{}
			ctx := task(t, a)
			set := open(ctx, t, mcp.Server{URL: p.url}, test.policy)
			got := call(ctx, t, find(t, set, "files__look"), map[string]any{"id": test.id})
			if status, _ := got["status"].(string); status != test.want || len(a.Asked()) != test.asked {
				t.Errorf("the call gave %v, and %d requests were made, want status %q and %d", got, len(a.Asked()), test.want, test.asked)
			}
			tokens := 0
			for _, s := range p.requests("tools/call") {
				if s.authorization != "" {
					tokens++
				}
			}
			if tokens != test.tokens {
				t.Errorf("%d calls carried a token, want %d", tokens, test.tokens)
			}
			for _, s := range p.seen {
				if s.method != "tools/call" && s.authorization != "" {
					t.Errorf("%s carried a token", s.method)
				}
			}
		})
	}
}

func TestServerItself(t *testing.T) { protocols(t, serverItself) }

func serverItself(t *testing.T) {
	p := serve(t)
	add(p.Server, "look", "looks", say("seen"))
	d := read("session")
	p.guard(func(w http.ResponseWriter, r *http.Request, _ string) bool {
		if r.Header.Get("Authorization") == "Bearer "+fake.TokenFor(d) {
			return false
		}
		_ = challenge.Write(w, http.StatusForbidden, d, "")
		return true
	})
	a := &fake.Authority{}
	ctx := task(t, a)
	if _, err := tryOpen(ctx, mcp.Server{URL: p.url}, ""); err == nil || !strings.Contains(err.Error(), "stands there as files__") || len(a.Asked()) > 0 {
		t.Errorf("Open() without a ceiling = %v, %v asked", err, a.Asked())
	}
	file := `tools: {files__: {ceilings: [{type: file, actions: [read], identifier: session}]}, files__look: {ceilings: [{type: file, actions: [read], identifier: session}]}}`
	set := open(ctx, t, mcp.Server{URL: p.url}, file)
	if got := call(ctx, t, find(t, set, "files__look"), nil); got["text"] != "seen" {
		t.Errorf("the call gave %v", got)
	}
}

// loses drops the answers of a tool's calls, as many as n, after the server has made them.
func loses(n int) func(w http.ResponseWriter, r *http.Request, method string) bool {
	var calls atomic.Int32
	return func(_ http.ResponseWriter, _ *http.Request, method string) bool {
		if method != "tools/call" || int(calls.Add(1)) > n {
			return false
		}
		panic(http.ErrAbortHandler)
	}
}

func TestLostAnswer(t *testing.T) { protocols(t, lostAnswer) }

func lostAnswer(t *testing.T) {
	args := map[string]any{"id": "a"}
	t.Run("of a call that may change something", func(t *testing.T) {
		p := serve(t)
		add(p.Server, "look", "looks", say("seen"))
		p.guard(loses(1))
		ctx := task(t, &fake.Authority{})
		looks := find(t, open(ctx, t, mcp.Server{URL: p.url}, ""), "files__look")
		for range 2 {
			if got := call(ctx, t, looks, args); got["status"] != string(jit.CallInDoubt) {
				t.Errorf("the call = %v, want in doubt", got)
			}
		}
		if n := len(p.requests("tools/call")); n != 1 {
			t.Errorf("the tool was called %d times, want once", n)
		}
		if got := call(ctx, t, looks, map[string]any{"id": "b"}); got["text"] != "seen" {
			t.Errorf("another call = %v", got)
		}
	})
	t.Run("of one that only reads, by the policy", func(t *testing.T) {
		p := serve(t)
		add(p.Server, "look", "looks", say("seen"))
		p.guard(loses(1))
		ctx := task(t, &fake.Authority{})
		looks := find(t, open(ctx, t, mcp.Server{URL: p.url}, readsFile), "files__look")
		for range 2 { // and it is meant each time
			if got := call(ctx, t, looks, args); got["text"] != "seen" {
				t.Errorf("the call = %v", got)
			}
		}
		if n := len(p.requests("tools/call")); n != 3 {
			t.Errorf("the tool was called %d times, want 3", n)
		}
	})
	t.Run("in the middle of an answer", func(t *testing.T) {
		p := serve(t)
		add(p.Server, "look", "looks", say("seen"))
		p.guard(func(w http.ResponseWriter, _ *http.Request, method string) bool {
			if method != "tools/call" {
				return false
			}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "500")
			_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":`))
			return true
		})
		ctx := task(t, &fake.Authority{})
		looks := find(t, open(ctx, t, mcp.Server{URL: p.url}, ""), "files__look")
		if got := call(ctx, t, looks, args); got["status"] != string(jit.CallInDoubt) {
			t.Errorf("the call = %v, want in doubt", got)
		}
		if n := len(p.requests("tools/call")); n != 1 {
			t.Errorf("the tool was called %d times, want once", n)
		}
		p.guard(nil)
		if got := call(ctx, t, looks, map[string]any{"id": "b"}); got["text"] != "seen" {
			t.Errorf("another call, over another connection = %v", got)
		}
	})
}

// offered returns the names of the tools that a model is offered now, and what is said of them.
func offered(ctx context.Context, t testing.TB, set *mcp.Set) map[string]string {
	t.Helper()
	req := &model.LLMRequest{}
	if err := set.Toolset().ProcessRequest(&toolCtx{agent.NewStrictContextMock(ctx), ""}, req); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, declared := range req.Config.Tools {
		for _, f := range declared.FunctionDeclarations {
			all[f.Name] = f.Description
		}
	}
	return all
}

func TestListChangesAreSeenInTheSameRun(t *testing.T) { protocols(t, listChangesAreSeenInTheSameRun) }

func listChangesAreSeenInTheSameRun(t *testing.T) {
	p := serve(t)
	add(p.Server, "look", "looks", func(context.Context, string) (*sdk.CallToolResult, error) {
		add(p.Server, "more", "does more", say("more"))
		add(p.Server, "odd", "does what it says", say(""))
		p.RemoveTools("old")
		return say("seen")(nil, "")
	})
	add(p.Server, "old", "goes", say(""))
	add(p.Server, "odd", "waits", say(""))
	ctx := task(t, &fake.Authority{})
	set := open(ctx, t, mcp.Server{URL: p.url}, "")
	call(ctx, t, find(t, set, "files__look"), nil)
	want := map[string]string{"files__look": "looks", "files__more": "does more"} // and not odd, of which other words are said now
	if diff := cmp.Diff(want, offered(ctx, t, set)); diff != "" {
		t.Error(diff)
	}
	if got := call(ctx, t, find(t, set, "files__more"), nil); got["text"] != "more" {
		t.Errorf("the new tool gave %v", got)
	}
}

func TestNames(t *testing.T) {
	for name, test := range map[string]struct {
		tools []string
		file  string
		wrong string
	}{
		"mapped":       {[]string{"a.b/c"}, "", ""},
		"clash":        {[]string{"a.b", "a_b"}, "", "files has two tools that would be called files__a_b"},
		"too long":     {[]string{strings.Repeat("x", 64)}, "", "the name must match"},
		"not there":    {[]string{"look"}, `tools: {files__lock: {targets: {}}}`, "policy, line 1: there is no tool files__lock: there are files__look"},
		"no argument":  {[]string{"look"}, `tools: {files__look: {targets: {path: {type: file}}}}`, "files__look has no argument path: it has id, note"},
		"of another":   {[]string{"look"}, `tools: {other__look: {targets: {path: {type: file}}}}`, ""},
		"in a ceiling": {[]string{"look"}, `tools: {files__look: {ceilings: [{type: x, actions: [y], identifier: "{path}"}]}}`, "files__look has no argument path"},
	} {
		t.Run(name, func(t *testing.T) {
			p := serve(t)
			for _, tool := range test.tools {
				add(p.Server, tool, "acts", say(""))
			}
			set, err := tryOpen(t.Context(), mcp.Server{URL: p.url}, test.file)
			if set != nil {
				defer func() { _ = set.Close() }()
			}
			if (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("Open() = %v, want %q", err, test.wrong)
			}
		})
	}
}

func TestParseServer(t *testing.T) {
	t.Setenv("GH_TOKEN", "")
	t.Setenv("GH_HOST", "")
	for text, want := range map[string]string{
		"https://mcp.example.com/v1":            "mcp-example-com https://mcp.example.com/v1 []",
		"crm=https://mcp.example.com/v1?a=b":    "crm https://mcp.example.com/v1?a=b []",
		"http://127.0.0.1:8080/mcp":             "127-0-0-1-8080 http://127.0.0.1:8080/mcp []",
		`npx -y @scope/server "/home/me/a b"`:   `npx <nil> ["npx" "-y" "@scope/server" "/home/me/a b"]`,
		"files=/usr/bin/files_server --mode=ro": `files <nil> ["/usr/bin/files_server" "--mode=ro"]`,
		"/usr/bin/files_server  --x":            `files-server <nil> ["/usr/bin/files_server" "--x"]`,
		"http://mcp.example.com/v1":             "error",
		"":                                      "error",
		"a=":                                    `a <nil> ["a="]`,
		"gh=$GH_TOKEN $GH_HOST gh-server":       `gh <nil> ["gh-server"] ["GH_TOKEN" "GH_HOST"]`,
		`run "unclosed`:                         "error",
	} {
		s, err := mcp.ParseServer(text)
		got := fmt.Sprintf("%s %v %q", s.Name, s.URL, s.Command)
		if s.Env != nil {
			got += fmt.Sprintf(" %q", s.Env)
		}
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("ParseServer(%q) = %s (%v), want %s", text, got, err, want)
		}
	}
}

// TestTokensThatAreBoundToAKey has a server that wants proofs, each with its latest nonce.
func TestTokensThatAreBoundToAKey(t *testing.T) { protocols(t, tokensThatAreBoundToAKey) }

func tokensThatAreBoundToAKey(t *testing.T) {
	p := serve(t)
	add(p.Server, "look", "looks", say("seen"))
	var key dpop.Client
	bound, err := key.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	var nonces []string // of proofs
	p.guard(func(w http.ResponseWriter, r *http.Request, method string) bool {
		if method != "tools/call" {
			return false
		}
		if !strings.HasPrefix(r.Header.Get("Authorization"), "DPoP ") {
			return demands(read("a"))(w, r, method)
		}
		var claims struct{ Htm, Htu, Nonce string }
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(r.Header.Get("DPoP"), ".")[1])
		if err != nil || json.Unmarshal(payload, &claims) != nil || claims.Htm != http.MethodPost || claims.Htu != p.url.String() {
			t.Errorf("the proof is for %s", payload)
		}
		nonces = append(nonces, claims.Nonce)
		w.Header().Set("DPoP-Nonce", fmt.Sprint("nonce-", len(nonces)))
		if len(nonces) > 1 {
			return false
		}
		w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	ctx := task(t, &fake.Authority{Issue: func(_ string, d rar.Detail) jit.Issued {
		return jit.Issued{Token: secret.New(fake.TokenFor(d)), Type: dpop.Scheme, DPoP: bound, Details: []rar.Detail{d}, ExpiresIn: time.Minute}
	}})
	looks := find(t, open(ctx, t, mcp.Server{URL: p.url}, readsFile), "files__look")
	for range 2 {
		if got := call(ctx, t, looks, map[string]any{"id": "a"}); got["text"] != "seen" {
			t.Errorf("the call gave %v", got)
		}
	}
	if diff := cmp.Diff([]string{"", "nonce-1", "nonce-2"}, nonces); diff != "" {
		t.Error(diff)
	}
}

func TestServerThatForgetsTheSession(t *testing.T) {
	p := serve(t)
	add(p.Server, "look", "looks", say("seen"))
	ctx := task(t, &fake.Authority{})
	looks := find(t, open(ctx, t, mcp.Server{URL: p.url}, ""), "files__look")
	p.restart()
	if got := call(ctx, t, looks, nil); got["text"] != "seen" {
		t.Errorf("a call after a restart = %v", got)
	}
}

// TestLostAnswerOfOneOfSeveral: the others, over the same connection, have theirs.
func TestLostAnswerOfOneOfSeveral(t *testing.T) { protocols(t, lostAnswerOfOneOfSeveral) }

func lostAnswerOfOneOfSeveral(t *testing.T) {
	p := serve(t)
	begun, lost := make(chan struct{}), make(chan struct{})
	add(p.Server, "look", "looks", func(ctx context.Context, args string) (*sdk.CallToolResult, error) {
		close(begun)
		select {
		case <-lost:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return say("seen")(ctx, args)
	})
	ctx := task(t, &fake.Authority{})
	looks := find(t, open(ctx, t, mcp.Server{URL: p.url}, ""), "files__look")
	p.guard(func(w http.ResponseWriter, _ *http.Request, method string) bool {
		if method != "tools/call" || len(p.requests(method)) < 2 {
			return false
		}
		w.Header().Set("Content-Type", "text/event-stream")
		return true // without an event
	})
	other := make(chan map[string]any)
	go func() { other <- call(ctx, t, looks, map[string]any{"id": "keep"}) }()
	<-begun
	if got := call(ctx, t, looks, map[string]any{"id": "lose"}); got["status"] != string(jit.CallInDoubt) {
		t.Errorf("the call without an answer = %v", got)
	}
	close(lost)
	if got := <-other; got["text"] != "seen" {
		t.Errorf("the other call = %v", got)
	}
}

// TestScopes has a server that names the scopes it wants, as those of the SDK do: without an error code.
func TestScopes(t *testing.T) { protocols(t, scopes) }

func scopes(t *testing.T) {
	p := serve(t)
	add(p.Server, "look", "looks", say("seen"))
	wants := rar.Scopes("files:read")
	p.guard(func(w http.ResponseWriter, r *http.Request, method string) bool {
		if method != "tools/call" || r.Header.Get("Authorization") == "Bearer "+fake.TokenFor(wants) {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Bearer scope="files:read", resource_metadata="https://elsewhere.example/"`)
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	for file, asked := range map[string][]rar.Detail{
		"": nil,
		`tools: {files__look: {ceilings: [{scopes: ["files:write"]}]}}`:               nil,
		`tools: {files__look: {ceilings: [{scopes: ["files:read", "files:write"]}]}}`: {wants},
	} {
		a := &fake.Authority{}
		ctx := task(t, a)
		got := call(ctx, t, find(t, open(ctx, t, mcp.Server{URL: p.url}, file), "files__look"), nil)
		if diff := cmp.Diff(asked, a.Asked()); diff != "" || (got["text"] == "seen") != (asked != nil) {
			t.Errorf("%s: %v: %s", file, got, diff)
		}
	}
}
