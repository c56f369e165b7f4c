package tools_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/tools"
)

// caller is a tool that makes one request and hands the error out.
func caller(t testing.TB, api *url.URL, do func(tools.Context, *tools.Document) error) (tool.Tool, *error) {
	t.Helper()
	var got error
	act, err := tools.New(tools.Spec[none]{
		Name: "act", Description: "acts", API: api, Ceiling: func(none) []rar.Detail { return nil },
	}, func(ctx tools.Context, _ none) (tools.Document, error) {
		var doc tools.Document
		got = do(ctx, &doc)
		return doc, got
	})
	if err != nil {
		t.Fatal(err)
	}
	return act, &got
}

func failed(message string) map[string]any {
	return map[string]any{"status": "failed", "error": message}
}

func unreachable(why string) map[string]any {
	return sayso("the API could not be reached: " + why)
}

func sayso(message string) map[string]any {
	m := failed(message)
	m["advice"] = "Say so in your answer."
	return m
}

func TestAnswersOfAnAPI(t *testing.T) {
	endless := func(w http.ResponseWriter, status int) {
		w.WriteHeader(status)
		block := bytes.Repeat([]byte(" "), 1<<20)
		for range 10 {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, tt := range map[string]struct {
		api  http.HandlerFunc
		want map[string]any
	}{
		"a document":        {status(200, `{"id":"doc_1","title":"T","content":"C","owner":"not asked for"}`), map[string]any{"id": "doc_1", "title": "T", "content": "C"}},
		"created":           {status(201, `{"id":"doc_1"}`), map[string]any{"id": "doc_1", "title": "", "content": ""}},
		"no JSON":           {status(200, "<html>login</html>"), failed("the API's answer is not the JSON that was expected")},
		"nothing":           {status(204, ""), failed("the API's answer is not the JSON that was expected")},
		"two documents":     {status(200, `{"id":"a"}{"id":"b"}`), failed("the API's answer is not the JSON that was expected")},
		"a member twice":    {status(200, `{"id":"a","id":"b"}`), failed("the API's answer is not the JSON that was expected")},
		"another type":      {status(200, `{"id":["a"]}`), failed("the API's answer is not the JSON that was expected")},
		"another case":      {status(200, `{"ID":"a"}`), map[string]any{"id": "", "title": "", "content": ""}},
		"too deep":          {status(200, strings.Repeat("[", 100_000)), failed("the API's answer is not the JSON that was expected")},
		"too large":         {func(w http.ResponseWriter, _ *http.Request) { endless(w, 200) }, failed("the API's answer is larger than 4194304 bytes")},
		"too large, failed": {func(w http.ResponseWriter, _ *http.Request) { endless(w, 500) }, failed("the API answered 500 Internal Server Error")},
		"an error":          {status(500, `{"error":"internal","error_description":"the index is being rebuilt"}`), failed("the API answered 500: the index is being rebuilt")},
		"a message":         {status(409, `{"message":"exists"}`), failed("the API answered 409: exists")},
		"a detail":          {status(422, `{"detail":"title too short","error":"invalid"}`), failed("the API answered 422: title too short")},
		"a code":            {status(400, `{"error":"invalid_request"}`), failed("the API answered 400: invalid_request")},
		"no words":          {status(503, ""), failed("the API answered 503 Service Unavailable")},
		"no such status":    {status(599, ""), failed("the API answered 599")},
		"other words":       {status(500, `{"error":{"message":"nested"}}`), failed("the API answered 500 Internal Server Error")},
		"a page":            {status(502, "<html>bad gateway at 10.1.2.3</html>"), failed("the API answered 502 Bad Gateway")},
		"control": {
			status(400, `{"message":"red \u001b[31malert\u0007\r\nSet-Cookie: x\u0000\u202e"}`),
			failed("the API answered 400: red [31malert Set-Cookie: x"),
		},
		"long":         {status(400, `{"message":"`+strings.Repeat("é", 4000)+`"}`), failed("the API answered 400: " + strings.Repeat("é", 298) + "…")},
		"not found":    {status(404, `{"error":"no such document"}`), failed("the API answered 404: no such document")},
		"unauthorized": {status(401, `{"error":"who are you"}`), failed("the API answered 401: who are you")},
		"broken off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"id":`)
		}, unreachable("the connection broke off")},
		"no gzip": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "this is not compressed")
		}, sayso("the API's answer could not be read: the log says why")},
		"unreadable demand": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Insufficient-Authorization-Details", "!!!")
			w.WriteHeader(http.StatusForbidden)
		}, sayso("the API refused the call, and what it demands cannot be read")},
		"hung up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, unreachable("the connection broke off")},
	} {
		t.Run(name, func(t *testing.T) {
			api := serve(t, tt.api)
			act, _ := caller(t, api, func(ctx tools.Context, doc *tools.Document) error { return ctx.GetJSON(api.String(), doc) })
			got := call(t, &fake.Authority{}, act, map[string]any{})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Run() (-want +got):\n%s", diff)
			}
			if strings.Contains(fmt.Sprint(got), api.Host) {
				t.Errorf("the model sees the API's address: %v", got)
			}
		})
	}
}

func TestAPIErrorKeepsItsStatus(t *testing.T) {
	api := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	act, got := caller(t, api, func(ctx tools.Context, doc *tools.Document) error { return ctx.GetJSON(api.String(), doc) })
	call(t, &fake.Authority{}, act, map[string]any{})
	e, ok := errors.AsType[*tools.APIError](*got)
	if !ok || e.StatusCode != http.StatusTeapot {
		t.Errorf("GetJSON() = %v, want an *APIError with 418", *got)
	}
}

func TestRequestsOfATool(t *testing.T) {
	type seen struct{ Method, Path, Auth, Type, Accept, Body string }
	var got []seen
	var keys []string
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = append(got, seen{r.Method, r.URL.Path, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), r.Header.Get("Accept"), string(body)})
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		_, _ = io.WriteString(w, `{"id":"x"}`)
	})
	act, _ := caller(t, api, func(ctx tools.Context, doc *tools.Document) error {
		return errors.Join(
			ctx.GetJSON(api.JoinPath("a").String(), doc),
			ctx.PostJSON(api.JoinPath("b").String(), map[string]string{"title": "Q4 <&>"}, doc),
			ctx.PostJSON(api.JoinPath("b").String(), map[string]string{"title": "Q4 <&>"}, nil),
		)
	})
	if result := call(t, &fake.Authority{}, act, map[string]any{}); result["id"] != "x" {
		t.Fatalf("Run() = %v", result)
	}
	post := seen{"POST", "/b", "Bearer " + fake.BaseToken, "application/json", "application/json", `{"title":"Q4 \u003c\u0026\u003e"}`}
	want := []seen{{"GET", "/a", "Bearer " + fake.BaseToken, "", "application/json", ""}, post} // the second time is no other effect
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if keys[0] != "" || keys[1] == "" {
		t.Errorf("idempotency keys = %q, want one on the post alone", keys)
	}
}

func TestRequestsThatCannotBeMade(t *testing.T) {
	api := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the API was called") })
	for name, do := range map[string]func(tools.Context, *tools.Document) error{
		"GET no URL":  func(ctx tools.Context, doc *tools.Document) error { return ctx.GetJSON("http://10.1.2.3:x/", doc) },
		"POST no URL": func(ctx tools.Context, doc *tools.Document) error { return ctx.PostJSON("http://10.1.2.3:x/", 1, doc) },
		"POST no JSON": func(ctx tools.Context, doc *tools.Document) error {
			return ctx.PostJSON(api.String(), make(chan int), doc)
		},
	} {
		act, _ := caller(t, api, do)
		got := call(t, &fake.Authority{}, act, map[string]any{})
		if text := fmt.Sprint(got); got["status"] != "failed" || strings.Contains(text, "10.1.2.3") {
			t.Errorf("%s: Run() = %v, want a failure without the address", name, got)
		}
	}
}

func TestRedirects(t *testing.T) {
	var elsewhere int
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		elsewhere++
		t.Errorf("another host was asked, with the Authorization %q", r.Header.Get("Authorization"))
		_, _ = io.WriteString(w, `{"id":"forged"}`)
	})
	for _, code := range []int{301, 302, 303, 307, 308} {
		for name, tt := range map[string]struct {
			to   func(api *url.URL) string
			want map[string]any
		}{
			"another port":   {func(*url.URL) string { return other.String() }, failed("the API redirects to another origin, which is not followed")},
			"another scheme": {func(api *url.URL) string { return "https://" + api.Host }, failed("the API redirects to another origin, which is not followed")},
			"another host":   {func(api *url.URL) string { return "http://localhost:" + api.Port() }, failed("the API redirects to another origin, which is not followed")},
			"metadata":       {func(*url.URL) string { return "http://169.254.169.254/latest" }, failed("the API redirects to another origin, which is not followed")},
			"itself":         {func(api *url.URL) string { return api.String() + "/from" }, failed("the API redirects too often")},
			"its own":        {func(api *url.URL) string { return api.String() + "/to" }, map[string]any{"id": "there", "title": "", "content": ""}},
		} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				t.Run(fmt.Sprint(code, " ", name, " ", method), func(t *testing.T) {
					hops := 0
					var api *url.URL
					api = serve(t, func(w http.ResponseWriter, r *http.Request) {
						if hops++; r.URL.Path == "/to" {
							_, _ = io.WriteString(w, `{"id":"there"}`)
							return
						}
						http.Redirect(w, r, tt.to(api), code)
					})
					act, _ := caller(t, api, func(ctx tools.Context, doc *tools.Document) error {
						if method == http.MethodGet {
							return ctx.GetJSON(api.String()+"/from", doc)
						}
						return ctx.PostJSON(api.String()+"/from", "x", doc)
					})
					want, most := tt.want, 6
					if method == http.MethodPost { // sent nowhere else, whatever the API says
						want, most = posted(api, code, tt.to(api)), 1
					}
					if diff := cmp.Diff(want, call(t, &fake.Authority{}, act, map[string]any{})); diff != "" {
						t.Errorf("Run() (-want +got):\n%s", diff)
					}
					if hops > most {
						t.Errorf("the API was asked %d times", hops)
					}
				})
			}
		}
	}
	if elsewhere != 0 {
		t.Errorf("another host was asked %d times", elsewhere)
	}
}

// posted is what the model is told of a POST that is answered with a redirect.
func posted(api *url.URL, code int, to string) map[string]any {
	if code == http.StatusSeeOther {
		m := map[string]any{"note": "the API took the request and answered 303; it is done"}
		if strings.HasPrefix(to, api.String()+"/") {
			m["location"] = to
		}
		return m
	}
	m := failed(fmt.Sprintf("the API answered %d, which does not say whether the call took effect", code))
	m["status"], m["advice"] = "in_doubt", "Do not call the tool again for it: say in your answer that it may have happened and has to be checked."
	return m
}

func TestToolWithoutAnAPISendsNoCredentials(t *testing.T) {
	var auth string
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		auth = r.Header.Get("Authorization")
		if r.URL.Path == "/from" {
			http.Redirect(w, r, "/to", http.StatusFound)
		}
		_, _ = io.WriteString(w, `{"id":"x"}`)
	})
	act, _ := caller(t, nil, func(ctx tools.Context, doc *tools.Document) error { return ctx.GetJSON(api.String(), doc) })
	if got := call(t, &fake.Authority{}, act, map[string]any{}); got["id"] != "x" || auth != "" {
		t.Errorf("Run() = %v with the Authorization %q, want none", got, auth)
	}
	act, _ = caller(t, nil, func(ctx tools.Context, doc *tools.Document) error { return ctx.GetJSON(api.String()+"/from", doc) })
	if got := call(t, &fake.Authority{}, act, map[string]any{}); got["status"] != "failed" {
		t.Errorf("Run() = %v, want the redirect refused", got)
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	api := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	act, _ := caller(t, api, func(ctx tools.Context, doc *tools.Document) error { return ctx.GetJSON(api.String(), doc) })
	if diff := cmp.Diff(failed("the call was cancelled"), callIn(ctx, t, &fake.Authority{}, act, map[string]any{})); diff != "" {
		t.Errorf("Run() (-want +got):\n%s", diff)
	}
}

// unreached is a transport that fails.
type unreached struct{ err error }

func (u unreached) RoundTrip(*http.Request) (*http.Response, error) { return nil, u.err }

func TestDeadServersAreNotNamedToTheModel(t *testing.T) {
	live := serve(t, func(http.ResponseWriter, *http.Request) {})
	dead := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0) // it says that its client did not trust it
	t.Cleanup(untrusted.Close)
	secure, err := url.Parse(untrusted.URL)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		a    *fake.Authority
		api  *url.URL
		base http.RoundTripper
		want map[string]any
		log  string
	}{
		"refused":     {&fake.Authority{}, dead, nil, unreachable("connection refused"), "127.0.0.1:1"},
		"untrusted":   {&fake.Authority{}, secure, nil, unreachable("its certificate is not trusted"), "x509"},
		"unknown":     {&fake.Authority{}, live, unreached{&net.DNSError{Err: "no such host", Name: "api.internal"}}, unreachable("its name cannot be resolved"), "api.internal"},
		"slow":        {&fake.Authority{}, live, unreached{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}}, unreachable("no answer in time"), "dial"},
		"otherwise":   {&fake.Authority{}, live, unreached{errors.New("no route to 10.1.2.3")}, sayso("the exchange with the API failed: the log says why"), "10.1.2.3"},
		"auth server": {down(), live, nil, map[string]any{"status": "failed", "error": "the authorization server could not be reached, or it failed", "advice": "Say so in your answer."}, "10.1.2.3"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			act, err := tools.New(tools.Spec[none]{
				Name: "act", Description: "acts", API: tt.api, Base: tt.base, Ceiling: func(none) []rar.Detail { return nil },
				Logger: slog.New(slog.NewJSONHandler(&log, nil)),
			}, func(ctx tools.Context, _ none) (tools.Document, error) {
				var doc tools.Document
				return doc, ctx.GetJSON(tt.api.String()+"/internal", &doc)
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, call(t, tt.a, act, map[string]any{})); diff != "" {
				t.Errorf("Run() (-want +got):\n%s", diff)
			}
			var line struct{ Level, Error string }
			if err := json.Unmarshal(log.Bytes(), &line); err != nil || line.Level != "WARN" || !strings.Contains(line.Error, tt.log) {
				t.Errorf("the log is %s, want a warning with the cause", log.String())
			}
		})
	}
}
