package serve

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"strings"

	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/serve"
	"github.com/jitagent/jitagent/internal/strictjson"
)

// nul is how JSON writes U+0000, which not every database keeps in a text.
var nul = []byte(`\u0000`)

// maxValues is how many values the JSON of a request has at most.
const maxValues = 10_000

// Body reads the JSON of a request into v, which must be zero; no body is that of a zero v.
// Of several members of one name, a member that v does not name, and a text with U+0000 none
// is taken, nor are more than 10 000 values. An error is a [Refusal].
func Body(r *http.Request, v any) ([]byte, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		status, why := serve.Unread(err)
		return nil, refuse(status, "%s", why)
	}
	if len(text) == 0 {
		return nil, nil
	}
	if strictjson.Values(text) > maxValues {
		return nil, refuse(http.StatusRequestEntityTooLarge, "the body has more than %d values", maxValues)
	}
	if err := strictjson.Exact(text, v); err != nil {
		return nil, refuse(http.StatusBadRequest, "the body: %v", err)
	}
	if bytes.Contains(text, nul) && bytes.Contains(bytes.ReplaceAll(text, []byte(`\\`), nil), nul) {
		return nil, refuse(http.StatusBadRequest, "the body: a text has the character U+0000, which is not kept")
	}
	return text, nil
}

// maxMediaType bounds a media type, in bytes (RFC 6838, section 4.2).
const maxMediaType = 255

// Media returns a part of a message that is inline media: data of a media type, and its name
// if it has one. An error is a [Refusal].
func Media(kind string, data []byte, name string) (*genai.Part, error) {
	base, _, err := mime.ParseMediaType(kind)
	if err != nil || !strings.Contains(base, "/") || len(kind) > maxMediaType || len(data) == 0 {
		return nil, refuse(http.StatusBadRequest, "inline data has a media type, such as text/plain, and is not empty")
	}
	return &genai.Part{InlineData: &genai.Blob{MIMEType: kind, Data: data, DisplayName: name}}, nil
}
