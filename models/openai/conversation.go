package openai

import (
	"encoding/base64"
	"strings"

	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/lazy"
	"github.com/jitagent/jitagent/models/provider"
)

// A turn is one message of the conversation in a form that both of OpenAI's APIs
// are written from. Neighbours of one role are merged: the templates of some models
// want roles to alternate.
type turn struct {
	assistant bool
	text      strings.Builder
	pieces    []piece // of a user's turn with images; text is empty then
	calls     []toolCall
	state     state // what the server wants back with the calls
}

// A piece is a text or an image of a user's turn.
type piece struct{ text, image string }

// A toolCall is a call, and what the server wants back with it.
type toolCall struct {
	provider.Call
	kept state
}

// wireIDs are those that every server takes: OpenAI allows 40 characters.
var wireIDs = lazy.Regexp(`^[A-Za-z0-9_.:-]{1,40}$`)

// converse returns the turns of contents, for a server.
func converse(contents []*genai.Content, server string) ([]*turn, error) {
	said, err := provider.Turns(contents, wireIDs())
	if err != nil {
		return nil, err
	}
	turns := make(conversation, 0, len(said))
	for _, t := range said {
		if t.Assistant {
			turns.addAssistant(t.Said, server)
		} else if err := turns.addUser(t.Said); err != nil {
			return nil, err
		}
	}
	return turns, nil
}

type conversation []*turn

// last returns the turn to add to: the last one when it is of the wanted role and
// open, else a new one. A turn with calls is closed, since its results follow it.
func (c *conversation) last(assistant bool) *turn {
	if n := len(*c); n > 0 {
		if t := (*c)[n-1]; t.assistant == assistant && len(t.calls) == 0 {
			return t
		}
	}
	t := &turn{assistant: assistant}
	*c = append(*c, t)
	return t
}

func (c *conversation) addUser(said []provider.Said) error {
	var pieces []piece
	images := false
	for _, p := range said {
		piece, err := pieceOf(p.Part)
		if err != nil {
			return err
		}
		if piece.text != "" || piece.image != "" {
			pieces, images = append(pieces, piece), images || piece.image != ""
		}
	}
	if len(pieces) == 0 {
		return nil
	}
	t := c.last(false)
	if images || t.pieces != nil {
		if t.text.Len() > 0 {
			t.pieces = append(t.pieces, piece{text: t.text.String()})
			t.text.Reset()
		}
		t.pieces = append(t.pieces, pieces...)
		return nil
	}
	separator := "\n\n" // from the content before
	for _, p := range pieces {
		if t.text.Len() > 0 {
			t.text.WriteString(separator)
		}
		t.text.WriteString(p.text)
		separator = "\n"
	}
	return nil
}

func (c *conversation) addAssistant(said []provider.Said, server string) {
	var text strings.Builder
	var calls []toolCall
	var kept state
	for _, p := range said {
		own := unseal(server, p.ThoughtSignature)
		if own.Message != nil || own.Items != nil {
			kept = own
		}
		switch {
		case p.FunctionCall != nil:
			calls = append(calls, toolCall{p.Call, own})
		case !p.Thought:
			text.WriteString(p.Text)
		}
	}
	if text.Len() == 0 && len(calls) == 0 {
		return
	}
	t := c.last(true)
	if t.text.Len() > 0 && text.Len() > 0 {
		t.text.WriteString("\n\n")
	}
	if len(calls) > 0 {
		t.calls, t.state = calls, kept
		if raw := kept.Message["content"]; raw != nil {
			var content string
			if t.text.Len() == 0 && decode(raw, &content) == nil {
				text.Reset() // as it came, thoughts included
				text.WriteString(content)
			}
			delete(kept.Message, "content")
		}
	}
	t.text.WriteString(text.String())
}

// pieceOf returns what p says, empty for a part that says nothing. Thoughts are not
// sent back: they are the model's own, and other models may not see them.
func pieceOf(p *genai.Part) (piece, error) {
	switch {
	case p.Thought:
		return piece{}, nil
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
	}
	return piece{text: p.Text}, nil
}

var mimeNames = lazy.Regexp(`^[a-z0-9.+-]{1,32}/[a-z0-9.+-]{1,64}$`)

func mimeName(s string) string {
	if mimeNames().MatchString(s) {
		return s
	}
	return "unknown"
}
