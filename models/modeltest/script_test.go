package modeltest_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/dev/modelserver"
	"github.com/jitagent/jitagent/models/modeltest"
)

func hello() *model.LLMRequest {
	return &model.LLMRequest{Contents: []*genai.Content{genai.NewContentFromText("Hello.", genai.RoleUser)}}
}

// all makes one call and returns everything that comes.
func all(ctx context.Context, llm model.LLM, req *model.LLMRequest, stream bool) (out []*model.LLMResponse, err error) {
	for resp, err := range llm.GenerateContent(ctx, req, stream) {
		if err != nil {
			return out, err
		}
		out = append(out, resp)
	}
	return out, nil
}

func TestScriptEnds(t *testing.T) {
	script := modeltest.NewScript(modeltest.Text("one"))
	if _, err := all(t.Context(), script, hello(), false); err != nil {
		t.Fatal(err)
	}
	_, err := all(t.Context(), script, hello(), true)
	if !errors.Is(err, modeltest.ErrScriptEnded) || err.Error() != "modeltest: the script has no more turns: this is request 2" {
		t.Errorf("after the last turn: %v", err)
	}
}

func TestScriptFails(t *testing.T) {
	boom := errors.New("boom")
	got, err := all(t.Context(), modeltest.NewScript(modeltest.Turn{Texts: []string{"a", "b"}, Err: boom}), hello(), true)
	if !errors.Is(err, boom) || len(got) != 2 {
		t.Errorf("%d pieces, then %v", len(got), err)
	}
	script := modeltest.NewScript(modeltest.Text("a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := all(ctx, script, hello(), false); !errors.Is(err, context.Canceled) || len(script.Requests()) != 0 {
		t.Errorf("cancelled before: %v, %d requests", err, len(script.Requests()))
	}
	if _, err := all(t.Context(), script, nil, false); err == nil {
		t.Error("no error for no request")
	}
	odd := &model.LLMRequest{Config: &genai.GenerateContentConfig{ResponseJsonSchema: math.Inf(1)}}
	if _, err := all(t.Context(), script, odd, false); err == nil {
		t.Error("no error for a request that cannot be recorded")
	}
}

func TestScriptStallsUntilCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := all(ctx, modeltest.NewScript(modeltest.Turn{Stall: true}), hello(), false)
			done <- err
		}()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("it did not wait: %v", err)
		default:
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("after the cancel: %v", err)
		}
	})
}

func TestScriptSaysItsTurn(t *testing.T) {
	usage := &genai.GenerateContentResponseUsageMetadata{TotalTokenCount: 3}
	call := &genai.FunctionCall{ID: "a", Name: "f", Args: map[string]any{"x": "y"}}
	turn := modeltest.Turn{Thoughts: []string{"h", "m"}, Texts: []string{"n", "o"}, Calls: []*genai.FunctionCall{call}, Refusal: true, Usage: usage, Version: "v"}
	refused := map[string]any{modelserver.RefusalKey: true}
	piece := func(text string, thought bool, meta map[string]any) *model.LLMResponse {
		return &model.LLMResponse{Content: &genai.Content{Role: "model", Parts: []*genai.Part{{Text: text, Thought: thought}}}, ModelVersion: "v", Partial: true, CustomMetadata: meta}
	}
	last := &model.LLMResponse{
		Content:       &genai.Content{Role: "model", Parts: []*genai.Part{{Text: "hm", Thought: true}, {Text: "no"}, {FunctionCall: call}}},
		UsageMetadata: usage, ModelVersion: "v", TurnComplete: true, FinishReason: genai.FinishReasonSafety, CustomMetadata: refused,
	}
	for _, stream := range []bool{false, true} {
		want := []*model.LLMResponse{last}
		if stream {
			want = []*model.LLMResponse{piece("h", true, nil), piece("m", true, nil), piece("n", false, refused), piece("o", false, refused), last}
		}
		got, err := all(t.Context(), modeltest.Always(turn), hello(), stream)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("stream %v: %v (-want +got):\n%s", stream, err, diff)
		}
	}
	got, err := all(t.Context(), modeltest.NewScript(modeltest.Turn{Blocked: "SAFETY"}), hello(), false)
	if diff := cmp.Diff([]*model.LLMResponse{{ErrorCode: "SAFETY", TurnComplete: true}}, got); diff != "" || err != nil {
		t.Errorf("blocked: %v (-want +got):\n%s", err, diff)
	}
}

// What is recorded stays, whatever becomes of the request and of what Requests gave.
func TestScriptRecordsCopies(t *testing.T) {
	script := modeltest.Always(modeltest.Text("ok"))
	req := hello()
	req.Tools = map[string]any{"f": func() {}}
	if _, err := all(t.Context(), script, req, false); err != nil {
		t.Fatal(err)
	}
	req.Contents[0].Parts[0].Text = "changed"
	script.Requests()[0].Contents[0].Parts[0].Text = "changed, too"
	if diff := cmp.Diff(hello(), script.Requests()[0]); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

// What is handed out may be changed, and what was handed in is left alone.
func TestScriptSharesNothing(t *testing.T) {
	call := func() *genai.FunctionCall {
		return &genai.FunctionCall{ID: "a", Name: "f", Args: map[string]any{"deep": []any{map[string]any{"x": 1}}}}
	}
	script := modeltest.Always(modeltest.Calls(call()))
	for range 2 {
		got, err := all(t.Context(), script, hello(), false)
		if err != nil {
			t.Fatal(err)
		}
		f := got[0].Content.Parts[0].FunctionCall
		if diff := cmp.Diff(call(), f); diff != "" {
			t.Fatalf("call (-want +got):\n%s", diff)
		}
		f.ID = "mine"
		f.Args["deep"].([]any)[0].(map[string]any)["x"] = 2
		f.Args["deep"].([]any)[0] = nil
	}
}

func TestScriptServesManyAtOnce(t *testing.T) {
	var turns []modeltest.Turn
	for range 50 {
		turns = append(turns, modeltest.Calls(&genai.FunctionCall{ID: "a", Name: "f"}))
	}
	script := modeltest.NewScript(turns...)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			got, err := all(t.Context(), script, hello(), true)
			if err != nil {
				t.Error(err)
				return
			}
			got[0].Content.Parts[0].FunctionCall.ID = "mine" // the race detector sees sharing
			script.Requests()
		})
	}
	wg.Wait()
	if n := len(script.Requests()); n != 50 {
		t.Errorf("%d requests recorded, want 50", n)
	}
}
