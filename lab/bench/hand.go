package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// hand makes the round trips as somebody would who writes them down once, without
// any of this project's packages: it believes what the servers say.
type hand struct {
	http  *http.Client
	auth  string // .../api/v1
	token string // the agent's own
	task  string
}

func (w *world) hand(ctx context.Context) (*hand, error) {
	h := &hand{http: w.plain(), auth: w.AuthURL + "/orgs/" + w.Auth.Config().Org + "/api/v1", token: w.token}
	return h, h.open(ctx)
}

// An answer is a response, read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// send makes one round trip.
func (h *hand) send(ctx context.Context, method, url, bearer string, body any, header ...string) (answer, error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, reader)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := h.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, text}, err
}

// post sends to the authorization server and decodes its answer.
func (h *hand) post(ctx context.Context, path string, body, out any) error {
	a, err := h.send(ctx, http.MethodPost, h.auth+path, h.token, body)
	if err != nil {
		return err
	}
	if a.status >= 300 {
		return fmt.Errorf("POST %s: status %d", path, a.status)
	}
	return json.Unmarshal(a.body, out)
}

// open opens the task under which everything is asked for.
func (h *hand) open(ctx context.Context) error {
	var task struct {
		ID string `json:"task_id"`
	}
	err := h.post(ctx, "/jit/task", map[string]string{"name": "bench"}, &task)
	h.task = task.ID
	return err
}

func (h *hand) complete(ctx context.Context) error {
	var done struct{}
	return h.post(ctx, "/jit/task/"+h.task+"/complete", struct{}{}, &done)
}

// a wanted is an authorization detail, written out.
type wanted struct {
	Type       string   `json:"type"`
	Actions    []string `json:"actions"`
	Identifier string   `json:"identifier"`
	Locations  []string `json:"locations,omitempty"`
}

// grant asks for one detail and redeems it: two round trips.
func (h *hand) grant(ctx context.Context, detail wanted, why string) (token string, err error) {
	var asked struct {
		ID     string `json:"request_id"`
		Status string `json:"status"`
	}
	err = h.post(ctx, "/jit/request", map[string]any{
		"task_id": h.task, "authorization_details": detail, "justification": why, "requested_ttl": 300,
	}, &asked)
	if err != nil {
		return "", err
	}
	if asked.Status != "approved" {
		return "", fmt.Errorf("request %s is %s", asked.ID, asked.Status)
	}
	var issued struct {
		Token string `json:"access_token"`
	}
	err = h.post(ctx, "/jit/request/"+asked.ID+"/token", nil, &issued)
	return issued.Token, err
}

// escalate makes a call that is refused, asks for what the refusal says, and makes
// it again: four round trips.
func (h *hand) escalate(ctx context.Context, method, url string, body any, why string, header ...string) (token string, err error) {
	refused, err := h.send(ctx, method, url, h.token, body, header...)
	if err != nil {
		return "", err
	}
	if refused.status != http.StatusForbidden {
		return "", fmt.Errorf("%s: status %d, want a refusal", method, refused.status)
	}
	text, err := base64.StdEncoding.DecodeString(refused.header.Get("Insufficient-Authorization-Details"))
	if err != nil {
		return "", err
	}
	var detail wanted
	if err := json.Unmarshal(text, &detail); err != nil {
		return "", err
	}
	if token, err = h.grant(ctx, detail, why); err != nil {
		return "", err
	}
	return token, h.call(ctx, method, url, token, body, header...)
}

// call makes a call that must work.
func (h *hand) call(ctx context.Context, method, url, token string, body any, header ...string) error {
	a, err := h.send(ctx, method, url, token, body, header...)
	if err != nil {
		return err
	}
	if a.status >= 300 {
		return fmt.Errorf("%s: status %d: %s", method, a.status, strings.TrimSpace(string(a.body)))
	}
	return nil
}
