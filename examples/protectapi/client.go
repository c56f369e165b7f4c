package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// This file is a caller of the API: first one that knows nothing of jit, which
// shows the answers as they are, then one that does.

// strangers calls without a token, and with one that covers nothing.
func strangers(ctx context.Context, out io.Writer, api *url.URL, base secret.String) error {
	client := &http.Client{Timeout: 10 * time.Second}
	for _, token := range []secret.String{{}, base} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, api.JoinPath("v1/notes/n_1").String(), nil)
		if err != nil {
			return err
		}
		who := "no token"
		if !token.IsZero() {
			who = "the agent's own token"
			req.Header.Set("Authorization", "Bearer "+token.Reveal())
		}
		status, body, err := send(client, req)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(out, "GET with %s: %s\n  %s\n", who, status, body)
	}
	return nil
}

// member works under a task and gets what it needs, within its ceilings.
func member(ctx context.Context, out io.Writer, engine *jit.Engine, api *url.URL) (err error) {
	origin, err := jit.OriginOf(api)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &jit.Transport{Origin: origin}}
	task, err := engine.Open(ctx, jit.TaskSpec{Name: "amend a note"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, task.Complete(context.WithoutCancel(ctx))) }()
	for _, step := range []struct{ method, action, body string }{
		{http.MethodPut, "write", "Call the finance lead on Monday."},
		{http.MethodGet, "read", ""},
	} {
		call := task.Call(ctx, jit.Call{Justification: step.action + " note n_1", Ceiling: []rar.Detail{{
			Type: "note", Actions: []string{step.action}, Identifier: "n_1", Locations: []string{origin.String()},
		}}})
		req, err := http.NewRequestWithContext(call, step.method, api.JoinPath("v1/notes/n_1").String(), strings.NewReader(step.body))
		if err != nil {
			return err
		}
		status, body, err := send(client, req)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(out, "%s under a task: %s\n", step.method, strings.TrimSpace(status+"\n  "+body))
	}
	return nil
}

// send returns status and body of an answer.
func send(client *http.Client, req *http.Request) (status, body string, err error) {
	resp, err := client.Do(req)
	if err != nil {
		return "", "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return resp.Status, strings.TrimSpace(string(text)), err
}
