package bench

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// hand makes the round trips as somebody would who writes them down once, without
// any of this project's packages: it believes what the servers say.
type hand struct {
	ctx   context.Context
	http  *http.Client
	auth  string // .../api/v1
	token string // the agent's own
	task  string
}

func (w *world) hand(t *testing.T) *hand { return must(w.byHand(t.Context()))(t) }

// byHand opens a task under which everything is asked for.
func (w *world) byHand(ctx context.Context) (*hand, error) {
	h := &hand{ctx: ctx, http: w.plain, auth: w.AuthURL + "/orgs/" + w.Auth.Config().Org + "/api/v1", token: w.token}
	var task struct {
		ID string `json:"task_id"`
	}
	err := h.post("/jit/task", map[string]string{"name": app}, &task)
	h.task = task.ID
	return h, err
}

func (h *hand) complete() error {
	var done struct{}
	return h.post("/jit/task/"+h.task+"/complete", struct{}{}, &done)
}

// An answer is a response, read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// send makes one round trip.
func (h *hand) send(method, url, bearer string, body any, header ...string) (a answer, err error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return a, err
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(h.ctx, method, url, reader)
	if err != nil {
		return a, err
	}
	header = append(header, "Authorization", "Bearer "+bearer, "Accept", "application/json", "Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := h.http.Do(req)
	if err != nil {
		return a, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, text}, err
}

// call makes a call that must work.
func (h *hand) call(method, url, token string, body any, header ...string) (answer, error) {
	a, err := h.send(method, url, token, body, header...)
	if err == nil && a.status >= 300 {
		err = fmt.Errorf("%s %s: status %d: %s", method, url, a.status, bytes.TrimSpace(a.body))
	}
	return a, err
}

// post sends to the authorization server and decodes its answer.
func (h *hand) post(path string, body, out any) error {
	a, err := h.call(http.MethodPost, h.auth+path, h.token, body)
	if err != nil {
		return err
	}
	return json.Unmarshal(a.body, out)
}

// a wanted is an authorization detail, written out.
type wanted struct {
	Type       string   `json:"type"`
	Actions    []string `json:"actions"`
	Identifier string   `json:"identifier"`
	Locations  []string `json:"locations,omitempty"`
}

func reading(id string) wanted {
	return wanted{Type: "file_access", Actions: []string{"read"}, Identifier: id}
}

// grant asks for one detail and redeems it: two round trips.
func (h *hand) grant(detail wanted) (token string, err error) {
	var asked struct {
		ID     string `json:"request_id"`
		Status string `json:"status"`
	}
	err = h.post("/jit/request", map[string]any{
		"task_id": h.task, "authorization_details": detail, "justification": "to use " + detail.Identifier, "requested_ttl": 300,
	}, &asked)
	if err == nil && asked.Status != "approved" {
		err = fmt.Errorf("request %s is %s", asked.ID, asked.Status)
	}
	if err != nil {
		return "", err
	}
	var issued struct {
		Token string `json:"access_token"`
	}
	err = h.post("/jit/request/"+asked.ID+"/token", nil, &issued)
	return issued.Token, err
}

// escalate makes a call that is refused, asks for what the refusal says, and makes
// it again: four round trips.
func (h *hand) escalate(method, url string, body any, header ...string) (token string, err error) {
	refused, err := h.send(method, url, h.token, body, header...)
	if err == nil && refused.status != http.StatusForbidden {
		err = fmt.Errorf("%s %s: status %d, want a refusal", method, url, refused.status)
	}
	if err != nil {
		return "", err
	}
	text, err := base64.StdEncoding.DecodeString(refused.header.Get("Insufficient-Authorization-Details"))
	if err != nil {
		return "", err
	}
	var detail wanted
	if err = json.Unmarshal(text, &detail); err == nil {
		token, err = h.grant(detail)
	}
	if err == nil {
		_, err = h.call(method, url, token, body, header...)
	}
	return token, err
}
