package jittest_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest"
	"github.com/jitagent/jitagent/rar"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

// TestHostile says of each hostile behaviour what it is to a client that does all
// right.
func TestHostile(t *testing.T) {
	asks, not := []rar.Detail{doc1}, []rar.Detail(nil)
	type row struct {
		asked  []rar.Detail
		err    error  // wrapped by what the call returns; nil leaves it to text
		text   string // of the error; "" means that the call works
		issued int
	}
	rows := map[string]row{
		"API demands more":               {not, jit.ErrOutsideCeiling, "actions", 0},
		"API demands another":            {not, jit.ErrOutsideCeiling, "identifier", 0},
		"API demands elsewhere":          {not, jit.ErrOutsideCeiling, "locations", 0},
		"API demands an unknown type":    {not, jit.ErrOutsideCeiling, "type", 0},
		"API demands many":               {not, jit.ErrOutsideCeiling, "", 0},
		"API sends a huge header":        {not, nil, "header", 0},
		"API sends a malformed demand":   {not, nil, "unreadable demand", 0},
		"API names no demand":            {not, nil, "unreadable demand", 0},
		"API refuses forever":            {asks, jit.ErrStillRefused, "4 tries", 0},
		"API redirects away":             {asks, nil, "", 1},
		"API echoes tokens":              {asks, nil, "", 1},
		"authority grants more":          {asks, jit.ErrOvergrant, "", 1},
		"authority grants another":       {asks, jit.ErrOvergrant, "", 1},
		"authority answers with garbage": {asks, nil, "request", 0},
	}
	hostile := jittest.Hostile()
	if len(hostile) != len(rows) {
		t.Errorf("%d hostile behaviours, and %d are tested", len(hostile), len(rows))
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			if hostile[name] == nil {
				t.Fatal("no such behaviour")
			}
			w := jittest.Start(t, hostile[name])
			status, body, err := w.Get("/documents/doc_1", doc1)
			switch {
			case row.err == nil && row.text == "":
				if err != nil || status != 200 {
					t.Errorf("Get() = %d, %v, want 200", status, err)
				}
			case err == nil:
				t.Errorf("Get() = %d %s, want an error", status, body)
			case row.err != nil && !errors.Is(err, row.err), !contains(err.Error(), row.text):
				t.Errorf("Get() = %v, want %v and %q", err, row.err, row.text)
			}
			if name != "API refuses forever" {
				w.AskedExactly(row.asked...)
				if got := strings.Count(w.Story(), "issued: "); got != row.issued {
					t.Errorf("%d tokens were issued, want %d", got, row.issued)
				}
			}
			w.AskedWithin(doc1)
			w.NothingLeft()
			w.NothingLeaked(err)
		})
	}
}

func TestLastHostileBehaviourCounts(t *testing.T) {
	w := jittest.Start(t, jittest.Hostile()["API demands more"], jittest.Hostile()["API echoes tokens"], jittest.Hostile()["authority answers with garbage"], jittest.Hostile()["authority grants more"])
	if _, _, err := w.Get("/documents/doc_1", doc1); !errors.Is(err, jit.ErrOvergrant) {
		t.Errorf("Get() = %v, want ErrOvergrant", err)
	}
	w = jittest.Start(t, jittest.Hostile()["API echoes tokens"], jittest.Hostile()["API refuses forever"], jittest.Hostile()["authority grants more"], jittest.Hostile()["authority answers with garbage"])
	fetch(w)
	if got := w.Asked(); len(got) != 1 || got[0].Status != "garbage" {
		t.Errorf("asked = %+v, want one request that got garbage", got)
	}
}

// A client that follows the redirect with its credentials is found out.
func TestRedirectsAwayFindsTheTokenElsewhere(t *testing.T) {
	failures := run(t, func(t *recorder) {
		w := jittest.Start(t, jittest.Hostile()["API redirects away"])
		must(t)(w.Get("/documents/doc_1", doc1))
		if w.Elsewhere() != 1 {
			t.T.Errorf("%d calls reached the other host, want one", w.Elsewhere())
		}
		w.NothingLeaked() // jit.Transport sent none
		careless(t.T, w)
		w.NothingLeaked()
	})
	wantFailure(t, failures, "a call of another host holds token 2")
}

// careless calls the API with a granted token, and takes it along to wherever the
// API sends it.
func careless(t *testing.T, w *jittest.World) {
	t.Helper()
	grant, err := jit.Acquire(w.Call(doc1), doc1)
	if err != nil {
		t.Fatal(err)
	}
	bearer := []string{"Bearer " + grant.Token.Reveal()}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.API.String()+"/documents/doc_1", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header["Authorization"] = bearer
	client := http.Client{CheckRedirect: func(next *http.Request, _ []*http.Request) error {
		next.Header["Authorization"] = bearer
		return nil
	}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
}

func TestEchoesTokensIsFound(t *testing.T) {
	failures := run(t, func(t *recorder) {
		w := jittest.Start(t, jittest.Hostile()["API echoes tokens"])
		w.NothingLeaked(must(t)(w.Get("/documents/doc_1", doc1)))
	})
	wantFailure(t, failures, "output 1 (string) holds token 1")
}
