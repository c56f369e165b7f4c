package mcp

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/tools"
)

// An outcome is what a call came to beside its answer.
type outcome struct{ failure *jitmw.Failure }

type outcomeKey struct{}

// call is what runs a tool of the server, through package jit and a [caller].
func (s *server) call(c tools.Context, args map[string]any) (map[string]any, error) {
	out := &outcome{}
	c.Context = context.WithValue(c.Context, outcomeKey{}, out)
	got, err := c.Post(s.api.String(), args)
	if err != nil {
		if out.failure != nil && !errors.Is(err, jit.ErrInDoubt) {
			err = out.failure
		}
		return nil, err
	}
	var shown map[string]any
	if strictjson.AsWritten(got.Body, &shown) != nil {
		return nil, &tools.AcceptedError{Answer: got, Err: errors.New("it is too long to be given again")}
	}
	return shown, nil
}

// resultOf is what a model is shown of a result.
func resultOf(r *sdk.CallToolResult) map[string]any {
	shown := map[string]any{}
	var texts, media []string
	var links, resources []any
	for _, c := range r.Content {
		switch c := c.(type) {
		case *sdk.TextContent:
			texts = append(texts, c.Text)
		case *sdk.ImageContent:
			media = append(media, medium("an image", c.MIMEType, len(c.Data)))
		case *sdk.AudioContent:
			media = append(media, medium("a recording", c.MIMEType, len(c.Data)))
		case *sdk.ResourceLink:
			c.Meta, c.Annotations, c.Icons = nil, nil, nil
			links = append(links, c)
		case *sdk.EmbeddedResource:
			if of := c.Resource; of != nil {
				if of.Blob != nil {
					of.Text, of.Blob = medium("a file", of.MIMEType, len(of.Blob)), nil
				}
				of.Meta = nil
				resources = append(resources, of)
			}
		}
	}
	text := strings.Join(texts, "\n\n")
	if r.StructuredContent != nil {
		// Servers give it as a text too, in which whole numbers are as they were said: the
		// SDK has rounded those beyond 2^53.
		var rounded, exact any
		if json.Unmarshal([]byte(text), &rounded) == nil && reflect.DeepEqual(rounded, r.StructuredContent) && strictjson.AsWritten([]byte(text), &exact) == nil {
			shown["structured"], text = exact, ""
		} else {
			shown["structured"] = unsure(r.StructuredContent)
		}
	}
	if text != "" {
		shown["text"] = text
	}
	for name, list := range map[string]any{"media": media, "links": links, "resources": resources} {
		if reflect.ValueOf(list).Len() > 0 {
			shown[name] = list
		}
	}
	if len(shown) == 0 {
		shown["note"] = "the tool was called, and says nothing of it"
	}
	return shown
}

func medium(what, kind string, size int) string {
	return fmt.Sprintf("%s (%s, %d bytes), which is not shown", what, cmp.Or(peer.Clean(kind, 80), "of no type"), size)
}

// unsure says of each whole number beyond 2^53 that it may be another one.
func unsure(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			v[name] = unsure(member)
		}
	case []any:
		for i, element := range v {
			v[i] = unsure(element)
		}
	case float64:
		if math.Abs(v) > strictjson.MaxWhole && v == math.Trunc(v) {
			return fmt.Sprintf("about %.0f: a whole number beyond 2^53, whose last digits are lost", v)
		}
	}
	return v
}

// failed is a result in which the tool says that it did not work.
func failed(shown map[string]any) *jitmw.Failure {
	text, _ := shown["text"].(string)
	delete(shown, "text")
	delete(shown, "note")
	f := &jitmw.Failure{Message: cmp.Or(peer.Clean(text, 1000), "the tool says that it failed"), Details: shown}
	if len(shown) == 0 {
		f.Details = nil
	}
	return f
}
