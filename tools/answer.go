package tools

import (
	"encoding/json"
	"mime"
	"strings"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/internal/strictjson"
)

// An Answer is what an API answered, with a body of at most 4 MiB.
type Answer struct {
	StatusCode int
	Type       string // Content-Type, as it came
	Location   string // absolute; "" without one, and for one that is elsewhere
	Body       []byte // as it came, decompressed

	cut error // why Body is the beginning of a longer one; nil when it is whole
}

// Text returns the body as a text, from the encoding that its mark, its type or its
// bytes tell. It fails where that is no text, such as a picture.
func (a *Answer) Text() (string, error) {
	media, params, err := mime.ParseMediaType(a.Type)
	if err != nil {
		media, params = "", nil
	}
	charset := params["charset"]
	if charset == "" && a.cut != nil {
		charset = "utf-8" // the last character may not be whole
	}
	for _, kind := range []string{"image/", "audio/", "video/", "font/", "application/pdf", "application/zip"} {
		if strings.HasPrefix(media, kind) && media != "image/svg+xml" {
			return "", plain.ErrNotText
		}
	}
	return plain.Decode(a.Body, charset)
}

// JSON decodes the body into out, strictly: exact names, none twice. A nil out
// ignores it.
func (a *Answer) JSON(out any) error {
	switch {
	case out == nil:
		return nil
	case a.cut != nil:
		return a.cut
	}
	text, err := a.Text()
	if err != nil {
		return err
	}
	return strictjson.Unmarshal([]byte(text), out)
}

// members returns the body's members where it is a JSON object, or such an object in
// the one member that wraps it, as a value or as its text.
func (a *Answer) members() map[string]any {
	var body json.RawMessage
	var m map[string]json.RawMessage
	if a.JSON(&body) != nil || strictjson.Unmarshal(body, &m) != nil {
		return nil
	}
	for _, wrapper := range []string{"result", "data", "document"} {
		inner, ok := m[wrapper]
		if !ok || len(m) != 1 {
			continue
		}
		var text string
		if json.Unmarshal(inner, &text) == nil {
			inner = []byte(text)
		}
		var within map[string]json.RawMessage
		if strictjson.Unmarshal(inner, &within) == nil && len(within) > 0 {
			body, m = inner, within
		}
	}
	var out map[string]any
	if strictjson.AsWritten(body, &out) != nil {
		return nil
	}
	return out
}

// textOf returns the first of the members that is a text or a number.
func textOf(members map[string]any, names ...string) string {
	for _, name := range names {
		switch v := members[name].(type) {
		case string:
			if strings.TrimSpace(v) != "" {
				return v
			}
		case json.Number:
			return v.String()
		}
	}
	return ""
}
