package doctor

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/tools"
)

// TestCheckAPIAsksWhereTheToolsDo: only with fetch_document is there an endpoint that
// must be protected; of other tools nothing is claimed.
func TestCheckAPIAsksWhereTheToolsDo(t *testing.T) {
	open := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(open.Close)
	api, err := url.Parse(open.URL)
	if err != nil {
		t.Fatal(err)
	}
	fetch := func(api *url.URL, opts tools.Options) ([]tool.Tool, error) {
		made, err := tools.FetchDocument(api, opts)
		return []tool.Tool{made}, err
	}
	if f := (options{toolkit: fetch}).checkAPI(t.Context(), api); f.OK || f.Unknown {
		t.Errorf("with fetch_document: %+v, want a failure", f)
	}
	other := func(*url.URL, tools.Options) ([]tool.Tool, error) { return nil, nil }
	if f := (options{toolkit: other}).checkAPI(t.Context(), api); !f.OK || !f.Unknown {
		t.Errorf("with other tools: %+v, want unknown", f)
	}
}
