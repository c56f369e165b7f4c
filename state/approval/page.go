package approval

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jitagent/jitagent/internal/plain"
)

//go:embed page.html page.css page.js
var files embed.FS

// Style is how its pages look, for pages that stand beside them.
//
//go:embed page.css
var Style string

// Limits of a page.
const (
	keyLife     = 15 * time.Minute // of a sign-in link
	sessionLife = 12 * time.Hour
	maxKeys     = 64        // links and sessions that live at a time
	perMinute   = 30        // decisions; a key is too long to be guessed
	maxForm     = 256 << 10 // 50 digests, and what may be taken away of a long request
	cookieName  = "approvals"
)

// PageConfig says what a [Page] shows. Decider and Path are required.
type PageConfig struct {
	Decider Decider
	Path    string           // under which the page is mounted, such as "/approvals"
	Secure  bool             // it is served over TLS, which its cookie then requires
	Now     func() time.Time // nil is time.Now
	// SignedIn says who may decide, in place of links: whoever mounts the page has
	// authenticated them, and bounds what each of them sends. nil is by links.
	SignedIn func(*http.Request) bool
}

// A Page is where a person decides in a browser: an [http.Handler] for Path and what is
// below it. It works without JavaScript. A person signs in by a link that works once; no
// token of any kind is a way in. It takes no decision from another origin, and is in
// no frame. Whoever mounts it sees to the Host header. It is safe for concurrent use.
type Page struct {
	cfg     PageConfig
	html    *template.Template // of its own: a program without a page links none
	handler http.Handler

	mu       sync.Mutex
	links    map[[32]byte]time.Time // until when they work, by the hash of their keys
	sessions map[[32]byte]time.Time // the same
	recent   []time.Time            // decisions of the last minute
}

// NewPage returns a page.
func NewPage(cfg PageConfig) *Page {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	p := &Page{cfg: cfg, links: map[[32]byte]time.Time{}, sessions: map[[32]byte]time.Time{}}
	p.html = template.Must(template.New("page.html").Funcs(template.FuncMap{
		"shown": func(text string) string { return plain.Escape(text, maxLabel) },
	}).ParseFS(files, "page.html"))
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+cfg.Path+"/page.css", p.file)
	mux.HandleFunc("GET "+cfg.Path+"/page.js", p.file)
	if cfg.SignedIn == nil {
		mux.HandleFunc("GET "+cfg.Path+"/sign-in", func(w http.ResponseWriter, r *http.Request) {
			p.show(w, http.StatusOK, view{Key: r.URL.Query().Get("key"), SignIn: true})
		})
		mux.HandleFunc("POST "+cfg.Path+"/sign-in", p.signIn)
	}
	mux.HandleFunc("GET "+cfg.Path, p.signedIn(p.list))
	mux.HandleFunc("GET "+cfg.Path+"/{id}", p.signedIn(p.one))
	mux.HandleFunc("POST "+cfg.Path+"/{id}", p.signedIn(p.decide))
	p.handler = http.NewCrossOriginProtection().Handler(mux)
	return p
}

// ServeHTTP implements [http.Handler].
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	p.handler.ServeHTTP(w, r)
}

// SignIn returns the path and query of a new link by which a person signs in, once,
// within a quarter of an hour.
func (p *Page) SignIn() string {
	return p.cfg.Path + "/sign-in?key=" + url.QueryEscape(p.issue(p.links, keyLife))
}

// issue makes a key that works for a while. Of too many the one that ends first goes.
func (p *Page) issue(keys map[[32]byte]time.Time, life time.Duration) string {
	key := rand.Text()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(keys) >= maxKeys {
		var oldest [32]byte
		for k, end := range keys {
			if first, ok := keys[oldest]; !ok || end.Before(first) {
				oldest = k
			}
		}
		delete(keys, oldest)
	}
	keys[sha256.Sum256([]byte(key))] = p.cfg.Now().Add(life)
	return key
}

// works reports whether a key is in force, and with once that it is used up.
func (p *Page) works(keys map[[32]byte]time.Time, key string, once bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	hash := sha256.Sum256([]byte(key))
	end, ok := keys[hash]
	if once {
		delete(keys, hash)
	}
	return ok && p.cfg.Now().Before(end)
}

// busy reports, and answers, that more was sent in a minute than a person does. Where there
// are several, whoever mounts the page bounds what each sends.
func (p *Page) busy(w http.ResponseWriter) bool {
	if p.cfg.SignedIn != nil {
		return false
	}
	p.mu.Lock()
	now := p.cfg.Now()
	p.recent = slices.DeleteFunc(p.recent, func(t time.Time) bool { return now.Sub(t) >= time.Minute })
	busy := len(p.recent) >= perMinute
	if !busy {
		p.recent = append(p.recent, now)
	}
	p.mu.Unlock()
	if busy {
		w.Header().Set("Retry-After", "60")
		p.show(w, http.StatusTooManyRequests, view{Problem: "Too much at a time: wait a minute."})
	}
	return busy
}

func (p *Page) signIn(w http.ResponseWriter, r *http.Request) {
	if !p.works(p.links, r.PostFormValue("key"), true) {
		p.show(w, http.StatusForbidden, view{Out: true, Problem: "This link was used, or it is too old. The program that printed it prints a new one when it is started again."})
		return
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure where the page is served over TLS
		Name: cookieName, Value: p.issue(p.sessions, sessionLife), Path: p.cfg.Path, MaxAge: int(sessionLife / time.Second),
		HttpOnly: true, Secure: p.cfg.Secure, SameSite: http.SameSiteStrictMode,
	})
	http.Redirect(w, r, p.cfg.Path, http.StatusSeeOther)
}

func (p *Page) signedIn(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if p.cfg.SignedIn != nil {
			if !p.cfg.SignedIn(r) {
				p.show(w, http.StatusForbidden, view{Out: true, Problem: "You are not among those who decide."})
				return
			}
		} else if c, err := r.Cookie(cookieName); err != nil || !p.works(p.sessions, c.Value, false) {
			p.show(w, http.StatusForbidden, view{Out: true, Problem: "Sign in with the link that the program has printed."})
			return
		}
		h(w, r)
	}
}

// A view is what the template is given.
type view struct {
	Path     string
	Out      bool // who asks is not let in
	SignIn   bool
	Key      string
	Problem  string
	Said     string
	List     bool
	Requests []Request
	One      *Request
	Choices  []string // what can be taken away, as [Request.Less] takes it
	Now      time.Time
}

// Left is how long a request still waits, in words.
func (v view) Left(r Request) string {
	if r.ExpiresAt.IsZero() {
		return "no end is named"
	}
	return max(0, r.ExpiresAt.Sub(v.Now)).Round(time.Second).String() + " left"
}

func (p *Page) show(w http.ResponseWriter, status int, v view) {
	v.Path, v.Now = p.cfg.Path, p.cfg.Now()
	var b bytes.Buffer
	if err := p.html.Execute(&b, v); err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // whoever asked is gone
}

func (p *Page) file(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, files, r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]) //nolint:gosec // a name without a slash, in what is embedded
}

func (p *Page) list(w http.ResponseWriter, r *http.Request) {
	list, more, err := p.cfg.Decider.Pending(r.Context())
	if err != nil {
		p.show(w, http.StatusBadGateway, view{Problem: "The requests could not be read."})
		return
	}
	v := view{List: true, Requests: Together(list)}
	if more {
		v.Problem = "More requests wait than can be listed: the newest are missing here."
	}
	p.show(w, http.StatusOK, v)
}

// shown returns what waits of what a person was shown as one request, nil for nothing, and
// whether the digests are of others as well, which ask something else.
func (p *Page) shown(ctx context.Context, digests []string) (found *Request, others bool) {
	list, _, err := p.cfg.Decider.Pending(ctx)
	list = Together(slices.DeleteFunc(slices.Clone(list), func(r Request) bool { return !slices.Contains(digests, r.Digest()) }))
	if err != nil || len(list) == 0 {
		return nil, false
	}
	return &list[0], len(list) > 1
}

// find returns a request that waits, with those that ask the same; nil where it does not.
func (p *Page) find(ctx context.Context, id string) *Request {
	list, _, err := p.cfg.Decider.Pending(ctx)
	list = Together(list)
	i := slices.IndexFunc(list, func(r Request) bool {
		return slices.ContainsFunc(r.All(), func(one Request) bool { return one.ID == id })
	})
	if err != nil || i < 0 {
		return nil
	}
	return &list[i]
}

// one shows a request, which one that was shown before is while any of it waits.
func (p *Page) one(w http.ResponseWriter, r *http.Request) {
	found := p.find(r.Context(), r.PathValue("id"))
	if found == nil {
		found, _ = p.shown(r.Context(), r.URL.Query()["digest"])
	}
	if found == nil {
		p.show(w, http.StatusNotFound, view{Problem: "No such request waits: it was decided, or its time is over."})
		return
	}
	p.show(w, http.StatusOK, view{One: found, Choices: found.choices()})
}
