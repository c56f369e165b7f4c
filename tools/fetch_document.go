package tools

import (
	"cmp"
	"fmt"
	"mime"
	"net/url"
	"strings"

	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/policy"
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

// fileEndings are those of the files that documents are made of, whose names people say in
// place of ids.
var fileEndings = strings.Fields(`md restricted.md markdown restricted.markdown html restricted.html htm txt restricted.txt text log csv json yaml yml
	pdf doc docx xls xlsx ppt pptx odt ods odp rtf`)

// FetchDocument returns the tool fetch_document for the documents API at api: GET
// {api}/v1/documents/{id}. A call may ask for reading that one document.
func FetchDocument(api *url.URL, opts Options) (tool.Tool, error) {
	return analysts(opts, Spec[FetchArgs]{
		Name: "fetch_document", API: api,
		Aim: &policy.Aim{
			Targets: map[string]policy.Target{"document_id": {Type: "document", As: policy.InPart, Files: fileEndings}},
			Records: policy.Records{Type: "document", ID: "id", Name: "title"},
		},
		Ceiling: func(a FetchArgs) []rar.Detail {
			return wordings(api, rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: a.DocumentID}, "v1/documents", a.DocumentID)
		},
		Justify: func(a FetchArgs) string { return "Read document " + a.DocumentID },
	}, func(ctx Context, a FetchArgs) (Document, error) {
		answer, err := ctx.Get(api.JoinPath("v1/documents", a.DocumentID).String())
		if err != nil {
			return Document{}, notFound(err, "document "+a.DocumentID)
		}
		return documentOf(a.DocumentID, answer)
	})
}

// documentOf reads a document as APIs have it: JSON with the usual names, any other
// JSON, or text. What is there is handed on, with what is known; nothing is never
// taken for a document.
func documentOf(id string, answer *Answer) (Document, error) {
	m := answer.members()
	doc := Document{
		ID: cmp.Or(textOf(m, "id", "document_id"), id), Title: textOf(m, "title", "name"), Kind: textOf(m, "kind", "type"),
		Updated: textOf(m, "updated_at", "updated"), Content: textOf(m, "content", "text", "body"),
	}
	if doc.Content != "" {
		return doc, nil
	}
	text, err := answer.Text()
	switch {
	case err != nil:
		media, _, _ := mime.ParseMediaType(answer.Type)
		return Document{}, &jitmw.Failure{Message: fmt.Sprintf("document %s is not text (%s)", id, cmp.Or(peer.Clean(media, 60), "of no type that is named")), Err: err}
	case strings.TrimSpace(text) == "" || m != nil && len(m) == 0:
		return Document{}, &jitmw.Failure{Message: fmt.Sprintf("the API answered %d and no content for document %s", answer.StatusCode, id)}
	case m == nil:
		media, _, _ := mime.ParseMediaType(answer.Type)
		doc.Kind = peer.Clean(media, 60)
	}
	doc.Content = text
	return doc, nil
}

// wordings returns d as APIs word where it is: without a location, at the API's
// origin, at the collection that the path begins with, and at the request's own URL;
// the origin and the collection with and without a slash at the end. Whichever it is,
// the token goes to that origin alone.
func wordings(api *url.URL, d rar.Detail, path ...string) []rar.Detail {
	var places []string
	if origin, err := jit.OriginOf(api); err == nil {
		places = append(places, origin.String(), origin.String()+"/")
	}
	collection := api.JoinPath(path[0]).String()
	places = append(places, collection, collection+"/")
	if len(path) > 1 {
		places = append(places, api.JoinPath(path...).String())
	}
	all := []rar.Detail{}
	for _, at := range places {
		located := d
		located.Locations = []string{at}
		all = append(all, located)
	}
	return append(all, d)
}
