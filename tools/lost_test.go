package tools_test

import (
	"io"
	"net/http"
	"testing"

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

// An effect whose answer breaks off is asked for again only where the tool says that
// the API honours keys. Else the model is told that it may have happened.
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
		want := map[bool]struct {
			requests int
			status   any
		}{true: {2, nil}, false: {1, "in_doubt"}}[honours]
		if seen != want.requests || got["status"] != want.status {
			t.Errorf("honours %t: %v after %d requests, want status %v after %d", honours, got, seen, want.status, want.requests)
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
