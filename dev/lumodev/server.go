package lumodev

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/sync/errgroup"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/approval"
)

// serverName is in every response and in the log line of the start.
const serverName = "lumodev (development only)"

// Server is the authorization server: an [http.Handler], safe for concurrent use.
// Make one with [New], or with package dev, which listens, and close it once.
type Server struct {
	cfg     Config
	keys    *keys
	proofs  *dpop.Verifier
	mux     *http.ServeMux
	page    *approval.Page // nil when nobody may decide
	store   *store         // nil without a StateDir
	agents  map[string]*Agent
	clients map[string]*Client
	users   map[int]*User

	calls   errgroup.Group  // of callbacks
	calling context.Context // until hangUp
	hangUp  context.CancelFunc

	mu      sync.Mutex // guards all below, and orders writes to the store
	st      *state
	issued  map[string]issued // JIT tokens by jti, for whoever lost the response
	swept   time.Time
	crowded int // as many tasks are swept before their minute
	closed  bool
	closing error
}

var _ http.Handler = (*Server)(nil)

// issued is a token with the key that it is bound to, if any.
type issued struct {
	raw secret.String
	to  bound
}

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
		agents:  make(map[string]*Agent),
		clients: make(map[string]*Client),
		users:   make(map[int]*User),
		st:      newState(),
		issued:  make(map[string]issued),
	}
	s.calls.SetLimit(64) // of more nobody is told
	s.calling, s.hangUp = context.WithCancel(context.Background())
	s.mux = s.routes()
	s.openPage()
	if s.proofs, err = dpop.NewVerifier(dpop.Config{Origin: cfg.BaseURL, Nonces: cfg.DPoP, Now: cfg.Now}); err != nil {
		return nil, fmt.Errorf("lumodev: %w", err)
	}
	key, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("lumodev: make a signing key: %w", err)
	}
	if cfg.StateDir != "" {
		if s.store, err = openStore(cfg.StateDir); err != nil {
			return nil, err
		}
		if key, err = s.store.signingKey(key); err == nil {
			s.st, err = s.store.load()
		}
		if err != nil {
			return nil, errors.Join(err, s.store.close())
		}
	}
	if err := s.indexPrincipals(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if s.keys, err = newKeys(cfg.BaseURL+"/orgs/"+url.PathEscape(cfg.Org), key); err != nil {
		return nil, errors.Join(fmt.Errorf("lumodev: signing key: %w", err), s.Close())
	}
	cfg.Logger.Info(serverName+" starts", "issuer", s.Issuer(), "persistent", s.store != nil)
	return s, nil
}

// indexPrincipals fills in secrets that are missing, and the lookup tables.
func (s *Server) indexPrincipals() error {
	fill := func(clientID string, v *secret.String) (err error) {
		switch {
		case !v.IsZero():
		case s.store != nil:
			*v, err = s.store.kept(clientID, newSecret())
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
	s.hangUp()
	_ = s.calls.Wait() // which take no lock, and no longer than to hang up
	if !s.closed {
		s.closed = true
		if s.store != nil {
			s.closing = s.store.close()
		}
	}
	return s.closing
}

// Issuer returns the iss of every token.
func (s *Server) Issuer() string { return s.keys.issuer }

// Config returns the configuration in use, with all defaults and secrets filled
// in. Its agents, clients and users may be changed without effect on the server.
func (s *Server) Config() Config { return s.cfg.clone() }

// call is one request being served.
type call struct {
	s       *Server
	r       *http.Request
	methods methods // of the endpoint; nil when the path leads nowhere
	now     time.Time
	body    []byte
	who     principal  // of the bearer token; the zero principal without one
	whoErr  *wireError // why there is none
	form    url.Values // of an OAuth endpoint
	bound   bound      // that a token of the token endpoint is to be bound to

	status int         // of the answer
	header http.Header // of the answer

	// Of a handler that runs inState: what there is, and what it changes.
	st *state
	ch *change
}

// inState runs h under the server's lock, with c.st and c.ch. What h changes is
// durable before it is answered; when h or the store fails, nothing has changed.
func inState(h handler) handler {
	return func(c *call) (body any, err error) {
		s := c.s
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed {
			return nil, errClosed
		}
		c.now = s.cfg.Now() // what was true before the lock may be over
		c.st, c.ch = s.st, new(change)
		s.sweep(c.ch, c.now)
		if body, err = h(c); err != nil {
			return nil, err
		}
		if err := s.commit(c.ch); err != nil {
			return nil, err
		}
		for _, r := range c.ch.decided {
			s.tell(r)
		}
		return body, nil
	}
}

// maxEnded is how many tasks that have ended stay known, within Retention. There may
// be twice as many until they are swept.
const maxEnded = 4096

// sweep forgets, at most once a minute or when there are many, what nobody can ask
// for any more.
func (s *Server) sweep(ch *change, now time.Time) {
	if now.Sub(s.swept) < time.Minute && len(s.st.tasks) < s.crowded {
		return
	}
	s.swept = now
	ch.forget = s.st.stale(now.Add(-s.cfg.Retention), now)
	s.crowded = len(s.st.tasks) + maxEnded
	for _, key := range ch.forget {
		if _, isTask := s.st.tasks[key.id]; isTask {
			s.crowded--
		}
	}
	for id := range s.issued {
		if tok := s.st.tokens[id]; !tok.liveAt(now) {
			delete(s.issued, id)
		}
	}
}

// Reviewer returns a fresh access token of the first configured user who may decide, as
// the Token of a lumoauth.Reviewer does.
func (s *Server) Reviewer(context.Context) (secret.String, error) {
	i := slices.IndexFunc(s.cfg.Users, func(u User) bool { return u.Reviewer })
	if i < 0 {
		return secret.String{}, errors.New("lumodev: no user decides")
	}
	return s.UserToken(s.cfg.Users[i].Email)
}

// UserToken returns a fresh access token of the configured user with this email,
// for pending, approve and deny, and as a subject_token.
func (s *Server) UserToken(email string) (secret.String, error) {
	u := s.userByEmail(email)
	if u == nil {
		return secret.String{}, fmt.Errorf("lumodev: no user %q", email)
	}
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
	std := registered{Subject: strconv.Itoa(u.ID), Audience: jwt.Audience{s.Issuer()}}
	return s.keys.sign(members{lifetime(std, s.cfg.Now(), s.cfg.UserTokenTTL), c, nil})
}
