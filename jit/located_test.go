package jit_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
)

// TestLocationIsAskedForWhereTheCeilingNamesIt: an API that drops the location from its
// demand, and stays with that, gets no token that others take.
func TestLocationIsAskedForWhereTheCeilingNamesIt(t *testing.T) {
	at := func(locations ...string) rar.Detail { d := read("doc_1"); d.Locations = locations; return d }
	const here, elsewhere = "https://api.example.com", "https://other.example.com"
	for name, test := range map[string]struct {
		ceiling []rar.Detail
		demand  rar.Detail
		asked   rar.Detail
	}{
		"both wordings":         {[]rar.Detail{read("doc_1"), at(here)}, read("doc_1"), at(here)},
		"both, the other first": {[]rar.Detail{at(here), read("doc_1")}, read("doc_1"), at(here)},
		"as demanded":           {[]rar.Detail{read("doc_1"), at(here)}, at(here), at(here)},
		"none named":            {[]rar.Detail{read("doc_1")}, read("doc_1"), read("doc_1")},
		"another's":             {[]rar.Detail{read("doc_1"), at(elsewhere)}, read("doc_1"), read("doc_1")},
		"more than here":        {[]rar.Detail{read("doc_1"), at(here, elsewhere)}, read("doc_1"), read("doc_1")},
	} {
		for stays, want := range map[bool]error{false: nil, true: jit.ErrStillRefused} {
			authority := &fake.Authority{}
			c := offline(t, jit.Config{Authority: authority}, nil)
			if stays {
				c.over(tripper(func(*http.Request) (*http.Response, error) { return refusal([]rar.Detail{test.demand}) }))
			} else {
				c.over(guarded(func(*http.Request) rar.Detail { return test.demand }))
			}
			resp, err := c.get(t.Context(), "doc_1", test.ceiling...)
			if err == nil {
				_ = resp.Body.Close()
			}
			if !errors.Is(err, want) || (err != nil) != (want != nil) {
				t.Errorf("%s: GET = %v, want %v", name, err, want)
			}
			for _, asked := range authority.Asked() {
				if diff := cmp.Diff(test.asked, asked); diff != "" {
					t.Errorf("%s, stays with it %v: asked for (-want +got):\n%s", name, stays, diff)
				}
			}
		}
	}
}
