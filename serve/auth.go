package serve

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/jitagent/jitagent/internal/serve"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/approval"
)

// cookieName is that of the cookie that a browser keeps a token in.
const cookieName = "analyst"

// maxUsers is how many users' rates are remembered.
const maxUsers = 10_000

// A usage counts what users have done. Its zero value is ready.
type usage struct {
	mu    sync.Mutex
	runs  int
	users map[string]*userUsage
}

type userUsage struct {
	runs  int
	open  int // requests
	bytes int // of their bodies
	rate  *rate.Limiter
}

// of returns that of a user. The caller holds u.mu.
func (u *usage) of(id string, perMinute int) *userUsage {
	if u.users[id] == nil {
		if u.users == nil || len(u.users) >= maxUsers { // whoever has nothing under way begins anew
			kept := map[string]*userUsage{}
			for id, one := range u.users {
				if one.runs+one.open > 0 {
					kept[id] = one
				}
			}
			u.users = kept
		}
		u.users[id] = &userUsage{rate: rate.NewLimiter(rate.Limit(perMinute)/60, max(perMinute/6, 1))}
	}
	return u.users[id]
}

// request lets a user make one more with a body of some bytes, -1 for nobody knows how many,
// and returns what is called at its end; nil where they make too many, or the bodies that are
// here come to more than those of the messages that may be answered at once.
func (s *server) request(user Principal, bytes int64) (end func()) {
	size := int(s.Limits.Body)
	if bytes >= 0 {
		size = int(min(bytes, s.Limits.Body))
	}
	u := &s.usage
	u.mu.Lock()
	defer u.mu.Unlock()
	one := u.of(user.ID, s.Limits.PerMinute)
	if !one.rate.Allow() || one.open >= s.Limits.OpenPerUser || one.bytes+size > s.Limits.RunsPerUser*int(s.Limits.Body) {
		return nil
	}
	one.open++
	one.bytes += size
	return u.leaving(func() { one.open--; one.bytes -= size })
}

// enter lets a run of a user begin, and returns what is called at its end; nil where too
// many are under way.
func (s *server) enter(user Principal) (end func()) {
	u := &s.usage
	u.mu.Lock()
	defer u.mu.Unlock()
	one := u.of(user.ID, s.Limits.PerMinute)
	if u.runs >= s.Limits.Runs || one.runs >= s.Limits.RunsPerUser {
		return nil
	}
	u.runs++
	one.runs++
	return u.leaving(func() { u.runs--; one.runs-- })
}

// leaving returns what counts down alone.
func (u *usage) leaving(down func()) (end func()) {
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		down()
	}
}

// authenticated lets users in.
func (s *server) authenticated(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, page := s.given(r)
		user, err := s.Users.Authenticate(r.Context(), token)
		if errors.Is(err, ErrNoUser) && !token.IsZero() {
			s.Logger.DebugContext(r.Context(), "a token is refused", "error", err)
		}
		switch {
		case errors.Is(err, ErrNoUser) && page:
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		case errors.Is(err, ErrNoUser):
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "a token of a user is needed", http.StatusUnauthorized)
			return
		case err != nil:
			s.Logger.ErrorContext(r.Context(), "a user could not be authenticated", "error", err)
			http.Error(w, "users cannot be authenticated at the moment", http.StatusServiceUnavailable)
			return
		case !idForm().MatchString(user.ID):
			http.Error(w, "the user's id is not one that can be used here", http.StatusForbidden)
			return
		}
		if !strings.HasPrefix(r.URL.Path, "/ui/") { // a page of the UI is dozens of files
			end := s.request(user, r.ContentLength)
			if end == nil {
				w.Header().Set("Retry-After", "10")
				http.Error(w, "too many requests", http.StatusTooManyRequests)
				return
			}
			defer end()
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, s.Limits.Body)
		ctx := approval.WithApprover(context.WithValue(r.Context(), userKey{}, user), approval.Approver(user))
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

// given returns the token that comes with a request, and whether a browser wants a page. Of
// another origin's page the cookie does not count, whatever site it is of.
func (s *server) given(r *http.Request) (token secret.String, page bool) {
	if scheme, value, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return secret.New(strings.TrimSpace(value)), false
	}
	page = r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html")
	if c, err := r.Cookie(cookieName); err == nil && !slices.Contains(s.Origins, r.Header.Get("Origin")) {
		return secret.New(c.Value), page
	}
	return secret.New(""), page
}

// proxied answers [Config.Proxies] alone, where there are any, for what came to them by TLS.
func (s *server) proxied(h http.Handler) http.Handler {
	if len(s.Proxies) == 0 {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		known := err == nil && slices.ContainsFunc(s.Proxies, func(p netip.Prefix) bool { return p.Contains(from.Addr().Unmap()) })
		hosts, protos := r.Header.Values("X-Forwarded-Host"), r.Header.Values("X-Forwarded-Proto")
		switch {
		case !known:
			http.Error(w, "this server answers its proxy", http.StatusForbidden)
			return
		case len(hosts) > 1 || len(protos) > 1 || len(protos) == 1 && protos[0] != "https":
			http.Error(w, "the proxy forwards what did not come by TLS, or what clients say of themselves", http.StatusForbidden)
			return
		case len(hosts) == 1:
			r = r.WithContext(r.Context())
			r.Host = hosts[0]
		}
		h.ServeHTTP(w, r)
	})
}

// shared lets pages of [Config.Origins] read answers (https://fetch.spec.whatwg.org, CORS).
// They come with a token of their own: cookies are not shared.
func (s *server) shared(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		if origin := r.Header.Get("Origin"); slices.Contains(s.Origins, origin) {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Expose-Headers", "A2A-Extensions, Retry-After")
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				w.Header().Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
				w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, A2A-Version, A2A-Extensions")
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}

var signInHTML = template.Must(template.New("login").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Sign in</title>
<link rel="stylesheet" href="/style.css">
<main>
<h1>Sign in</h1>
{{with .}}<p role="alert">{{.}}</p>{{end}}
<form method="post" action="/login"><label>Token <input type="password" name="token" autocomplete="off" required autofocus></label>
<p><button>Sign in</button></p></form>
</main>
`))

func signInPage(w http.ResponseWriter, _ *http.Request) { showSignIn(w, http.StatusOK, "") }

func showSignIn(w http.ResponseWriter, status int, problem string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", strict)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = signInHTML.Execute(w, problem) // whoever asked is gone
}

// signIn keeps a token in the browser.
func (s *server) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		status, why := serve.Unread(err)
		showSignIn(w, status, "Nobody is signed in: "+why+".")
		return
	}
	token := strings.TrimSpace(r.PostForm.Get("token"))
	switch _, err := s.Users.Authenticate(r.Context(), secret.New(token)); {
	case errors.Is(err, ErrNoUser):
		s.Logger.DebugContext(r.Context(), "a token is refused", "error", err)
		showSignIn(w, http.StatusForbidden, "This token is not that of a user.")
		return
	case err != nil:
		s.Logger.ErrorContext(r.Context(), "a user could not be authenticated", "error", err)
		showSignIn(w, http.StatusServiceUnavailable, "Users cannot be authenticated at the moment.")
		return
	}
	s.keep(w, token, 12*time.Hour)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *server) signOut(w http.ResponseWriter, r *http.Request) {
	s.keep(w, "", -1)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

func (s *server) keep(w http.ResponseWriter, token string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure where the server is reached over TLS
		Name: cookieName, Value: token, Path: "/", MaxAge: int(life / time.Second),
		HttpOnly: true, Secure: s.URL.Scheme == "https", SameSite: http.SameSiteStrictMode,
	})
}
