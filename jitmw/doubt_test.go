package jitmw_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/adk/v2/agent"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
)

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A tool may word a lost answer as it likes, or panic over it: the model is told
// that the call may have taken effect.
func TestDoubtOutweighsTheToolsWords(t *testing.T) {
	origin, err := jit.ParseOrigin("https://api.test")
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &jit.Transport{Origin: origin, Base: tripper(func(r *http.Request) (*http.Response, error) {
		_ = r.Body.Close()
		return nil, io.ErrUnexpectedEOF
	})}}
	for name, after := range map[string]func(error) (map[string]any, error){
		"its own error": func(error) (map[string]any, error) { return nil, errors.New("could not post") },
		"its own words": func(error) (map[string]any, error) {
			return nil, &jitmw.Failure{Status: jit.CallNotFound, Message: "no such report"}
		},
		"the error itself": func(err error) (map[string]any, error) { return nil, err },
		"a panic":          func(err error) (map[string]any, error) { panic(err) },
	} {
		t.Run(name, func(t *testing.T) {
			inner := &plain{name: "act", run: func(ctx agent.Context, _ any) (map[string]any, error) {
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.test/reports", strings.NewReader("text"))
				if err != nil {
					return nil, err
				}
				resp, err := client.Do(req)
				if err == nil {
					_ = resp.Body.Close()
					t.Error("the request was answered")
				}
				return after(err)
			}}
			got := run(t, wrap(t, inner, jitmw.Config{}), under(t, newAuthority()), nil)
			if got["status"] != "in_doubt" || !strings.Contains(got["error"].(string), "not known whether") {
				t.Errorf("the model sees %v, want in_doubt", got)
			}
		})
	}
}
