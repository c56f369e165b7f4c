package tools_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/tools"
)

// cutOff answers with half a body, the first times, and whole after that.
func cutOff(times int, seen *int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if *seen++; *seen > times {
			_, _ = io.WriteString(w, `{"id":"doc_1","content":"whole"}`)
			return
		}
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"id":"doc_`)
		_ = http.NewResponseController(w).Flush() // the answer has begun
		panic(http.ErrAbortHandler)
	}
}

func TestAnswersThatBreakOffAreReadAgain(t *testing.T) {
	for _, tt := range []struct {
		times, requests int
		works           bool
	}{{0, 1, true}, {1, 2, true}, {2, 3, true}, {3, 3, false}} {
		seen := 0
		api := serve(t, cutOff(tt.times, &seen))
		act, _ := caller(t, api, func(ctx tools.Context, doc *tools.Document) error {
			return ctx.GetJSON(api.JoinPath("x").String(), doc)
		})
		got := call(t, &fake.Authority{}, act, nil)
		if (got["content"] == "whole") != tt.works || seen != tt.requests {
			t.Errorf("cut off %d times: %v after %d requests, want it to work %t after %d", tt.times, got, seen, tt.works, tt.requests)
		}
	}
}

// An effect whose answer breaks off took effect. The whole answer is asked for only
// where the tool says that the API honours keys; else the model is told what there is.
func TestEffectsThatBreakOff(t *testing.T) {
	for _, honours := range []bool{true, false} {
		seen := 0
		api := serve(t, cutOff(1, &seen))
		act, err := tools.New(tools.Spec[none]{
			Name: "act", Description: "acts", API: api, HonorsIdempotencyKey: honours, Ceiling: func(none) []rar.Detail { return nil },
		}, func(ctx tools.Context, _ none) (tools.Document, error) {
			var doc tools.Document
			err := ctx.PostJSON(api.JoinPath("x").String(), struct{}{}, &doc)
			return doc, err
		})
		if err != nil {
			t.Fatal(err)
		}
		got := call(t, &fake.Authority{}, act, nil)
		want, requests := map[string]any{"note": "the API took the request and answered 200; it is done", "answer": `{"id":"doc_`}, 1
		if honours {
			want, requests = map[string]any{"id": "doc_1", "title": "", "content": "whole"}, 2
		}
		if diff := cmp.Diff(want, got); diff != "" || seen != requests {
			t.Errorf("honours %t: after %d requests, want %d (-want +got):\n%s", honours, seen, requests, diff)
		}
	}
}

// An effect that was made is not made again under the task, unless that is meant.
func TestSpecRepeats(t *testing.T) {
	for repeats, want := range map[bool]int{false: 1, true: 2} {
		made := 0
		api := serve(t, func(w http.ResponseWriter, _ *http.Request) { made++; _, _ = io.WriteString(w, `{"id":"x"}`) })
		act, err := tools.New(tools.Spec[none]{
			Name: "act", Description: "acts", API: api, Repeats: repeats, Ceiling: func(none) []rar.Detail { return nil },
		}, func(ctx tools.Context, _ none) (out map[string]any, err error) {
			err = ctx.PostJSON(api.String(), "x", &out)
			return out, err
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx := jit.NewContext(t.Context(), fake.Task(t, &fake.Authority{}))
		for range 2 {
			if got, err := runnable(t, act).Run(newCtx(ctx), map[string]any{}); err != nil || got["id"] != "x" {
				t.Errorf("Run() = %v, %v", got, err)
			}
		}
		if made != want {
			t.Errorf("with Repeats %t there were %d effects, want %d", repeats, made, want)
		}
	}
}

// An answer that does not say whether it took effect is no failure after which the model
// may call again.
func TestAnswersThatLeaveItOpen(t *testing.T) {
	for _, code := range []int{408, 500, 502, 503, 504, 304, 307} {
		made := 0
		api := serve(t, func(w http.ResponseWriter, _ *http.Request) { made++; w.WriteHeader(code) })
		act, _ := caller(t, api, func(ctx tools.Context, _ *tools.Document) error { return ctx.PostJSON(api.String(), "x", nil) })
		ctx := jit.NewContext(t.Context(), fake.Task(t, &fake.Authority{}))
		for range 2 {
			got, err := runnable(t, act).Run(newCtx(ctx), map[string]any{})
			if err != nil || got["status"] != "in_doubt" || got["error"] != fmt.Sprintf("the API answered %d, which does not say whether the call took effect", code) {
				t.Errorf("%d: the model is told %v, %v", code, got, err)
			}
		}
		if made != 1 {
			t.Errorf("%d: %d effects, want one", code, made)
		}
	}
}
