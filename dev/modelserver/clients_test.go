package modelserver_test

import (
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sashabaranov/go-openai"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/modeltest"
)

func openAIClient(srv *httptest.Server) *openai.Client {
	config := openai.DefaultConfig("any key")
	config.BaseURL = srv.URL + "/v1"
	config.HTTPClient = srv.Client()
	return openai.NewClientWithConfig(config)
}

func question() openai.ChatCompletionRequest {
	return openai.ChatCompletionRequest{
		Model: "m", StreamOptions: &openai.StreamOptions{IncludeUsage: true},
		Messages: []openai.ChatCompletionMessage{{Role: openai.ChatMessageRoleUser, Content: "Read dök"}},
		Tools: []openai.Tool{{Type: openai.ToolTypeFunction, Function: &openai.FunctionDefinition{
			Name: "fetch", Parameters: map[string]any{"type": "object", "properties": map[string]any{}},
		}}},
	}
}

// The client that this project uses for OpenAI has a whole conversation.
func TestGoOpenAIClient(t *testing.T) {
	script := modeltest.NewScript(busy, busy, modeltest.Text("Done."))
	client := openAIClient(serve(t, script))

	unary := question()
	unary.StreamOptions = nil
	resp, err := client.CreateChatCompletion(t.Context(), unary)
	if err != nil {
		t.Fatal(err)
	}
	whole := resp.Choices[0].Message

	stream, err := client.CreateChatCompletionStream(t.Context(), question())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	joined := openai.ChatCompletionMessage{Role: "assistant"}
	var reason openai.FinishReason
	var usage *openai.Usage
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if event.Usage != nil {
			usage = event.Usage
		}
		for _, c := range event.Choices {
			joined.Content += c.Delta.Content
			joined.ReasoningContent += c.Delta.ReasoningContent
			reason += c.FinishReason
			for _, call := range c.Delta.ToolCalls {
				if *call.Index == len(joined.ToolCalls) {
					joined.ToolCalls = append(joined.ToolCalls, openai.ToolCall{ID: call.ID, Type: call.Type, Function: openai.FunctionCall{Name: call.Function.Name}})
				}
				joined.ToolCalls[*call.Index].Function.Arguments += call.Function.Arguments
			}
		}
	}
	if diff := cmp.Diff(whole, joined); diff != "" || reason != openai.FinishReasonToolCalls {
		t.Errorf("finish reason %q; streamed message (-unary +streamed):\n%s", reason, diff)
	}
	if usage == nil || *usage.CompletionTokensDetails != *resp.Usage.CompletionTokensDetails || usage.TotalTokens != 17 {
		t.Errorf("usage %+v, unary %+v", usage, resp.Usage)
	}

	next := question()
	next.Messages = append(next.Messages, whole,
		openai.ChatCompletionMessage{Role: "tool", ToolCallID: "a", Content: `{"content":"x"}`},
		openai.ChatCompletionMessage{Role: "tool", ToolCallID: "b", Content: `noon`})
	next.StreamOptions = nil
	last, err := client.CreateChatCompletion(t.Context(), next)
	if err != nil || last.Choices[0].Message.Content != "Done." {
		t.Errorf("%+v, %v", last, err)
	}
	if got := script.Requests()[2].Contents[2].Parts[1].FunctionResponse; got.Name != "now" || got.Response["output"] != "noon" {
		t.Errorf("the model was told %+v", got)
	}
}

func TestGoOpenAIClientSeesFailures(t *testing.T) {
	client := openAIClient(serve(t, modeltest.NewScript(modeltest.Turn{Texts: []string{"a"}, Err: io.ErrNoProgress})))
	stream, err := client.CreateChatCompletionStream(t.Context(), question())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	for err == nil {
		_, err = stream.Recv()
	}
	if apiErr, ok := errors.AsType[*openai.APIError](err); !ok || apiErr.Message != "the model failed" {
		t.Errorf("a stream that broke off ends with %v", err)
	}
	_, err = client.GetModel(t.Context(), "none")
	if apiErr, ok := errors.AsType[*openai.APIError](err); !ok || apiErr.HTTPStatusCode != 404 || apiErr.Code != "model_not_found" {
		t.Errorf("GetModel = %v", err)
	}
	list, err := client.ListModels(t.Context())
	if err != nil || len(list.Models) != 2 || list.Models[1].ID != "m" {
		t.Errorf("ListModels = %+v, %v", list, err)
	}
}

func genaiClient(t *testing.T, srv *httptest.Server) *genai.Client {
	t.Helper()
	client, err := genai.NewClient(t.Context(), &genai.ClientConfig{
		APIKey: "any key", Backend: genai.BackendGeminiAPI, HTTPClient: srv.Client(), HTTPOptions: genai.HTTPOptions{BaseURL: srv.URL},
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// Google's own client has a whole conversation.
func TestGenaiClient(t *testing.T) {
	script := modeltest.NewScript(busy, busy, modeltest.Text("Done."))
	client := genaiClient(t, serve(t, script))
	config := &genai.GenerateContentConfig{
		SystemInstruction: genai.NewContentFromText("Be brief.", genai.RoleUser), Temperature: genai.Ptr[float32](0), MaxOutputTokens: 9,
		ThinkingConfig: &genai.ThinkingConfig{IncludeThoughts: true},
		Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{
			{Name: "fetch", Parameters: &genai.Schema{Type: genai.TypeObject, Properties: map[string]*genai.Schema{"id": {Type: genai.TypeString}}}},
			{Name: "now", ParametersJsonSchema: map[string]any{"type": "object"}},
		}}},
		ToolConfig: &genai.ToolConfig{FunctionCallingConfig: &genai.FunctionCallingConfig{Mode: genai.FunctionCallingConfigModeAuto}},
	}
	ask := genai.NewContentFromText("Read dök", genai.RoleUser)
	resp, err := client.Models.GenerateContent(t.Context(), "m", []*genai.Content{ask}, config)
	if err != nil {
		t.Fatal(err)
	}
	var text, thought strings.Builder
	var calls []*genai.FunctionCall
	var last *genai.GenerateContentResponse
	for event, err := range client.Models.GenerateContentStream(t.Context(), "m", []*genai.Content{ask}, config) {
		if err != nil {
			t.Fatal(err)
		}
		last = event
		for _, p := range event.Candidates[0].Content.Parts {
			if p.Thought {
				thought.WriteString(p.Text)
			} else {
				text.WriteString(p.Text)
			}
			if p.FunctionCall != nil {
				calls = append(calls, p.FunctionCall)
			}
		}
	}
	if diff := cmp.Diff(busy.Calls, calls); diff != "" || text.String() != resp.Text() || thought.String() != "Two reads." {
		t.Errorf("text %q, thought %q, calls (-want +got):\n%s", &text, &thought, diff)
	}
	if diff := cmp.Diff(resp.UsageMetadata, last.UsageMetadata); diff != "" || last.Candidates[0].FinishReason != "STOP" || resp.UsageMetadata.ThoughtsTokenCount != 4 {
		t.Errorf("usage (-unary +streamed):\n%s", diff)
	}
	results := genai.NewContentFromParts([]*genai.Part{
		{FunctionResponse: &genai.FunctionResponse{ID: "a", Name: "fetch", Response: map[string]any{"content": "x"}}},
		{FunctionResponse: &genai.FunctionResponse{ID: "b", Name: "now", Response: map[string]any{"output": "noon"}}},
	}, genai.RoleUser)
	done, err := client.Models.GenerateContent(t.Context(), "m", []*genai.Content{ask, resp.Candidates[0].Content, results}, config)
	if err != nil || done.Text() != "Done." {
		t.Fatalf("%v, %v", done, err)
	}
	got := script.Requests()[2]
	if diff := cmp.Diff([]*genai.Content{ask, resp.Candidates[0].Content, results}, got.Contents); diff != "" {
		t.Errorf("contents (-sent +seen):\n%s", diff)
	}
	if diff := cmp.Diff(config, got.Config); diff != "" {
		t.Errorf("config (-sent +seen):\n%s", diff)
	}
}

func TestGenaiClientSeesFailures(t *testing.T) {
	client := genaiClient(t, serve(t, modeltest.NewScript(modeltest.Turn{Texts: []string{"a"}, Err: io.ErrNoProgress})))
	var err error
	for _, err = range client.Models.GenerateContentStream(t.Context(), "m", genai.Text("x"), nil) {
		if err != nil {
			break
		}
	}
	if apiErr, ok := errors.AsType[genai.APIError](err); !ok || apiErr.Code != 500 || apiErr.Status != "INTERNAL" {
		t.Errorf("a stream that broke off ends with %v", err)
	}
	_, err = client.Models.Get(t.Context(), "none", nil)
	if apiErr, ok := errors.AsType[genai.APIError](err); !ok || apiErr.Code != 404 || apiErr.Status != "NOT_FOUND" {
		t.Errorf("Get = %v", err)
	}
	if m, err := client.Models.Get(t.Context(), "m", nil); err != nil || m.Name != "models/m" {
		t.Errorf("Get = %+v, %v", m, err)
	}
}
