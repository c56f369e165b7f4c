package openai

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"

	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/provider"
)

// A turn is one message of the conversation in a form that both of OpenAI's APIs
// are written from. Neighbours of one role are merged: the templates of some models
// want roles to alternate.
type turn struct {
	assistant bool
	text      strings.Builder
	pieces    []piece // of a user's turn with images; text is empty then
	calls     []*toolCall
	state     state // what the server wants back with the calls
}

// A piece is a text or an image of a user's turn.
type piece struct{ text, image string }

// A toolCall is a call and its result, which always go out together.
type toolCall struct {
	id, name, args, result string
	kept                   state
}

// conversation writes turns from contents.
type conversation struct {
	server  string // whose state may go out
	turns   []*turn
	results map[provider.Place]*genai.FunctionResponse
	ids     map[provider.Place]string
}

// converse returns the turns of contents, for a server.
func converse(contents []*genai.Content, server string) ([]*turn, error) {
	c := &conversation{server: server, turns: make([]*turn, 0, len(contents)), results: provider.Results(contents), ids: provider.IDs(contents, wireIDs)}
	for i, content := range contents {
		if content == nil {
			continue
		}
		add := c.addUser
		if content.Role == genai.RoleModel {
			add = c.addAssistant
		}
		if err := add(i, content.Parts); err != nil {
			return nil, err
		}
	}
	return c.turns, nil
}

// last returns the turn to add to: the last one when it is of the wanted role and
// open, else a new one. A turn with calls is closed, since its results follow it.
func (c *conversation) last(assistant bool) *turn {
	if n := len(c.turns); n > 0 {
		if t := c.turns[n-1]; t.assistant == assistant && len(t.calls) == 0 {
			return t
		}
	}
	t := &turn{assistant: assistant}
	c.turns = append(c.turns, t)
	return t
}

func (c *conversation) addUser(_ int, parts []*genai.Part) error {
	var pieces []piece
	for _, p := range parts {
		if p == nil || p.FunctionResponse != nil {
			continue // results stand with their calls
		}
		said, err := pieceOf(p)
		if err != nil {
			return err
		}
		if said != (piece{}) {
			pieces = append(pieces, said)
		}
	}
	if len(pieces) == 0 {
		return nil
	}
	t := c.last(false)
	images := t.pieces != nil
	for _, p := range pieces {
		images = images || p.image != ""
	}
	if !images {
		for i, p := range pieces {
			if t.text.Len() > 0 {
				t.text.WriteString(separator(i))
			}
			t.text.WriteString(p.text)
		}
		return nil
	}
	if t.text.Len() > 0 {
		t.pieces = append(t.pieces, piece{text: t.text.String()})
		t.text.Reset()
	}
	t.pieces = append(t.pieces, pieces...)
	return nil
}

// separator stands between the parts of one content, and before the first part of
// a further one.
func separator(part int) string {
	if part == 0 {
		return "\n\n"
	}
	return "\n"
}

func (c *conversation) addAssistant(i int, parts []*genai.Part) error {
	var text strings.Builder
	var calls []*toolCall
	var kept state
	for j, p := range parts {
		var own state
		if p != nil {
			if own = unseal(c.server, p.ThoughtSignature); own.Message != nil || own.Items != nil {
				kept = own
			}
		}
		switch {
		case p == nil:
		case p.FunctionCall != nil:
			call, err := c.call(provider.Place{Content: i, Part: j}, p.FunctionCall)
			if err != nil {
				return err
			}
			call.kept = own
			calls = append(calls, call)
		case p.FunctionResponse != nil:
			return provider.Unsupported("a function response in a turn of the model")
		default:
			said, err := pieceOf(p)
			if err != nil || said.image != "" {
				return provider.Unsupported("media in a turn of the model")
			}
			text.WriteString(said.text)
		}
	}
	if text.Len() == 0 && len(calls) == 0 {
		return nil
	}
	t := c.last(true)
	if t.text.Len() > 0 && text.Len() > 0 {
		t.text.WriteString("\n\n")
	}
	if len(calls) > 0 {
		t.calls, t.state = calls, kept
		var content string
		if raw := kept.Message["content"]; raw != nil && t.text.Len() == 0 && decode(raw, &content) == nil {
			text.Reset() // as it came, thoughts included
			text.WriteString(content)
		}
		delete(kept.Message, "content")
	}
	t.text.WriteString(text.String())
	return nil
}

// wireIDs are those that every server takes: OpenAI allows 40 characters.
var wireIDs = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,40}$`)

func (c *conversation) call(at provider.Place, f *genai.FunctionCall) (*toolCall, error) {
	if f.Name == "" {
		return nil, provider.Unsupported("a function call without a name")
	}
	args, err := object(f.Args)
	if err != nil {
		return nil, provider.Unsupported("a call of " + provider.Shorten(f.Name) + " whose arguments are no JSON")
	}
	r := c.results[at]
	if r == nil {
		r = &genai.FunctionResponse{Response: provider.NoResult()}
	}
	if len(r.Parts) > 0 {
		return nil, provider.Unsupported("media in the response of " + provider.Shorten(f.Name))
	}
	result, err := object(r.Response)
	if err != nil {
		return nil, provider.Unsupported("a response of " + provider.Shorten(f.Name) + " that is no JSON")
	}
	return &toolCall{id: c.ids[at], name: provider.Name(f.Name), args: args, result: result}, nil
}

// object returns m as JSON, and {} for nil: the library leaves out empty strings.
func object(m map[string]any) (string, error) {
	if len(m) == 0 {
		return "{}", nil
	}
	var b strings.Builder
	enc := json.NewEncoder(&b) // writes a json.Number as it is, and members in order
	enc.SetEscapeHTML(false)
	err := enc.Encode(m)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// pieceOf returns what p says, empty for a part that says nothing. Thoughts are not
// sent back: they are the model's own, and other models may not see them.
func pieceOf(p *genai.Part) (piece, error) {
	switch {
	case p.Thought && p.FunctionCall == nil:
		return piece{}, nil
	case p.FunctionCall != nil:
		return piece{}, provider.Unsupported("a function call in a turn of the user")
	case p.InlineData != nil:
		if !strings.HasPrefix(p.InlineData.MIMEType, "image/") {
			return piece{}, provider.Unsupported("data of type " + mimeName(p.InlineData.MIMEType))
		}
		return piece{image: "data:" + p.InlineData.MIMEType + ";base64," + base64.StdEncoding.EncodeToString(p.InlineData.Data)}, nil
	case p.FileData != nil:
		uri := p.FileData.FileURI
		if !strings.HasPrefix(uri, "https://") && !strings.HasPrefix(uri, "http://") || !strings.HasPrefix(p.FileData.MIMEType, "image/") {
			return piece{}, provider.Unsupported("a file of type " + mimeName(p.FileData.MIMEType) + " that is no image on the web")
		}
		return piece{image: uri}, nil
	case p.ExecutableCode != nil, p.CodeExecutionResult != nil, p.ToolCall != nil, p.ToolResponse != nil, p.VideoMetadata != nil, p.AudioTranscription != nil:
		return piece{}, provider.Unsupported("a part that only Gemini knows")
	}
	return piece{text: p.Text}, nil
}

var mimeNames = regexp.MustCompile(`^[a-z0-9.+-]{1,32}/[a-z0-9.+-]{1,64}$`)

func mimeName(s string) string {
	if mimeNames.MatchString(s) {
		return s
	}
	return "unknown"
}
