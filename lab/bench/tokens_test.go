package bench

import (
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
	"testing"

	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/secret"
)

// tokens is an authorization server without a socket, and a key for the floor.
type tokens struct {
	*lumodev.Server
	t      *testing.T
	key    *ecdsa.PrivateKey
	digest [sha256.Size]byte
	sig    []byte
}

func newTokens(t *testing.T) *tokens {
	s := &tokens{Server: must(lumodev.New(lumodev.Config{BaseURL: "http://127.0.0.1:1"}))(t), t: t, digest: sha256.Sum256([]byte("a token"))}
	t.Cleanup(func() { check(t, s.Close()) })
	s.key = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	s.sig = must(ecdsa.SignASN1(rand.Reader, s.key, s.digest[:]))(t)
	return s
}

// post serves one request of a client with its secret, and returns the answer.
func (s *tokens) post(endpoint string, form string) ([]byte, error) {
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.Issuer()+"/api/v1/oauth/"+endpoint, strings.NewReader(form))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d", endpoint, w.Code)
	}
	return w.Body.Bytes(), nil
}

func (s *tokens) login() string {
	agent := s.Config().Agents[0]
	return url.Values{
		"grant_type": {"client_credentials"}, "client_id": {agent.ClientID}, "client_secret": {agent.ClientSecret.Reveal()},
	}.Encode()
}

func perSecond(what string) func(row) []string {
	return func(r row) []string { return []string{fmt.Sprintf("%.0f %s a second on one core", 1e9/r.Nanos, what)} }
}

func tokenIssued() measure {
	return measure{
		name: "embedded server issues a token, without a socket", floor: "ES256 signature alone", goal: goal{ratio: 1.25},
		open: func(t *testing.T) pair {
			s := newTokens(t)
			form := s.login()
			return pair{
				ours:  does(func() error { _, err := s.post("token", form); return err }),
				floor: does(func() error { _, err := ecdsa.SignASN1(rand.Reader, s.key, s.digest[:]); return err }),
				notes: perSecond("tokens issued"),
			}
		},
	}
}

// unsent answers without a network.
type unsent struct{}

func (unsent) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}, nil
}

func proofMade() measure {
	return measure{
		name: "what DPoP adds to a call, without a socket", floor: "ES256 signature alone", goal: goal{ratio: 1.3},
		open: func(t *testing.T) pair {
			s := newTokens(t)
			key := must(new(dpop.Client).NewKey())(t)
			r := must(http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example.com/v1/documents/doc_9982", nil))(t)
			token := secret.New(strings.Repeat("token", 200))
			return pair{
				ours:  does(func() error { _, err := key.RoundTrip(unsent{}, r, token); return err }),
				floor: does(func() error { _, err := ecdsa.SignASN1(rand.Reader, s.key, s.digest[:]); return err }),
			}
		},
	}
}

func tokenVerified() measure {
	return measure{
		name: "embedded server verifies a token, without a socket", floor: "ES256 verification alone", goal: goal{ratio: 1.25},
		open: func(t *testing.T) pair {
			s := newTokens(t)
			var issued struct {
				Token string `json:"access_token"`
			}
			check(t, json.Unmarshal(must(s.post("token", s.login()))(t), &issued))
			rs := s.Config().ResourceServers[0]
			form := url.Values{"token": {issued.Token}, "client_id": {rs.ClientID}, "client_secret": {rs.ClientSecret.Reveal()}}.Encode()
			return pair{
				ours: does(func() error { _, err := s.post("introspect", form); return err }),
				floor: does(func() error {
					if !ecdsa.VerifyASN1(&s.key.PublicKey, s.digest[:], s.sig) {
						return errors.New("the signature does not hold")
					}
					return nil
				}),
				notes: perSecond("tokens verified"),
			}
		},
	}
}
