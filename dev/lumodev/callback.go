package lumodev

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jitagent/jitagent/internal/pause"
	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/internal/serve"
)

// callable reports whether an agent may have an address called: an https address, whose
// server proves its name, or one of this machine. Others may be of anybody whom this machine
// alone reaches.
func callable(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil || len(raw) > maxText {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && serve.Loopback(strings.ToLower(u.Hostname()))
}

// tell calls the callback_url of a request that a person decided, aside: nobody waits for it.
// The payload is not LumoAuth's, which documents none, and is not signed. The caller holds s.mu.
func (s *Server) tell(r request) {
	if r.CallbackURL == "" {
		return
	}
	body, _ := json.Marshal(object{"request_id": r.ID, "task_id": r.TaskID, "status": r.Status, "agent_message": r.AgentMessage}) // texts
	s.calls.TryGo(func() error {
		for _, wait := range []time.Duration{0, time.Second, 5 * time.Second} {
			if !pause.For(s.calling, wait) || called(s.calling, r.CallbackURL, body) {
				return nil
			}
		}
		s.cfg.Logger.Warn("nobody takes the callback of a request", "request", r.ID) // the address may be a secret
		return nil
	})
}

// called makes one try, and reports whether it was taken. Of the answer the status alone is
// read, and no redirect is followed.
func called(ctx context.Context, address string, body []byte) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := peer.Transport().RoundTrip(req) //nolint:bodyclose // Drain closes it
	if err != nil {
		return false
	}
	peer.Drain(resp)
	return resp.StatusCode/100 == 2
}
