package tools

import (
	"net/url"

	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/rar"
)

// SearchArgs are the arguments of search_documents.
type SearchArgs struct {
	Query string `json:"query" jsonschema:"description=Words that stand in the documents\\, or * for all documents,minLength=1,maxLength=200"`
}

// Found is the result of search_documents.
type Found struct {
	Documents []FoundDocument `json:"documents"`
	Total     int             `json:"total"` // of which the API shows the first
}

// FoundDocument is one document that was found.
type FoundDocument struct {
	ID      string `json:"id"`
	Title   string `json:"title"`
	Kind    string `json:"kind,omitempty"`
	Snippet string `json:"snippet,omitempty"`
}

// SearchDocuments returns the tool search_documents for the documents API at api: GET
// {api}/v1/documents?query=.... A call may ask for searching documents, and for
// nothing else. Not every API has a search: it is for who runs the agent to say so.
func SearchDocuments(api *url.URL, opts Options) (tool.Tool, error) {
	return analysts(opts, Spec[SearchArgs]{
		Name: "search_documents", API: api,
		Aim: &policy.Aim{Records: policy.Records{Type: "document", ID: "id", Name: "title"}},
		Ceiling: func(SearchArgs) []rar.Detail {
			return wordings(api, rar.Detail{Type: "file_access", Actions: []string{"search"}, Identifier: "documents"}, "v1/documents")
		},
		Justify: func(a SearchArgs) string { return "Search documents for " + quoted(a.Query) },
	}, func(ctx Context, a SearchArgs) (Found, error) {
		at := api.JoinPath("v1/documents")
		at.RawQuery = url.Values{"query": {a.Query}}.Encode()
		found := Found{Documents: []FoundDocument{}}
		err := ctx.GetJSON(at.String(), &found)
		return found, err
	})
}
