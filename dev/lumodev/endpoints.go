package lumodev

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/internal/strictjson"
)

// A handler serves one endpoint by one method and returns the body of the answer,
// a JSON object. An error that is no *wireError is a 500 whose cause goes to the log
// only.
type handler func(*call) (any, error)

type methods map[string]handler

// endpoints are those below /orgs/{org}/api/v1 and /t/{org}/api/v1. The paths are
// LumoAuth's, but for dev/.
var endpoints = map[string]methods{
	"oauth/token":      {"POST": withForm((*call).token)},
	"oauth/introspect": {"POST": withForm((*call).introspect)},
	"oauth/revoke":     {"POST": withForm(inState((*call).revoke))},
	"oauth/userinfo":   {"GET": (*call).userinfo, "POST": (*call).userinfo},

	"jit/task":                     {"POST": forAgents(inState(with((*call).createTask)))},
	"jit/task/{task}/complete":     {"POST": inState((*call).completeTask)},
	"jit/task/{task}/evaluate":     {"POST": forAll(inState(with((*call).evaluateTask)))},
	"jit/request":                  {"POST": forAgents(inState(with((*call).createRequest)))},
	"jit/request/{request}/status": {"GET": inState((*call).requestStatus)},
	"jit/request/{request}/token":  {"POST": forAgents(inState((*call).requestToken))},
	"jit/pending":                  {"GET": forReviewers(inState((*call).pending))},
	"jit/approve/{request}":        {"GET": (*call).toPage, "POST": forReviewers(inState(with((*call).approve)))},
	"jit/deny/{request}":           {"POST": forReviewers(inState(with((*call).deny)))},

	"agents/me":                          {"GET": forAll((*call).me)},
	"agents/ask":                         {"POST": forAgents(with((*call).ask))},
	"agents/me/approvals":                {"POST": forAgents(inState(with((*call).createApproval)))},
	"agents/me/approvals/{token}/status": {"GET": forAgents(inState((*call).approvalStatus))},
	"dev/approvals/{token}/approve":      {"POST": forAll(inState(answerApproval(statusApproved)))},
	"dev/approvals/{token}/deny":         {"POST": forAll(inState(answerApproval(statusDenied)))},

	"oauth/authorize":         leftOut("the authorization code flow"),
	"oauth/bc-authorize":      leftOut("CIBA"),
	"agents/register":         leftOut("agent registration"),
	"agents/me/mcp/authorize": leftOut("MCP authorization"),
	"mcp/{server}/challenge":  leftOut("MCP"),
	"ssf/stream":              leftOut("SSF"),
	"ssf/verify":              leftOut("SSF"),
}

// wellKnown are found in each place where a client may look.
var wellKnown = map[string]methods{
	"jwks.json":                  {"GET": public((*call).jwks)},
	"oauth-authorization-server": {"GET": public((*call).metadata)},
	"openid-configuration":       {"GET": public((*call).metadata)},
	"oauth-protected-resource":   leftOut("MCP"),
	"ssf-configuration":          leftOut("SSF"),
}

func leftOut(what string) methods {
	no := func(*call) (any, error) {
		return nil, fail(http.StatusNotFound, codeNotFound, "lumodev leaves out %s", what)
	}
	return methods{"GET": no, "POST": no, "DELETE": no}
}

// The callers that an endpoint has.
var (
	forAgents    = only((*call).checkAgent)
	forReviewers = only((*call).checkReviewer)
	forAll       = only((*call).checkAnybody)
)

func only(check func(*call) error) func(handler) handler {
	return func(h handler) handler {
		return func(c *call) (any, error) {
			if err := check(c); err != nil {
				return nil, err
			}
			return h(c)
		}
	}
}

// with reads the body for a handler.
func with[In any](h func(*call, In) (any, error)) handler {
	return func(c *call) (any, error) {
		var in In
		if err := c.decode(&in); err != nil {
			return nil, err
		}
		return h(c, in)
	}
}

// public lets caches keep an answer and any web page read it: metadata and keys.
func public(h handler) handler {
	return func(c *call) (any, error) {
		c.header.Set("Cache-Control", "public, max-age=3600")
		c.header.Set("Access-Control-Allow-Origin", "*")
		return h(c)
	}
}

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	handle := func(pattern string, m methods) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, m) })
	}
	handle("/", nil)
	for name, m := range wellKnown {
		handle("/.well-known/"+name, m)
	}
	for _, prefix := range []string{"/orgs/{org}", "/t/{org}"} {
		handle(prefix, nil) // or the mux redirects to the next
		handle(prefix+"/{rest...}", nil)
		for path, m := range endpoints {
			handle(prefix+"/api/v1/"+path, m)
		}
		for name, m := range wellKnown {
			handle(prefix+"/.well-known/"+name, m)
			handle(prefix+"/api/v1/.well-known/"+name, m)
			handle("/.well-known/"+name+prefix, m) // RFC 8414, section 3.1
		}
	}
	return mux
}

// always is in the header of each answer, unless an endpoint says otherwise.
var always = http.Header{"Server": {serverName}, "Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}, "Content-Type": {"application/json"}}

// ServeHTTP implements [http.Handler]. It never redirects what changes anything: a
// client that follows turns POST into GET. So repeated and trailing slashes are read as if they were not
// there, and a path with dot segments is none of ours.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	maps.Copy(w.Header(), always)
	if s.page != nil && (r.URL.Path == pagePath || strings.HasPrefix(r.URL.Path, pagePath+"/")) {
		w.Header().Del("Content-Type") // or its style and script are JSON, which browsers leave alone
		s.page.ServeHTTP(w, r)
		return
	}
	path := "/" + strings.Trim(r.URL.EscapedPath(), "/")
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	unescaped, err := url.PathUnescape(path)
	if err != nil || strings.Contains(path, "/.") && slices.ContainsFunc(strings.Split(path, "/"), func(s string) bool { return s == "." || s == ".." }) {
		path, unescaped = "/", "/"
	}
	clean, u := *r, *r.URL
	u.Path, u.RawPath = unescaped, path
	clean.URL, clean.RequestURI = &u, "" // "*" as well has an answer
	s.mux.ServeHTTP(w, &clean)
}

// serve answers a request to the endpoint that has these methods.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, m methods) {
	if nonce := s.proofs.Nonce(); nonce != "" {
		w.Header().Set(dpop.HeaderNonce, nonce)
	}
	c := &call{s: s, r: r, methods: m, now: s.cfg.Now(), status: http.StatusOK, header: w.Header()}
	body, err := c.answer()
	var known *wireError
	switch {
	case err == nil:
	case errors.As(err, &known):
		maps.Copy(w.Header(), known.header)
		c.status, body = known.status, known.body()
	default:
		s.cfg.Logger.ErrorContext(r.Context(), "request failed", slog.String("path", c.path()), slog.Any("error", err))
		c.status = http.StatusInternalServerError
		body = fail(c.status, codeServerError, "the server failed; its log says why").body()
	}
	if err := write(w, c.status, body); err != nil {
		s.cfg.Logger.DebugContext(r.Context(), "response not sent", slog.String("path", c.path()), slog.Any("error", err))
	}
	log := s.cfg.Logger
	if !log.Enabled(r.Context(), slog.LevelInfo) {
		return
	}
	method := r.Method
	if !knownMethods[method] {
		method = "other" // a client may have invented it
	}
	log.LogAttrs(r.Context(), slog.LevelInfo, "request",
		slog.String("method", method), slog.String("path", c.path()), slog.Int("status", c.status),
		slog.String("client", c.who.clientName()), slog.Duration("duration", s.cfg.Now().Sub(c.now)))
}

var knownMethods = map[string]bool{
	"GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true, "OPTIONS": true, "CONNECT": true, "TRACE": true,
}

// answer turns a panic into an error, so that one bad request is one 500.
func (c *call) answer() (body any, err error) {
	defer func() {
		if p := recover(); p != nil {
			// The value may hold anything, so only its type is told.
			body, err = nil, fmt.Errorf("lumodev: panic of type %T\n%s", p, debug.Stack())
		}
	}()
	data, readErr := strictjson.ReadAll(c.r.Body, maxBody)
	c.body = data
	c.who, c.whoErr = c.s.authenticate(c.r, c.now)
	method := c.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	org := c.r.PathValue("org")
	switch {
	case org != "" && org != c.s.cfg.Org:
		return nil, fail(http.StatusNotFound, codeInvalidTenant, "no such organization")
	case c.methods == nil:
		return nil, fail(http.StatusNotFound, codeNotFound, "no such endpoint")
	case c.methods[method] == nil:
		e := fail(http.StatusMethodNotAllowed, codeMethodNotAllowed, "this endpoint wants another method")
		e.header = http.Header{"Allow": {strings.Join(slices.Sorted(maps.Keys(c.methods)), ", ")}}
		return nil, e
	case errors.Is(readErr, strictjson.ErrTooLarge):
		return nil, fail(http.StatusRequestEntityTooLarge, codeTooLarge, "the body is over %d bytes", maxBody)
	case readErr != nil:
		return nil, invalid("the body could not be read")
	}
	return c.methods[method](c)
}

// path returns the path as it may be logged: our organization and ids that look like
// ours, and the parameter's name for all else, which may be a credential in the wrong
// place.
func (c *call) path() string {
	if c.methods == nil {
		return "unmatched"
	}
	segments := strings.Split(c.r.Pattern, "/")
	for i, s := range segments {
		name, wild := strings.CutPrefix(s, "{")
		value := c.r.PathValue(strings.TrimSuffix(name, "}"))
		if wild && (value == c.s.cfg.Org || ownID.MatchString(value)) {
			segments[i] = value
		}
	}
	return strings.Join(segments, "/")
}

// root returns where the endpoints are, "/orgs/acme-corp/api/v1", as the client came.
func (c *call) root() string {
	prefix := "/orgs/"
	if strings.HasPrefix(c.r.Pattern, "/t/") {
		prefix = "/t/"
	}
	return prefix + url.PathEscape(c.s.cfg.Org) + "/api/v1"
}
