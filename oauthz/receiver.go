package oauthz

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/internal/serve"
)

// pageTimeout bounds how long a browser may take to read the page that ends a login.
const pageTimeout = 5 * time.Second

// A login is one visit of a person to the server's page. Its fields are set before it is
// waited for, and what came of it before done is closed.
type login struct {
	issuer     string // who must answer
	saysIssuer bool   // and names itself when it does
	state      string
	verifier   string // RFC 7636, section 4.1
	redirect   string // where the browser comes back to

	done chan struct{}
	code string
	err  *Error // in place of a code
}

func newLogin() *login {
	return &login{state: rand.Text(), verifier: rand.Text() + rand.Text(), done: make(chan struct{})}
}

// take reads an authorization response (RFC 6749, section 4.1.2). One of another server
// says nothing, not even that it failed (RFC 9207, section 2.4).
func (l *login) take(q url.Values) {
	defer close(l.done)
	iss := q.Get("iss")
	switch {
	case q.Has("iss") && iss != l.issuer, l.saysIssuer && !q.Has("iss"):
		l.err = &Error{Op: opLogin, Message: "the answer does not come from the server that was asked"}
	case q.Get("error") != "":
		l.err = &Error{Op: opLogin, Code: peer.Clean(q.Get("error"), maxText), Message: peer.Clean(q.Get("error_description"), maxText)}
	case q.Get("code") == "":
		l.err = &Error{Op: opLogin, Message: "the answer holds no code"}
	default:
		l.code = q.Get("code")
	}
}

// A receiver is where browsers come back to (RFC 8252, section 7.3). It listens only
// while somebody is expected. The first answer to a login counts, and what names no login
// changes nothing.
type receiver struct {
	log *slog.Logger

	mu     sync.Mutex
	on     string // host and port to listen on; port 0 is any
	at     string // what was listened on last, which is tried first: servers may want it the same
	path   string
	ln     net.Listener
	server *http.Server      // on ln; nil while nobody is expected
	logins map[string]*login // by state
}

// expect returns the address at which l is answered.
func (r *receiver) expect(l *login) (redirect string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server == nil {
		ln, err := serve.Listen(cmp.Or(r.at, r.on), false)
		if err != nil {
			ln, err = serve.Listen(r.on, false)
		}
		if err != nil {
			return "", errors.New("nothing can listen on " + r.on + ", where the browser is to come back to")
		}
		r.at, r.ln = ln.Addr().String(), ln
		r.server = serve.New(r, ln, "http://"+r.at, r.log)
		go func(s *http.Server) { _ = s.Serve(ln) }(r.server) // until it is closed
	}
	r.logins[l.state] = l
	return "http://" + r.at + r.path, nil
}

// drop expects nobody for l any more.
func (r *receiver) drop(l *login) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.logins, l.state)
	if len(r.logins) == 0 && r.server != nil {
		_ = r.ln.Close()          // now, for whoever is next
		go func(s *http.Server) { // the page of the last answer may be under way
			ctx, cancel := context.WithTimeout(context.Background(), pageTimeout)
			defer cancel()
			if s.Shutdown(ctx) != nil {
				_ = s.Close()
			}
		}(r.server)
		r.server = nil
	}
}

// ServeHTTP implements [http.Handler]. Nothing of the request is shown.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	q, err := url.ParseQuery(req.URL.RawQuery)
	for _, values := range q {
		if len(values) > 1 { // RFC 6749, section 3.1
			err = errors.New("a parameter comes twice")
		}
	}
	var l *login
	if err == nil && req.Method == http.MethodGet && req.URL.Path == r.path {
		r.mu.Lock()
		l = r.logins[q.Get("state")]
		delete(r.logins, q.Get("state"))
		r.mu.Unlock()
	}
	if l == nil {
		http.Error(w, "No login is waiting for this.", http.StatusBadRequest)
		return
	}
	l.take(q)
	if l.err != nil {
		http.Error(w, "The login did not work. The program that asked for it says more.", http.StatusBadRequest)
		return
	}
	_, _ = w.Write([]byte("You are logged in, and can close this page.\n"))
}
