package resource_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
	"github.com/jitagent/jitagent/secret"
)

// A protected handler in three steps: who issues tokens, what each call needs,
// and the handler itself.
func ExampleVerifier_Require() {
	verifier, err := resource.New(context.Background(), resource.Config{
		Issuer:           "https://app.lumoauth.dev/orgs/acme-corp",
		JWKSURL:          "https://app.lumoauth.dev/orgs/acme-corp/api/v1/.well-known/jwks.json",
		IntrospectionURL: "https://app.lumoauth.dev/orgs/acme-corp/api/v1/oauth/introspect",
		ClientID:         "documents-api",
		ClientSecret:     secret.New("read it from the environment"),
		Realm:            "documents",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	need := func(r *http.Request) (rar.Detail, error) {
		return rar.Detail{
			Type:       "file_access",
			Actions:    []string{"read"},
			Identifier: r.PathValue("id"),
			Locations:  []string{"https://api.acme-corp.com"},
		}, nil
	}
	read := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := resource.FromContext(r.Context())
		_, _ = fmt.Fprintf(w, "document %s for task %s", r.PathValue("id"), token.TaskID)
	})
	mux := http.NewServeMux()
	mux.Handle("GET /documents/{id}", verifier.Require(need, read))

	// A caller without a token learns only that it needs one.
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/documents/doc_9982", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output: 401 Bearer realm="documents"
}
