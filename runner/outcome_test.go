package runner_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/tools"
)

// Each turn of a script is the calls that the model makes at once: a tool and the
// status that it returns.
func TestOutcomes(t *testing.T) {
	for name, tt := range map[string]struct {
		turns []string
		want  runner.Outcome
	}{
		"no tools":                        {nil, runner.Done},
		"worked":                          {[]string{"a ok"}, runner.Done},
		"failed":                          {[]string{"a failed"}, runner.Failed},
		"failed, then worked":             {[]string{"a failed", "a ok"}, runner.Done},
		"failed twice, then worked":       {[]string{"a failed", "a failed", "a ok"}, runner.Done},
		"worked, then failed":             {[]string{"a ok", "a failed"}, runner.Failed},
		"failed and worked at once":       {[]string{"a failed, a ok"}, runner.Failed},
		"worked and failed at once":       {[]string{"a ok, a failed"}, runner.Failed},
		"at once, then worked":            {[]string{"a failed, a ok", "a ok"}, runner.Done},
		"another one worked":              {[]string{"a failed", "b ok"}, runner.Failed},
		"each made up for":                {[]string{"a failed, b failed", "b ok", "a ok"}, runner.Done},
		"one not made up for":             {[]string{"a failed, b failed", "b ok"}, runner.Failed},
		"wrong arguments":                 {[]string{"a invalid_arguments"}, runner.Failed},
		"wrong arguments, then corrected": {[]string{"a invalid_arguments", "a ok"}, runner.Done},
		"not found":                       {[]string{"a not_found"}, runner.Failed},
		"unknown tool":                    {[]string{"none ok"}, runner.Failed},
		"unknown tool, then corrected":    {[]string{"none ok", "a ok"}, runner.Done},
		"unknown and worked at once":      {[]string{"none ok, a ok"}, runner.Failed},
		"own status":                      {[]string{"a teapot"}, runner.Failed},
		"error without status":            {[]string{"a plain"}, runner.Failed},
		"no status with a failed field":   {[]string{"a empty"}, runner.Done},
		"works, and answers an error":     {[]string{"a reports"}, runner.Done},
		"works, and answers a denial":     {[]string{"a declined"}, runner.Done},
		"denied":                          {[]string{"a denied"}, runner.Denied},
		"denied, then worked":             {[]string{"a denied", "a ok"}, runner.Denied},
		"denied and failed":               {[]string{"a denied, b failed"}, runner.Denied},
		"a login":                         {[]string{"a login_required"}, runner.LoginRequired},
		"a login and denied":              {[]string{"a login_required, b denied"}, runner.LoginRequired},
		"a login and pending":             {[]string{"a login_required, b pending"}, runner.Pending},
		"pending":                         {[]string{"a pending"}, runner.Pending},
		"pending and denied":              {[]string{"a pending, b denied"}, runner.Pending},
		"denied, then pending":            {[]string{"a denied", "b pending"}, runner.Pending},
		"blocked, and hidden by the tool": {[]string{"a blocked"}, runner.Denied},
		"lost":                            {[]string{"a lost"}, runner.InDoubt},
		"lost, and hidden by the tool":    {[]string{"a hidden"}, runner.InDoubt},
		"lost, then pending":              {[]string{"a lost", "b pending"}, runner.InDoubt},
		"lost, then settled":              {[]string{"a lost, b found"}, runner.InDoubt},
		"lost, then settled in time":      {[]string{"a kept", "a found"}, runner.Done},
		"may have done it, says the tool": {[]string{"a in_doubt"}, runner.InDoubt},
	} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			returns := func(ctx tools.Context, status string) (map[string]any, error) {
				switch status {
				case "ok":
					return map[string]any{"status": "active", "ok": true}, nil
				case "empty":
					return map[string]any{"status": "failed", "error": ""}, nil
				case "reports":
					return map[string]any{"error": "3 of 10 rows are malformed"}, nil
				case "declined":
					return map[string]any{"status": "denied", "error": "card declined"}, nil
				case "plain":
					return nil, errors.New("plain")
				case "blocked":
					_, err := jit.Acquire(ctx, rar.Detail{Type: "admin"})
					return map[string]any{"swallowed": err != nil}, nil
				case "lost":
					return nil, post(ctx, false, true)
				case "hidden":
					return map[string]any{"swallowed": post(ctx, false, true) != nil}, nil
				case "kept":
					return nil, post(ctx, true, true)
				case "found":
					return map[string]any{}, post(ctx, true, false)
				}
				return nil, &jitmw.Failure{Status: jit.CallStatus(status), Message: status}
			}
			var steps []step
			for _, turn := range tt.turns {
				steps = append(steps, asks(strings.Split(turn, ", ")...))
			}
			w := &world{llm: plays(append(steps, says("done"))...), tools: []tool.Tool{act(t, "a", returns), act(t, "b", returns)}}
			got := follow(t.Context(), t, w.runner(t), runner.Input{})
			if got.finished.Outcome != tt.want || got.err != nil || got.finished.Answer != "done" {
				t.Errorf("outcome = %q with the answer %q and %v, want %q", got.finished.Outcome, got.finished.Answer, got.err, tt.want)
			}
		})
	}
}

// What came of a call is told by its type. The same words in a tool's own result
// mean nothing, with a guard and without.
func TestResultsAreNotRead(t *testing.T) {
	clean(t)
	declined := map[string]any{"status": "denied", "error": "card declined", "request_id": "r"}
	w := &world{llm: plays(asks("guarded", "bare", "broken", "missing"), says("done")), tools: []tool.Tool{
		act(t, "guarded", func(tools.Context, string) (map[string]any, error) { return declined, nil }),
		raw{"bare", func(adk.Context) (map[string]any, error) { return declined, nil }},
		raw{"broken", func(adk.Context) (map[string]any, error) { return nil, errors.New("no disk") }},
	}}
	got := follow(t.Context(), t, w.runner(t), runner.Input{})
	want := map[string]runner.ToolReturned{
		"guarded": {Status: jit.CallOK, Result: declined},
		"bare":    {Status: jit.CallOK, Result: declined},
		"broken":  {Status: jit.CallFailed, Error: "no disk", Result: map[string]any{"error": "no disk"}},
		"missing": {Status: jit.CallFailed},
	}
	for _, e := range got.events {
		e, ok := e.(runner.ToolReturned)
		if !ok {
			continue
		}
		w := want[e.Tool]
		if e.Tool == "missing" && e.Error == `tool "missing" not found: there are bare, broken, guarded` {
			w.Error, w.Result = e.Error, e.Result
		}
		w.Time, w.CallID, w.Tool = e.Time, e.CallID, e.Tool
		if diff := cmp.Diff(w, e); diff != "" {
			t.Errorf("%s returned (-want +got):\n%s", e.Tool, diff)
		}
		delete(want, e.Tool)
	}
	if len(want) != 0 || got.finished.Outcome != runner.Failed {
		t.Errorf("outcome %s; nothing is told of %v", got.finished.Outcome, want)
	}
}

// post sends an effect whose answer is lost, or not.
func post(ctx context.Context, honoured, lost bool) error {
	base := func(r *http.Request) (*http.Response, error) {
		_ = r.Body.Close()
		if lost {
			return nil, errors.New("odd") // not worth another try
		}
		return &http.Response{StatusCode: 201, Body: http.NoBody}, nil
	}
	origin, err := jit.ParseOrigin("https://api.test")
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &jit.Transport{Origin: origin, Base: tripper(base), HonorsIdempotencyKey: honoured}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.test/reports", strings.NewReader("text"))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestCompletionThatFails(t *testing.T) {
	clean(t)
	w := &world{llm: plays(says("the answer")), authority: newAuthority(completesNone)}
	got := follow(t.Context(), t, w.runner(t), runner.Input{})
	const want = "runner: the task could not be completed, so its tokens live until they expire: jit: the authorization server did not complete the task: openai: 500: overloaded"
	if got.err == nil || got.err.Error() != want || !errors.Is(got.err, errProvider) {
		t.Errorf("error = %v, want %s", got.err, want)
	}
	if got.finished.Outcome != runner.Failed || got.finished.Answer != "the answer" {
		t.Errorf("finished = %+v, want failed with the answer", got.finished)
	}

	w = &world{llm: plays(fails(errDisk)), authority: newAuthority(completesNone)}
	got = follow(t.Context(), t, w.runner(t), runner.Input{})
	if !errors.Is(got.err, errDisk) || !errors.Is(got.err, errProvider) || strings.Contains(got.err.Error(), "\n") {
		t.Errorf("error = %q, want both on one line", got.err)
	}
}
