package notice

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/jitagent/jitagent/internal/peer"
)

// A webhook signs and posts notices.
type webhook struct {
	url    string
	key    func() []byte // a func, since fmt prints unexported fields
	client *http.Client
}

func newWebhook(cfg Config) (*webhook, error) {
	u, err := address(cfg.URL)
	if err != nil {
		return nil, err
	}
	if cfg.Secret.IsZero() {
		return nil, errors.New("notice: the webhook has no secret to be signed with: whsec_ and 24 to 64 bytes in base64, in a file of its own")
	}
	text, marked := strings.CutPrefix(cfg.Secret.Reveal(), "whsec_")
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || !marked || len(key) < 24 || len(key) > 64 {
		return nil, errors.New("notice: the secret of the webhook is not whsec_ and 24 to 64 bytes in base64")
	}
	return &webhook{url: u.String(), key: func() []byte { return key }, client: &http.Client{
		Transport: cmp.Or(cfg.Base, peer.Transport()), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// sign returns the signature of a body (Standard Webhooks, "Signature scheme").
func (h *webhook) sign(id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, h.key())
	_, _ = fmt.Fprintf(mac, "%s.%d.%s", id, at.Unix(), body) // never fails
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (h *webhook) tell(ctx context.Context, n Notice) error {
	body, at := n.json(), time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", n.id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("Webhook-Signature", h.sign(n.id, at, body))
	resp, err := h.client.Do(req) //nolint:bodyclose // Drain closes it
	if err != nil {
		return errors.New("no answer: " + peer.Broke(err).String()) // its text may name the URL, which may hold a key
	}
	peer.Drain(resp)
	switch wait, said := peer.RetryAfter(resp.Header, time.Now()); {
	case resp.StatusCode/100 == 2:
		return nil
	case resp.StatusCode == http.StatusGone:
		return errGone
	case resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusRequestTimeout:
		return fmt.Errorf("%w: %s", errFinal, resp.Status)
	case said && wait > 0 && wait <= maxPause:
		return &backoff.RetryAfterError{Duration: wait}
	}
	return errors.New(resp.Status)
}
