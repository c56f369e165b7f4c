package fake

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/jitagent/jitagent/rar"
)

// Issuer is the issuer of a [Server].
const Issuer = "https://auth.example.com"

// A Server is a standard OAuth authorization server: client credentials, CIBA (poll mode),
// token exchange and authorization codes, each with authorization details or scopes,
// Keycloak's permissions, which are in a JWT, revocation and introspection. It
// believes whoever asks, and does what it should unless it is told otherwise. The zero
// Server is ready for use, and safe for concurrent use.
type Server struct {
	// Refuse may answer a token request in place of a token: form is what is asked for,
	// also where that is the n-th poll of a request (n is 0 elsewhere). A status of 0
	// refuses nothing.
	Refuse func(form url.Values, n int) (status int, body map[string]any)
	// Answer may change an answer before it is sent: path is that of the endpoint. A
	// status of 0 breaks the connection in its place.
	Answer func(path string, form url.Values, status int, body map[string]any) (int, map[string]any)

	// Claims may change those of a JWT before it is issued.
	Claims func(map[string]any)

	// Cascades says that all tokens end with one.
	Cascades bool

	mu    sync.Mutex
	sent  map[string][]url.Values
	asked map[string]url.Values // by auth_req_id, code or request_uri
	polls map[string]int
	used  map[string]string // the token of an auth_req_id or code
	live  map[string]bool   // the tokens, and whether they allow anything
	n     int
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm() // what cannot be read is not there
	s.mu.Lock()
	if s.sent == nil {
		s.sent, s.asked, s.polls = map[string][]url.Values{}, map[string]url.Values{}, map[string]int{}
		s.used, s.live = map[string]string{}, map[string]bool{}
	}
	form := r.PostForm
	s.sent[r.URL.Path] = append(s.sent[r.URL.Path], form)
	status, body := s.answer(r.URL.Path, form)
	s.mu.Unlock()
	if s.Answer != nil {
		status, body = s.Answer(r.URL.Path, form, status, body)
	}
	if status == 0 {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // to a recorder
}

func (s *Server) answer(path string, form url.Values) (int, map[string]any) {
	switch path {
	case "/.well-known/oauth-authorization-server":
		return 200, map[string]any{
			"issuer": Issuer, "token_endpoint": Issuer + "/token", "revocation_endpoint": Issuer + "/revoke",
			"introspection_endpoint": Issuer + "/introspect", "backchannel_authentication_endpoint": Issuer + "/ciba",
			"authorization_endpoint": Issuer + "/authorize", "pushed_authorization_request_endpoint": Issuer + "/par",
			"registration_endpoint": Issuer + "/register", "code_challenge_methods_supported": []string{"S256"},
			"authorization_response_iss_parameter_supported": true, "token_endpoint_auth_methods_supported": []string{"none"},
		}
	case "/par":
		s.n++
		uri := fmt.Sprintf("urn:ietf:params:oauth:request_uri:%d", s.n)
		s.asked[uri] = form
		return 201, map[string]any{"request_uri": uri, "expires_in": 60}
	case "/register":
		s.n++
		return 201, map[string]any{"client_id": fmt.Sprintf("registered-%d", s.n)}
	case "/ciba":
		s.n++
		id := fmt.Sprintf("auth-req-canary-%d", s.n)
		s.asked[id] = form
		return 200, map[string]any{"auth_req_id": id, "expires_in": 120, "interval": 5}
	case "/revoke":
		if delete(s.live, form.Get("token")); s.Cascades {
			clear(s.live)
		}
		return 200, map[string]any{}
	case "/introspect":
		_, active := s.live[form.Get("token")]
		return 200, map[string]any{"active": active}
	case "/token":
		if id := form.Get("auth_req_id"); id != "" {
			return s.redeem(id)
		}
		if code := form.Get("code"); code != "" {
			proof := sha256.Sum256([]byte(form.Get("code_verifier")))
			asked := s.asked[code]
			if asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(proof[:]) || asked.Get("redirect_uri") != form.Get("redirect_uri") {
				return 400, map[string]any{"error": "invalid_grant"}
			}
			return s.redeem(code)
		}
		return s.issue(form, 0)
	}
	return 404, map[string]any{}
}

// Visit is the browser of a user who agrees to what the page at address asks. It returns
// where that page sends it back to, and what was asked.
func (s *Server) Visit(address string) (back *url.URL, asked url.Values) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	if asked = at.Query(); asked.Has("request_uri") {
		asked = s.asked[asked.Get("request_uri")]
	}
	s.n++
	code := fmt.Sprintf("code-canary-%d", s.n)
	s.asked[code] = asked
	if back, err = url.Parse(asked.Get("redirect_uri")); err != nil {
		panic(err)
	}
	back.RawQuery = url.Values{"code": {code}, "state": {asked.Get("state")}, "iss": {Issuer}}.Encode()
	return back, asked
}

// redeem answers a poll, or takes a code. One request is redeemed once; a second time ends what it gave.
func (s *Server) redeem(id string) (int, map[string]any) {
	s.polls[id]++
	if token := s.used[id]; token != "" || s.asked[id] == nil {
		delete(s.live, token)
		return 400, map[string]any{"error": "invalid_grant"}
	}
	status, body := s.issue(s.asked[id], s.polls[id])
	s.used[id], _ = body["access_token"].(string)
	return status, body
}

// issue makes a token that names what it covers, as far as that is one detail.
func (s *Server) issue(form url.Values, poll int) (int, map[string]any) {
	if s.Refuse != nil {
		if status, body := s.Refuse(form, poll); status != 0 {
			return status, body
		}
	}
	s.n++
	token := fmt.Sprintf("%s-%d", BaseToken, s.n)
	body := map[string]any{"token_type": "Bearer", "expires_in": 300, "scope": form.Get("scope")}
	if text := form.Get("authorization_details"); text != "" {
		body["authorization_details"] = json.RawMessage(text)
		if all, err := rar.Parse([]byte(text)); err == nil && len(all) == 1 {
			token = TokenFor(all[0])
		}
	}
	if all := form["permission"]; all != nil {
		delete(body, "scope")
		token = s.permit(all)
	}
	if form.Has("subject_token") {
		body["issued_token_type"] = form.Get("requested_token_type")
	}
	s.live[token] = body["authorization_details"] != nil || form.Has("permission") || strings.Trim(form.Get("scope"), "openid ") != ""
	body["access_token"] = token
	return 200, body
}

// permit makes a requesting party token for permissions.
func (s *Server) permit(all []string) string {
	var list []any
	for _, p := range all {
		name, scope, _ := strings.Cut(p, "#")
		list = append(list, map[string]any{"rsid": "id-of-" + name, "rsname": name, "scopes": []string{scope}})
	}
	claims := map[string]any{"jti": s.n, "scope": "", "authorization": map[string]any{"permissions": list}}
	if s.Claims != nil {
		s.Claims(claims)
	}
	text, _ := json.Marshal(claims) // of texts and numbers
	return "e30." + base64.RawURLEncoding.EncodeToString(text) + ".e30"
}

// Live returns how many tokens are alive that allow something.
func (s *Server) Live() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, allows := range s.live {
		if allows {
			n++
		}
	}
	return n
}

// Sent returns the forms that were posted to a path, in order.
func (s *Server) Sent(path string) []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent[path])
}
