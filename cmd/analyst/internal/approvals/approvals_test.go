package approvals

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/secret"
)

// Where more wait than can be listed, nobody decides about another than the latest, and
// nobody is told that what is not listed does not wait.
func TestMoreThanCanBeListed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"requests":[{"request_id":"jit_%s"}],"pagination":{"hasNextPage":true}}`, r.URL.Query().Get("page"))
	}))
	defer server.Close()
	client, err := lumoauth.New(lumoauth.Config{URL: server.URL, Org: "acme-corp", ClientID: "reviewer", ClientSecret: secret.New("none")})
	if err != nil {
		t.Fatal(err)
	}
	person := reviewer{Reviewer: lumoauth.Reviewer{Client: client, Token: func(context.Context) (secret.String, error) { return secret.New("token"), nil }}}
	for id, want := range map[string]string{cli.Last: "the latest request is not known", "jit_99": "there is no waiting request jit_99"} {
		_, err := options{id: id}.find(t.Context(), person)
		if e := cli.Exit(err); err == nil || e.Err.Error() != want || !strings.Contains(e.Hint, "more requests wait than can be listed") {
			t.Errorf("find(%s) = %v", id, err)
		}
	}
	if r, err := (options{id: "jit_20"}).find(t.Context(), person); err != nil || r.ID != "jit_20" {
		t.Errorf("find(jit_20) = %v, %v", r.ID, err)
	}
}
