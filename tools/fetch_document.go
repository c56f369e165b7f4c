package tools

import (
	"errors"
	"net/url"

	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/prompts"
	"github.com/jitagent/jitagent/rar"
)

// FetchArgs are the arguments of fetch_document.
type FetchArgs struct {
	DocumentID string `json:"document_id" jsonschema:"description=Identifier of the document such as doc_9982,pattern=^[A-Za-z0-9_-]{1\\,64}$"`
}

// Document is the result of fetch_document.
type Document struct {
	ID      string `json:"id"`
	Title   string `json:"title"`
	Kind    string `json:"kind,omitempty"`
	Updated string `json:"updated_at,omitempty"`
	Content string `json:"content"`
}

// FetchDocument returns the tool fetch_document for the documents API at api: GET
// {api}/v1/documents/{id}. A call may ask for reading that one document.
func FetchDocument(api *url.URL, opts Options) (tool.Tool, error) {
	if api == nil {
		return nil, errors.New("tools: fetch_document: no API")
	}
	description, err := prompts.Tool("fetch_document")
	if err != nil {
		return nil, err
	}
	return New(Spec[FetchArgs]{
		Name:        "fetch_document",
		Description: description,
		API:         api,
		Base:        opts.Base,
		Logger:      opts.Logger,
		Ceiling: func(a FetchArgs) []rar.Detail {
			return atOrigin(api, rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: a.DocumentID})
		},
		Justify: func(a FetchArgs) string { return "Read document " + a.DocumentID },
	}, func(ctx Context, a FetchArgs) (Document, error) {
		var doc Document
		err := ctx.GetJSON(api.JoinPath("v1/documents", a.DocumentID).String(), &doc)
		return doc, notFound(err, "document "+a.DocumentID)
	})
}

// atOrigin returns a ceiling for d with the API's origin as its location, and for
// d without a location: APIs differ in whether their demands name one. Either way
// the token goes only to that origin.
func atOrigin(api *url.URL, d rar.Detail) []rar.Detail {
	located := d
	if origin, err := jit.OriginOf(api); err == nil {
		located.Locations = []string{origin.String()}
	}
	return []rar.Detail{located, d}
}
