//go:build unix

// Command byhand does the published example's job with ADK for Go and Google's model
// library alone, for peers.py: what an application pays that writes the round trips of
// JIT authority down once and believes what servers say.
//
// Arguments: sessions, and how many run at once. It prints what they cost, warm.
package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/model/gemini"
	"google.golang.org/adk/v2/runner"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/functiontool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/lab/bench/peers/measure"
)

var (
	api    = os.Getenv("ANALYST_API_URL")
	org    = os.Getenv("LUMOAUTH_URL") + "/orgs/" + os.Getenv("LUMOAUTH_ORG_ID") + "/api/v1"
	client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "byhand:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("sessions, and how many at once")
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {os.Getenv("AGENT_CLIENT_ID")}, "client_secret": {os.Getenv("AGENT_CLIENT_SECRET")}}
	var login struct {
		Token string `json:"access_token"`
	}
	_, err := send(ctx, http.MethodPost, org+"/oauth/token", "application/x-www-form-urlencoded", "", strings.NewReader(form.Encode()), &login)
	if err != nil {
		return err
	}
	llm, err := gemini.NewModel(ctx, "gemini-2.5-flash", &genai.ClientConfig{HTTPClient: client})
	if err != nil {
		return err
	}
	return measure.Run(ctx, args[0], args[1], func(ctx context.Context) error {
		return (&task{login: login.Token}).session(ctx, llm)
	})
}

// send makes one round trip, and reads the answer into out. It returns what was demanded.
func send(ctx context.Context, method, url, kind, token string, body io.Reader, out any) (demand string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", kind)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	if demand = resp.Header.Get("Insufficient-Authorization-Details"); demand == "" && resp.StatusCode >= 300 {
		return "", fmt.Errorf("%s: %s", url, resp.Status)
	}
	return demand, json.NewDecoder(resp.Body).Decode(out)
}

type task struct{ login, id string }

// ask posts to the authorization server.
func (t *task) ask(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	_, err = send(ctx, http.MethodPost, org+path, "application/json", t.login, bytes.NewReader(body), out)
	return err
}

// call makes a call, once more with what its refusal names.
func (t *task) call(ctx context.Context, method, path string, in any) (out map[string]any, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	text, err := send(ctx, method, api+path, "application/json", t.login, bytes.NewReader(body), &out)
	if err != nil || text == "" {
		return out, err
	}
	demand, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	var asked struct {
		ID string `json:"request_id"`
	}
	var granted struct {
		Token string `json:"access_token"`
	}
	err = t.ask(ctx, "/jit/request", map[string]any{"task_id": t.id, "authorization_details": json.RawMessage(demand), "justification": method + " " + path}, &asked)
	if err == nil {
		err = t.ask(ctx, "/jit/request/"+asked.ID+"/token", nil, &granted)
	}
	if err != nil {
		return nil, err
	}
	out = nil
	_, err = send(ctx, method, api+path, "application/json", granted.Token, bytes.NewReader(body), &out)
	return out, err
}

type document struct {
	ID string `json:"document_id"`
}

type report struct {
	Title   string `json:"title"`
	Content string `json:"content"`
}

// session is one task: agent, model and two tools, as ADK's documentation shows.
func (t *task) session(ctx context.Context, llm model.LLM) (err error) {
	var opened struct {
		ID string `json:"task_id"`
	}
	if err := t.ask(ctx, "/jit/task", map[string]string{"name": "protected data analysis"}, &opened); err != nil {
		return err
	}
	t.id = opened.ID
	defer func() {
		var done struct{}
		err = errors.Join(err, t.ask(ctx, "/jit/task/"+t.id+"/complete", struct{}{}, &done))
	}()
	fetch, err1 := functiontool.New(functiontool.Config{Name: "fetch_document", Description: "Fetch one document by its identifier."},
		func(ctx agent.Context, in document) (map[string]any, error) {
			return t.call(ctx, http.MethodGet, "/v1/documents/"+in.ID, nil)
		})
	create, err2 := functiontool.New(functiontool.Config{Name: "create_report", Description: "Create a report."},
		func(ctx agent.Context, in report) (map[string]any, error) {
			return t.call(ctx, http.MethodPost, "/v1/reports", in)
		})
	analyst, err3 := llmagent.New(llmagent.Config{
		Name: "protected_data_analyst", Model: llm, Tools: []tool.Tool{fetch, create},
		Instruction: "You are a senior data analyst. Use the tools to read documents and to create reports.",
	})
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	store := session.InMemoryService()
	r, err := runner.New(runner.Config{AppName: "analyst", Agent: analyst, SessionService: store})
	if err != nil {
		return err
	}
	s, err := store.Create(ctx, &session.CreateRequest{AppName: "analyst", UserID: "u"})
	if err != nil {
		return err
	}
	calls := 0
	for event, err := range r.Run(ctx, "u", s.Session.ID(), genai.NewContentFromText(measure.Prompt, genai.RoleUser), agent.RunConfig{}) {
		if err != nil {
			return err
		}
		if event.Content != nil {
			for _, part := range event.Content.Parts {
				if part.FunctionResponse != nil && part.FunctionResponse.Response["error"] == nil {
					calls++
				}
			}
		}
	}
	if calls != 2 {
		return fmt.Errorf("%d calls went well", calls)
	}
	return nil
}
