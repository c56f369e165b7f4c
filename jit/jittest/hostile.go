package jittest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/rar"
)

type (
	// refusal answers a call of the API in place of its guard.
	refusal func(http.ResponseWriter, *exchange)
	// abuse answers a call whose token was accepted in place of the handler.
	abuse func(*World, http.ResponseWriter, *http.Request)
	// tampering changes an answer of the authorization server.
	tampering func(op operation, status int, body []byte) (int, []byte)
)

// Hostile returns every hostile behaviour of this package by its name in plain
// words, so that one test can try a tool against them all. Whatever a tool makes of
// them, these hold afterwards: [World.AskedWithin] its ceiling, [World.NothingLeft],
// and [World.NothingLeaked] by what it hands on.
//
// An API that "demands more" or a server that "grants more" adds one action and one
// privilege; "another" is authority over something else than the call is about. Of
// the redirect (307) that follows a good token, [World.Elsewhere] counts what reaches
// the other host. A token is echoed as it is and encoded, in a header and in the body.
// A server that answers with garbage still opens and completes tasks.
func Hostile() map[string]Option {
	return map[string]Option{
		"API demands more":    demands(more),
		"API demands another": demands(another),
		"API demands elsewhere": demands(func(d rar.Detail) rar.Detail {
			d.Locations = []string{"https://elsewhere.example"}
			return d
		}),
		"API demands an unknown type": demands(func(d rar.Detail) rar.Detail {
			d.Type = "everything"
			return d
		}),
		"API demands many": refuses(func(rw http.ResponseWriter, e *exchange) {
			text, err := json.Marshal([]rar.Detail{e.need, another(e.need), more(e.need)})
			if err != nil {
				http.Error(rw, "the demand cannot be written", http.StatusInternalServerError)
				return
			}
			refuseWith(challenge.Header, base64.StdEncoding.EncodeToString(text))(rw, e)
		}),
		"API sends a huge header":      refuses(refuseWith(challenge.Header, strings.Repeat("A", 300<<10))),
		"API sends a malformed demand": refuses(refuseWith(challenge.Header, "{ this is %% no base64")),
		"API names no demand": refuses(refuseWith("WWW-Authenticate",
			challenge.Scheme+" "+challenge.MemberError+`="`+challenge.ErrorCode+`"`)),
		"API refuses forever":            demands(func(d rar.Detail) rar.Detail { return d }),
		"API redirects away":             abuses(redirectAway),
		"API echoes tokens":              abuses(echoToken),
		"authority grants more":          grants(more),
		"authority grants another":       grants(another),
		"authority answers with garbage": tampers(garbage),
	}
}

func redirectAway(w *World, rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Location", w.cfg.elsewhere+r.URL.EscapedPath())
	rw.WriteHeader(http.StatusTemporaryRedirect)
}

func echoToken(_ *World, rw http.ResponseWriter, r *http.Request) {
	header := "Bearer " + exchangeOf(r).token.Reveal() // to the client that sent it
	raw := []byte(header)
	rw.Header().Set("X-Echo", header)
	writeJSON(rw, map[string]string{
		"id": "echo", "title": header,
		"content": strings.Join([]string{
			base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(append([]byte("x"), raw...)),
			hex.EncodeToString(raw), url.QueryEscape(header),
		}, " . "),
	})
}

func garbage(op operation, status int, body []byte) (int, []byte) {
	if op == ask || op == redeem {
		return http.StatusOK, []byte("<html>502 Bad Gateway</html>")
	}
	return status, body
}

// refuseWith refuses with one header.
func refuseWith(name, value string) refusal {
	return func(rw http.ResponseWriter, _ *exchange) {
		rw.Header().Set(name, value)
		rw.WriteHeader(http.StatusForbidden)
	}
}

func refuses(r refusal) Option   { return func(c *config) { c.refuse, c.abuse = r, nil } }
func abuses(a abuse) Option      { return func(c *config) { c.refuse, c.abuse = nil, a } }
func tampers(t tampering) Option { return func(c *config) { c.tamper, c.regrant = t, nil } }

// demands refuses every call with a demand made from what the call needs.
func demands(change func(rar.Detail) rar.Detail) Option {
	return refuses(func(rw http.ResponseWriter, e *exchange) {
		if err := challenge.Write(rw, http.StatusForbidden, change(e.need.Clone()), ""); err != nil {
			http.Error(rw, "the demand cannot be written", http.StatusInternalServerError)
		}
	})
}

// grants changes what was asked for on its way to the server's decision, so that the
// token is a real one that covers the other.
func grants(change func(rar.Detail) rar.Detail) Option {
	return func(c *config) { c.tamper, c.regrant = nil, change }
}

// regrant returns a request for authority, or the answer to one, with another detail.
func regrant(body []byte, change func(rar.Detail) rar.Detail) ([]byte, error) {
	const member = "authorization_details"
	var members map[string]jsontext.Value
	if err := strictjson.Unmarshal(body, &members); err != nil {
		return nil, err
	}
	detail, err := rar.ParseOne(members[member])
	if err != nil {
		return nil, err
	}
	if members[member], err = change(detail).Canonical(); err != nil {
		return nil, err
	}
	return json.Marshal(members)
}

// more returns d with one action and one privilege more. Left out, either may mean
// everything, so that adding to one alone might be less.
func more(d rar.Detail) rar.Detail {
	d.Actions = append(slices.Clone(d.Actions), "delete_everything")
	d.Privileges = append(slices.Clone(d.Privileges), "admin")
	return d
}

// another returns d for something else.
func another(d rar.Detail) rar.Detail {
	d.Identifier += "_other"
	return d
}

// openElsewhere starts the other host, which keeps what it receives.
func (w *World) openElsewhere() {
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := strictjson.ReadAll(r.Body, maxRequest) // what is too long is not kept
		w.record.change(func() {
			w.record.elsewhere = append(w.record.elsewhere, fmt.Sprintf("%s %s\n%v\n%s", r.Method, r.URL, r.Header, body))
			w.record.story = append(w.record.story, func() string { return "another host: " + r.Method + " " + r.URL.Path })
		})
		writeJSON(rw, map[string]string{"id": "elsewhere", "content": "Content from another host."})
	}))
	w.t.Cleanup(server.Close)
	w.cfg.elsewhere = server.URL
}
