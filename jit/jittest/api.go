package jittest

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
	"github.com/jitagent/jitagent/secret"
)

// exchange is one call of the API, and perhaps its answer.
type exchange struct {
	method, path string // the path without query
	key          string // its Idempotency-Key; "" without one
	token        secret.String
	credential   string     // the token's name: AgentToken, "token 1" and so on as they were granted, ...
	status       int        // of the answer; 0 while there is none
	need         rar.Detail // what the route demands; zero outside of routes
}

type exchangeKey struct{}

func exchangeOf(r *http.Request) *exchange {
	return r.Context().Value(exchangeKey{}).(*exchange)
}

// protectedAPI returns the API: every call is recorded, routed, and passes where
// package resource lets it pass.
func (w *World) protectedAPI(verifier *resource.Verifier) (http.Handler, error) {
	routes := w.cfg.routes
	if len(routes) == 0 {
		routes = []route{{pattern: "/"}}
	}
	mux := http.NewServeMux()
	for _, rt := range routes {
		if rt.demand == nil {
			rt.demand = byPath
		}
		if rt.handler == nil {
			rt.handler = answer
		}
		if err := handle(mux, rt.pattern, w.guard(verifier, rt)); err != nil {
			return nil, err
		}
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		e := w.receive(r)
		mux.ServeHTTP(&noted{ResponseWriter: rw, w: w, e: e}, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, e)))
	}), nil
}

// handle is mux.Handle with an error in place of a panic.
func handle(mux *http.ServeMux, pattern string, h http.Handler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("route %q: %v", pattern, p)
		}
	}()
	mux.Handle(pattern, h)
	return nil
}

// guard is the protected handler of a route, with what a hostile API does instead.
func (w *World) guard(v *resource.Verifier, rt route) http.Handler {
	accepted := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.accepted(rw, r, rt.handler) })
	demanding := v.Require(func(r *http.Request) (rar.Detail, error) { return exchangeOf(r).need, nil }, accepted)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		e := exchangeOf(r)
		e.need = rt.demand(r)
		switch {
		case e.need.Type == "":
			if _, err := v.Verify(r.Context(), r); err != nil {
				resource.Refuse(rw, "", err)
				return
			}
			r = r.Clone(r.Context())
			r.Header.Del("Authorization")
			rt.handler(rw, r)
		case w.cfg.refuse != nil:
			w.cfg.refuse(rw, e)
		default:
			demanding.ServeHTTP(rw, r)
		}
	})
}

// accepted serves a call whose token covers it.
func (w *World) accepted(rw http.ResponseWriter, r *http.Request, handler http.HandlerFunc) {
	if w.cfg.abuse != nil {
		w.cfg.abuse(w, rw, r)
		return
	}
	handler(rw, r)
}

// answer is what the API answers by default.
func answer(rw http.ResponseWriter, r *http.Request) {
	id := path.Base(r.URL.Path)
	writeJSON(rw, map[string]string{"id": id, "title": "Title of " + id, "content": "Content of " + id + "."})
}

func writeJSON(rw http.ResponseWriter, v any) {
	rw.Header().Set("Content-Type", "application/json")
	_ = json.MarshalWrite(rw, v, json.Deterministic(true))
}

// receive records a call.
func (w *World) receive(r *http.Request) *exchange {
	var token secret.String
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		token = secret.New(strings.TrimSpace(rest))
	}
	e := &exchange{
		method: r.Method, path: r.URL.Path, key: r.Header.Get(jit.HeaderIdempotencyKey), token: token, credential: w.record.nameOf(token),
	}
	w.record.change(func() {
		w.record.received = append(w.record.received, e)
		w.record.story = append(w.record.story, e.line)
	})
	return e
}

// line tells of the call.
func (e *exchange) line() string {
	s := fmt.Sprintf("API: %s %s with %s -> ", e.method, e.path, e.credential)
	switch e.status {
	case 0:
		return s + "no answer yet"
	case http.StatusUnauthorized, http.StatusForbidden:
		if e.need.Type != "" {
			return s + fmt.Sprintf("%d, it takes %s", e.status, e.need)
		}
	}
	return s + fmt.Sprint(e.status)
}

// noted notes the status of an answer before the client can see it.
type noted struct {
	http.ResponseWriter
	w *World
	e *exchange
}

// WriteHeader implements [http.ResponseWriter].
func (n *noted) WriteHeader(status int) {
	n.w.record.change(func() {
		if n.e.status == 0 && status >= 200 {
			n.e.status = status
		}
	})
	n.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (n *noted) Write(p []byte) (int, error) {
	if n.e.status == 0 { // set by this goroutine alone
		n.WriteHeader(http.StatusOK)
	}
	return n.ResponseWriter.Write(p)
}

// Unwrap serves [http.ResponseController].
func (n *noted) Unwrap() http.ResponseWriter { return n.ResponseWriter }
