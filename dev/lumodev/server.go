package lumodev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/secret"
)

// serverName is in every response and in the log line of the start.
const serverName = "lumodev (development only)"

// Server is the authorization server: an [http.Handler], safe for concurrent use.
// Make one with [New] or [Start], and close it once.
type Server struct {
	cfg     Config
	keys    *keys
	routes  []route
	limits  *limits // nil when off
	store   *store  // nil without a StateDir
	agents  map[string]*Agent
	clients map[string]*Client
	users   map[int]*User

	mu      sync.Mutex // guards all below, and orders writes to the store
	st      *state
	issued  map[string]secret.String // JIT tokens by jti, for whoever lost the response
	swept   time.Time
	closed  bool
	closing error
}

var _ http.Handler = (*Server)(nil)

var errClosed = errors.New("lumodev: server is closed")

// New returns a server for cfg. It opens StateDir, if any, and holds it until
// Close. Errors say what to set, and never hold a secret.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.resolved()
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg:     cfg,
		routes:  routes(),
		agents:  make(map[string]*Agent),
		clients: make(map[string]*Client),
		users:   make(map[int]*User),
		st:      newState(),
		issued:  make(map[string]secret.String),
	}
	if cfg.RateLimit != nil {
		s.limits = newLimits(*cfg.RateLimit)
	}
	key, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("lumodev: make a signing key: %w", err)
	}
	if cfg.StateDir != "" {
		if s.store, err = openStore(context.Background(), cfg.StateDir); err != nil {
			return nil, err
		}
		if key, err = s.store.signingKey(); err == nil {
			s.st, err = s.store.load(context.Background())
		}
		if err != nil {
			return nil, errors.Join(err, s.store.close())
		}
	}
	if err := s.indexPrincipals(context.Background()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if s.keys, err = newKeys(s.Issuer(), key); err != nil {
		return nil, errors.Join(fmt.Errorf("lumodev: signing key: %w", err), s.Close())
	}
	return s, nil
}

// indexPrincipals fills in secrets that are missing, and the lookup tables.
func (s *Server) indexPrincipals(ctx context.Context) error {
	fill := func(clientID string, v *secret.String) (err error) {
		switch {
		case !v.IsZero():
		case s.store != nil:
			*v, err = s.store.clientSecret(ctx, clientID)
		default:
			*v = newSecret()
		}
		return err
	}
	for i := range s.cfg.Agents {
		a := &s.cfg.Agents[i]
		if err := fill(a.ClientID, &a.ClientSecret); err != nil {
			return err
		}
		s.agents[a.ClientID] = a
	}
	for i := range s.cfg.ResourceServers {
		c := &s.cfg.ResourceServers[i]
		if err := fill(c.ClientID, &c.ClientSecret); err != nil {
			return err
		}
		s.clients[c.ClientID] = c
	}
	for i := range s.cfg.Users {
		s.users[s.cfg.Users[i].ID] = &s.cfg.Users[i]
	}
	return nil
}

// Close releases the state directory. Requests that are being served fail.
// Closing again returns the same error.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		if s.store != nil {
			s.closing = s.store.close()
		}
	}
	return s.closing
}

// Issuer returns the iss of every token.
func (s *Server) Issuer() string { return s.cfg.BaseURL + "/orgs/" + url.PathEscape(s.cfg.Org) }

// Config returns the configuration in use, with all defaults and secrets filled
// in. Its agents, clients and users may be changed without effect on the server.
func (s *Server) Config() Config { return s.cfg.clone() }

// call is one request being served.
type call struct {
	s      *Server
	r      *http.Request
	now    time.Time
	params map[string]string
	root   string // "/orgs/acme-corp/api/v1", as the client came
	body   []byte
	who    principal  // of the bearer token; the zero principal without one
	whoErr *wireError // why there is none

	formValues url.Values
	formErr    error
}

func (c *call) ctx() context.Context { return c.r.Context() }

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := s.cfg.Now()
	w.Header().Set("Server", serverName)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")

	m, notFound := s.find(r)
	c := &call{s: s, r: r, now: start, params: m.params, root: m.prefix + "/api/v1"}
	rep, err := s.serve(w, c, m, notFound)
	status, body := http.StatusInternalServerError, any(nil)
	var known *wireError
	switch {
	case err == nil:
		status, body = rep.status, rep.body
	case errors.As(err, &known):
		maps.Copy(w.Header(), known.header)
		status, body = known.status, known.body()
	default:
		s.cfg.Logger.ErrorContext(r.Context(), "request failed", slog.String("path", m.log), slog.Any("error", err))
		body = fail(status, codeServerError, "the server failed; its log says why").body()
	}
	if err := write(w, status, body); err != nil {
		s.cfg.Logger.DebugContext(r.Context(), "response not sent", slog.String("path", m.log), slog.Any("error", err))
	}
	s.observe(r, Request{
		Method:   r.Method,
		Path:     m.log,
		Status:   status,
		Client:   c.who.clientName(),
		Duration: s.cfg.Now().Sub(start),
	})
}

// serve turns a panic into an error, so that one bad request is one 500.
func (s *Server) serve(w http.ResponseWriter, c *call, m *match, notFound *wireError) (rep *reply, err error) {
	defer func() {
		if p := recover(); p != nil {
			// The value may hold anything, so only its type is told.
			rep, err = nil, fmt.Errorf("lumodev: panic of type %T\n%s", p, debug.Stack())
		}
	}()
	body, readErr := strictjson.ReadAll(c.r.Body, maxBody)
	c.body = body
	c.who, c.whoErr = s.authenticate(c.r, c.now)
	if s.limits != nil {
		if err := s.limits.take(w, c, m); err != nil {
			return nil, err
		}
	}
	switch {
	case notFound != nil:
		return nil, notFound
	case errors.Is(readErr, strictjson.ErrTooLarge):
		return nil, fail(http.StatusRequestEntityTooLarge, codeTooLarge, "the body is over %d bytes", maxBody)
	case readErr != nil:
		return nil, fail(http.StatusBadRequest, codeInvalidRequest, "the body could not be read")
	}
	if m.route.public {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		w.Header().Set("Access-Control-Allow-Origin", "*")
	}
	return m.route.handler(c)
}

// observe reports one served request: one log line, and the hook.
func (s *Server) observe(r *http.Request, seen Request) {
	s.cfg.Logger.LogAttrs(r.Context(), slog.LevelInfo, "request",
		slog.String("method", safeMethod(seen.Method)),
		slog.String("path", seen.Path),
		slog.Int("status", seen.Status),
		slog.String("client", seen.Client),
		slog.Duration("duration", seen.Duration),
	)
	if s.cfg.Observe != nil {
		s.cfg.Observe(seen)
	}
}

// safeMethod keeps what a client may invent out of the log.
func safeMethod(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE":
		return method
	}
	return "other"
}

// update runs fn under the server's lock. fn adds what it changes to the change,
// which is durable before update returns nil; when fn or the store fails, nothing
// has changed.
func (c *call) update(fn func(*state, *change) error) error {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	var ch change
	s.sweep(&ch, c.now)
	if err := fn(s.st, &ch); err != nil {
		return err
	}
	if ch.empty() {
		return nil
	}
	return s.commit(c.ctx(), &ch)
}

// view runs fn under the server's lock. fn changes nothing.
func (c *call) view(fn func(*state) error) error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return fn(c.s.st)
}

// sweep forgets, at most once a minute, what nobody can ask for any more.
func (s *Server) sweep(ch *change, now time.Time) {
	if now.Sub(s.swept) < time.Minute {
		return
	}
	s.swept = now
	ch.forget = s.st.stale(now.Add(-s.cfg.Retention), now)
	for id := range s.issued {
		if tok := s.st.tokens[id]; !tok.liveAt(now) {
			delete(s.issued, id)
		}
	}
}

func (ch *change) empty() bool {
	return len(ch.tasks)+len(ch.requests)+len(ch.tokens)+len(ch.revoked)+len(ch.approvals)+len(ch.forget) == 0
}

// UserToken returns a fresh access token of the configured user with this email,
// for pending, approve and deny, and as a subject_token.
func (s *Server) UserToken(email string) (secret.String, error) {
	for _, u := range s.cfg.Users {
		if u.Email == email {
			return s.userToken(&u)
		}
	}
	return secret.String{}, fmt.Errorf("lumodev: no user %q", email)
}

func (s *Server) userToken(u *User) (secret.String, error) {
	std := lifetime(s.cfg.Now(), s.cfg.UserTokenTTL)
	std.Subject = strconv.Itoa(u.ID)
	std.Audience = []string{s.Issuer()}
	c := claims{
		ClientID:     userClientID,
		TokenUse:     useAccess,
		Organization: s.cfg.Org,
		Scope:        strings.Join(append([]string{"openid"}, u.Scopes...), " "),
		UserID:       u.ID,
		Email:        u.Email,
	}
	if u.Reviewer {
		c.Permissions = []string{permissionApprove}
	}
	return s.keys.sign(std, c)
}
