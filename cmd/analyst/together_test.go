package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/approval"
)

// aProcess is what a process of TestOnePromptForThreeProcesses is told.
type aProcess struct {
	URL, Org, ClientID, Secret, API string
	Calls                           int
}

// A hundred equal calls at once in three processes are one request in each, one prompt
// in all, and a hundred results.
func TestOnePromptForThreeProcesses(t *testing.T) {
	const env = "TEST_PROCESS"
	if told := os.Getenv(env); told != "" {
		var p aProcess
		if err := json.Unmarshal([]byte(told), &p); err != nil {
			t.Fatal(err)
		}
		p.run(t)
		return
	}
	servers, err := dev.Start(t.Context(), dev.Config{Documents: &docapi.Config{Reports: t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = servers.Close() }()
	cfg := servers.Client()
	client, err := lumoauth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var lines []*bufio.Scanner
	for _, calls := range []int{33, 33, 34} {
		told, err := json.Marshal(aProcess{cfg.URL, cfg.Org, cfg.ClientID, cfg.ClientSecret.Reveal(), servers.API.String(), calls})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$") //nolint:gosec // this test
		cmd.Env = append(os.Environ(), env+"="+string(told))
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cmd.Wait() }() // its last line tells
		lines = append(lines, bufio.NewScanner(out))
	}
	for _, l := range lines {
		if !l.Scan() || l.Text() != "pending" {
			t.Fatalf("a process says %q, want that it waits", l.Text())
		}
	}
	person := lumoauth.Reviewer{Client: client, Token: servers.Auth.Reviewer}
	list, _, err := person.Pending(t.Context())
	prompts := approval.Together(list)
	if err != nil || len(list) != 3 || len(prompts) != 1 || strings.Count(prompts[0].Text(), "\ntask ") != 3 {
		t.Fatalf("%d requests in %d prompts (%v), want 3 in one that names each task:\n%v", len(list), len(prompts), err, prompts)
	}
	if done, err := prompts[0].Decide(t.Context(), person, approval.Decision{Approve: true}); done != 3 || err != nil {
		t.Fatal(done, err)
	}
	results := 0
	for _, l := range lines {
		var n int
		if l.Scan() {
			_, _ = fmt.Sscanf(l.Text(), "%d results", &n) // or 0
		}
		results += n
	}
	if list, _, err = person.Pending(t.Context()); results != 100 || len(list) != 0 || err != nil {
		t.Errorf("%d results, %d requests still wait (%v), want 100 and none", results, len(list), err)
	}
}

// run makes equal calls at once, and says when a person is waited for, and how many had
// a result.
func (p aProcess) run(t *testing.T) {
	authority, err := lumoauth.New(lumoauth.Config{URL: p.URL, Org: p.Org, ClientID: p.ClientID, ClientSecret: secret.New(p.Secret)})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := jit.New(jit.Config{Authority: authority, Wait: time.Minute, PollInterval: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	task := engine.Start(t.Context(), jit.TaskSpec{Name: "read"}, func(e jit.Event) {
		if d, ok := e.(jit.Decided); ok && d.Status == jit.StatusPending {
			fmt.Println("pending")
		}
	})
	defer func() { _ = task.Complete(context.WithoutCancel(t.Context())) }()
	api, err := url.Parse(p.API)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var results atomic.Int64
	for range p.Calls {
		wg.Go(func() {
			if err := readSalaries(t.Context(), task, api); err == nil {
				results.Add(1)
			} else {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	fmt.Println(results.Load(), "results")
}

// readSalaries makes the call of fetch_document for a document that a person decides about.
func readSalaries(ctx context.Context, task *jit.Task, api *url.URL) error {
	origin, err := jit.OriginOf(api)
	if err != nil {
		return err
	}
	ctx = task.Call(ctx, jit.Call{Tool: "fetch_document", Args: map[string]any{"document_id": "doc_7310"}, Ceiling: []rar.Detail{
		{Type: "file_access", Actions: []string{"read"}, Locations: []string{origin.String()}, Identifier: "doc_7310"},
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, api.JoinPath("v1/documents/doc_7310").String(), nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: &jit.Transport{Origin: origin}}).Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && !strings.Contains(string(text), "Salary Bands") {
		err = fmt.Errorf("%s without the document", resp.Status)
	}
	return err
}
