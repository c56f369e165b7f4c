package mcp_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/tools/mcp"
)

func TestResults(t *testing.T) {
	type content = []sdk.Content
	text := func(s string) sdk.Content { return &sdk.TextContent{Text: s} }
	for name, test := range map[string]struct {
		result sdk.CallToolResult
		want   string
	}{
		"texts are joined with a separator": {sdk.CallToolResult{Content: content{text("one"), text("two")}}, `{"text":"one\n\ntwo"}`},
		"a success without a text":          {sdk.CallToolResult{Content: content{}}, `{"note":"the tool was called, and says nothing of it"}`},
		"links and images are named": {
			sdk.CallToolResult{Content: content{
				text("see"), &sdk.ImageContent{Data: []byte("png"), MIMEType: "image/png"}, &sdk.AudioContent{Data: []byte("12345"), MIMEType: "audio/wav"},
				&sdk.ResourceLink{URI: "file:///a.txt", Name: "a.txt", MIMEType: "text/plain"},
				&sdk.EmbeddedResource{Resource: &sdk.ResourceContents{URI: "file:///b.txt", Text: "inside"}},
				&sdk.EmbeddedResource{Resource: &sdk.ResourceContents{URI: "file:///c.bin", Blob: []byte{1, 2}}},
			}},
			`{"text":"see","media":["an image (image/png, 3 bytes), which is not shown","a recording (audio/wav, 5 bytes), which is not shown"],
			"links":[{"type":"resource_link","uri":"file:///a.txt","name":"a.txt","mimeType":"text/plain"}],
			"resources":[{"uri":"file:///b.txt","text":"inside"},{"uri":"file:///c.bin","text":"a file (of no type, 2 bytes), which is not shown"}]}`,
		},
		"structure, and the same as a text": {
			sdk.CallToolResult{Content: content{text(`{"id":9007199254740993}`)}, StructuredContent: json.RawMessage(`{"id":9007199254740993}`)},
			`{"structured":{"id":"9007199254740993"}}`,
		},
		"structure alone": {
			sdk.CallToolResult{Content: content{text("done")}, StructuredContent: json.RawMessage(`{"id":[9007199254740993],"n":1.5}`)},
			`{"text":"done","structured":{"id":["about 9007199254740992: a whole number beyond 2^53, whose last digits are lost"],"n":1.5}}`,
		},
		"an error keeps its structure": {
			sdk.CallToolResult{IsError: true, Content: content{text("no such file")}, StructuredContent: json.RawMessage(`{"code":"ENOENT"}`)},
			`{"status":"failed","error":"no such file","details":{"structured":{"code":"ENOENT"}}}`,
		},
		"an error without a text": {sdk.CallToolResult{IsError: true, Content: content{}}, `{"status":"failed","error":"the tool says that it failed"}`},
		"a token of the task": {
			sdk.CallToolResult{Content: content{text("you sent " + fake.TokenFor(read("a")))}}, `{"text":"you sent [redacted]"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := serve(t)
			add(p.Server, "look", "looks", func(context.Context, string) (*sdk.CallToolResult, error) { return &test.result, nil })
			ctx := task(t, &fake.Authority{})
			p.guard(demands(read("a")))
			set := open(ctx, t, mcp.Server{URL: p.url}, `tools: {files__look: {ceilings: [{type: file, actions: [read], identifier: a}]}}`)
			got, err := json.Marshal(call(ctx, t, find(t, set, "files__look"), nil))
			if err != nil {
				t.Fatal(err)
			}
			var have, want any
			if json.Unmarshal(got, &have) != nil || json.Unmarshal([]byte(test.want), &want) != nil {
				t.Fatal(string(got), test.want)
			}
			if diff := cmp.Diff(want, have); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestResultIsBounded(t *testing.T) {
	p := serve(t)
	add(p.Server, "look", "looks", say(strings.Repeat("x", 1<<20)))
	ctx := task(t, &fake.Authority{})
	got := call(ctx, t, find(t, open(ctx, t, mcp.Server{URL: p.url}, ""), "files__look"), nil)
	if text, _ := got["text"].(string); len(text) > 256<<10 || got["truncated"] == nil {
		t.Errorf("a result of 1 MiB: %d bytes are shown, truncated %v", len(text), got["truncated"])
	}
}
