package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/jitagent/jitagent/dev/lumodev"
)

// tokens is an authorization server without a socket, and a key for the floor.
type tokens struct {
	server *lumodev.Server
	path   string
	key    *ecdsa.PrivateKey
	digest [sha256.Size]byte
	sig    []byte
}

func newTokens() (*tokens, error) {
	server, err := lumodev.New(lumodev.Config{BaseURL: "http://127.0.0.1:1"})
	if err != nil {
		return nil, err
	}
	t := &tokens{server: server, path: "/orgs/" + lumodev.DefaultOrg + "/api/v1/oauth/", digest: sha256.Sum256([]byte("a token"))}
	if t.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err == nil {
		t.sig, err = ecdsa.SignASN1(rand.Reader, t.key, t.digest[:])
	}
	return t, err
}

// post serves one request of a client with its secret, and returns the answer.
func (t *tokens) post(ctx context.Context, endpoint string, form string) ([]byte, error) {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, t.path+endpoint, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	t.server.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d", endpoint, w.Code)
	}
	return w.Body.Bytes(), nil
}

func (t *tokens) login() string {
	agent := t.server.Config().Agents[0]
	return url.Values{
		"grant_type": {"client_credentials"}, "client_id": {agent.ClientID}, "client_secret": {agent.ClientSecret.Reveal()},
	}.Encode()
}

func perSecond(what string) func(*Row) ([]string, error) {
	return func(r *Row) ([]string, error) {
		return []string{fmt.Sprintf("%.0f %s a second on one core", 1e9/r.Nanos, what)}, nil
	}
}

func tokenIssued() measure {
	return measure{
		name: "embedded server issues a token, without a socket", floor: "ES256 signature alone", goal: goal{ratio: 1.5},
		open: func(ctx context.Context) (*pair, error) {
			t, err := newTokens()
			if err != nil {
				return nil, err
			}
			form := t.login()
			return &pair{
				ours:  side{run: func() error { _, err := t.post(ctx, "token", form); return err }},
				floor: side{run: func() error { _, err := ecdsa.SignASN1(rand.Reader, t.key, t.digest[:]); return err }},
				notes: perSecond("tokens issued"),
				close: t.server.Close,
			}, nil
		},
	}
}

func tokenVerified() measure {
	return measure{
		name: "embedded server verifies a token, without a socket", floor: "ES256 verification alone", goal: goal{ratio: 1.5},
		open: func(ctx context.Context) (*pair, error) {
			t, err := newTokens()
			if err != nil {
				return nil, err
			}
			answer, err := t.post(ctx, "token", t.login())
			if err != nil {
				return nil, err
			}
			var issued struct {
				Token string `json:"access_token"`
			}
			if err := json.Unmarshal(answer, &issued); err != nil {
				return nil, err
			}
			rs := t.server.Config().ResourceServers[0]
			form := url.Values{"token": {issued.Token}, "client_id": {rs.ClientID}, "client_secret": {rs.ClientSecret.Reveal()}}.Encode()
			return &pair{
				ours: side{run: func() error { _, err := t.post(ctx, "introspect", form); return err }},
				floor: side{run: func() error {
					if !ecdsa.VerifyASN1(&t.key.PublicKey, t.digest[:], t.sig) {
						return errors.New("the signature does not hold")
					}
					return nil
				}},
				notes: perSecond("tokens verified"),
				close: t.server.Close,
			}, nil
		},
	}
}
