package jittest

import (
	"net/http"
	"path"
	"slices"
	"time"

	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
)

// An Option says what a world is like. Of two that contradict each other, such as two
// hostile APIs, the last one counts.
type Option func(*config)

type config struct {
	routes   []route
	engine   []func(*jit.Config)
	server   []func(*lumodev.Config)
	patience time.Duration // how long what is waited for may take

	denied, person  []rar.Detail // what a policy denies, and what a person decides
	denyAll, askAll bool

	refuse refusal   // how a hostile API answers; nil is friendly
	abuse  abuse     // what a hostile API does with a good token
	tamper tampering // what a hostile authorization server makes of its answers

	regrant func(rar.Detail) rar.Detail // what it grants in place of what was asked

	elsewhere string // URL of another host, once it is started
}

// Read returns the detail for reading id, as the API demands it by default.
func Read(id string) rar.Detail { return access("read", id) }

// Write returns the detail for writing id, as the API demands it by default.
func Write(id string) rar.Detail { return access("write", id) }

func access(action, id string) rar.Detail {
	return rar.Detail{Type: "file_access", Actions: []string{action}, Identifier: id}
}

// byPath is the default demand.
func byPath(r *http.Request) rar.Detail {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return Read(path.Base(r.URL.Path))
	}
	return Write(path.Base(r.URL.Path))
}

type route struct {
	pattern string
	demand  func(*http.Request) rar.Detail
	handler http.HandlerFunc
}

// Route lets the API serve a pattern of [http.ServeMux], such as "GET
// /invoices/{id}". A call needs what demand returns: a demand of nil is [Read] of the
// path's last element for GET and HEAD, and [Write] of it for other methods; one that returns the zero Detail lets every call pass that
// has a token of the agent. A handler of nil answers 200 with a small JSON object.
// The handler sees the request without its Authorization header, and finds the
// token by [github.com/jitagent/jitagent/resource.FromContext].
//
// Without any Route the API serves every path.
func Route(pattern string, demand func(*http.Request) rar.Detail, handler http.HandlerFunc) Option {
	return func(c *config) { c.routes = append(c.routes, route{pattern, demand, handler}) }
}

// Engine changes the engine's configuration, such as its Wait, Policy or Journal.
// By default a pending request is a *jit.PendingError at once.
func Engine(change func(*jit.Config)) Option {
	return func(c *config) { c.engine = append(c.engine, change) }
}

// AuthServer changes the authorization server's configuration, such as its users, or
// its clock, by which tokens and tasks expire. Its base URL is the world's.
func AuthServer(change func(*lumodev.Config)) Option {
	return func(c *config) {
		c.server = append(c.server, func(cfg *lumodev.Config) {
			change(cfg)
			cfg.BaseURL = ""
		})
	}
}

// Denying denies requests at once: those for one of the details, compared whole, or
// all when there are none.
func Denying(details ...rar.Detail) Option {
	return func(c *config) { c.denied, c.denyAll = details, len(details) == 0 }
}

// PersonDecides leaves requests pending until [World.Approve] or [World.Deny]: those
// for one of the details, compared whole, or all when there are none. What is denied
// by [Denying] is not asked of anybody.
func PersonDecides(details ...rar.Detail) Option {
	return func(c *config) { c.person, c.askAll = details, len(details) == 0 }
}

// The levels that lumodev decides by.
const (
	levelGranted = lumodev.Low
	levelPerson  = lumodev.High
	levelDenied  = lumodev.Critical
)

// assess turns the options into the level of a request.
func (c *config) assess(d rar.Detail) lumodev.Risk {
	switch {
	case c.denyAll || contains(c.denied, d):
		return levelDenied
	case c.askAll || contains(c.person, d):
		return levelPerson
	}
	return levelGranted
}

func contains(list []rar.Detail, d rar.Detail) bool {
	return slices.ContainsFunc(list, func(other rar.Detail) bool { return rar.Equal(other, d) })
}
