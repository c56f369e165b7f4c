package lumodev

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/rar"
)

func TestTokenEndpointRefuses(t *testing.T) {
	e := start(t, nil)
	id, pw := DefaultAgentClientID, e.secretOf(DefaultAgentClientID)
	form := func(pairs ...string) url.Values {
		v := url.Values{"grant_type": {"client_credentials"}}
		for i := 0; i < len(pairs); i += 2 {
			v.Add(pairs[i], pairs[i+1])
		}
		return v
	}
	basic := func(user, pass string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(user, pass) }
	}
	for name, row := range map[string]struct {
		body   any
		edit   func(*http.Request)
		status int
		code   string
	}{
		"wrong secret":             {form("client_id", id, "client_secret", "x"), nil, 401, codeInvalidClient},
		"empty secret":             {form("client_id", id, "client_secret", ""), nil, 401, codeInvalidClient},
		"no secret":                {form("client_id", id), nil, 401, codeInvalidClient},
		"unknown client":           {form("client_id", "x", "client_secret", pw), nil, 401, codeInvalidClient},
		"unknown, empty secret":    {form("client_id", "x", "client_secret", ""), nil, 401, codeInvalidClient},
		"the client of users":      {form("client_id", userClientID, "client_secret", ""), nil, 401, codeInvalidClient},
		"wrong basic":              {form(), basic(id, "x"), 401, codeInvalidClient},
		"basic of another":         {form("client_id", "other"), basic(id, pw), 401, codeInvalidClient},
		"basic and form":           {form("client_id", id, "client_secret", pw), basic(id, pw), 400, codeInvalidRequest},
		"repeated parameter":       {form("client_id", id, "client_id", id, "client_secret", pw), nil, 400, codeInvalidRequest},
		"bad scope":                {form("client_id", id, "client_secret", pw, "scope", "a\"b"), nil, 400, codeInvalidScope},
		"endless scope":            {form("client_id", id, "client_secret", pw, "scope", strings.Repeat("a ", maxScope)), nil, 400, codeInvalidScope},
		"no grant type":            {url.Values{}, nil, 400, codeInvalidRequest},
		"refresh token":            {url.Values{"grant_type": {"refresh_token"}}, nil, 400, codeUnsupportedGrant},
		"authorization code":       {url.Values{"grant_type": {"authorization_code"}}, nil, 400, codeUnsupportedGrant},
		"JSON with another kind":   {map[string]any{"grant_type": "client_credentials", "client_id": 1}, nil, 400, codeInvalidRequest},
		"JSON with a duplicate":    {`{"grant_type":"x","grant_type":"client_credentials"}`, nil, 400, codeInvalidRequest},
		"text":                     {form(), func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 400, codeInvalidRequest},
		"bad percent sign":         {"client_id=%zz", func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, 400, codeInvalidRequest},
		"credentials in the query": {form(), func(r *http.Request) { r.URL.RawQuery = form("client_id", id, "client_secret", pw).Encode() }, 401, codeInvalidClient},
	} {
		t.Run(name, func(t *testing.T) {
			edit := row.edit
			if edit == nil {
				edit = func(*http.Request) {}
			}
			a := e.wantError(row.status, row.code, e.send("POST", "oauth/token", "", row.body, edit))
			if row.status == 401 && a.header.Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
		})
	}
	e.want(200, e.send("POST", "oauth/token", "", form(), basic(id, pw)))
	e.want(200, e.post("oauth/token", "", map[string]string{"grant_type": "client_credentials", "client_id": id, "client_secret": pw}))
}

// TestTokensAsOthersReadThem verifies tokens with the published key alone.
func TestTokensAsOthersReadThem(t *testing.T) {
	e := start(t, nil)
	token := e.login(DefaultAgentClientID)
	detail := map[string]any{
		"type": "file_access", "actions": []string{"read"}, "identifier": "doc_9982", "locations": []string{"https://api.acme-corp.com/v1"},
	}
	parent := e.task(token)
	task := e.want(201, e.post("jit/task", token, map[string]string{"parent_task_id": parent})).str("task_id")
	req := e.ask(token, task, detail).str("request_id")
	jit := e.post("jit/request/"+req+"/token", token, nil).str("access_token")

	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(e.get("/.well-known/jwks.json", "").raw), &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("JWKS: %v, %d keys", err, len(set.Keys))
	}
	if key := set.Keys[0]; !key.IsPublic() || key.Use != "sig" || key.Algorithm != "ES256" || key.KeyID == "" {
		t.Errorf("key = public %v, use %q, alg %q, kid %q", key.IsPublic(), key.Use, key.Algorithm, key.KeyID)
	}
	read := func(raw string) map[string]any {
		t.Helper()
		tok, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		if h := tok.Headers[0]; h.ExtraHeaders["typ"] != "at+jwt" || h.KeyID != set.Keys[0].KeyID {
			t.Errorf("header = %v", h)
		}
		var m map[string]any
		if err := tok.Claims(set.Keys[0], &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	agentID := e.agents[DefaultAgentClientID].AgentID
	session := e.st.tasks[task].Session
	now := float64(e.clock.Now().Unix())
	got := read(jit)
	jti := got["jti"]
	want := map[string]any{
		"iss": e.url + "/orgs/acme-corp", "sub": "agent:analyst:task:" + task,
		"aud": []any{e.url + "/orgs/acme-corp", "https://api.acme-corp.com/v1"},
		"iat": now, "nbf": now, "exp": now + 300, "jti": jti, "client_id": "analyst", "agent_id": agentID,
		"organization": "acme-corp", "token_use": "jit", "jit": true, "task_id": task, "parent_task_id": parent,
		"jit_request_id": req, "caep_session_id": session,
		"authorization_details": []any{map[string]any{
			"type": "file_access", "actions": []any{"read"}, "identifier": "doc_9982", "locations": []any{"https://api.acme-corp.com/v1"},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" || jti == "" {
		t.Errorf("JIT token (-want +got):\n%s", diff)
	}
	got = read(token)
	want = map[string]any{
		"iss": e.url + "/orgs/acme-corp", "sub": "agent_" + agentID, "aud": e.url + "/orgs/acme-corp",
		"iat": now, "nbf": now, "exp": now + 3600, "jti": got["jti"], "client_id": "analyst", "agent_id": agentID,
		"organization": "acme-corp", "token_use": "access", "scope": "agent:basic jit:request",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("base token (-want +got):\n%s", diff)
	}
	_, jit = e.jit(token) // of a task without a parent
	if v, there := read(jit)["parent_task_id"]; !there || v != nil {
		t.Errorf("parent_task_id = %v, %v, want null", v, there)
	}
}

func TestForgedTokensAreNobody(t *testing.T) {
	e := start(t, nil)
	good := e.login(DefaultAgentClientID)
	parts := strings.Split(good, ".")
	header := func(h string) string { return base64.RawURLEncoding.EncodeToString([]byte(h)) }
	foreign, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	foreign.KeyID = e.keys.key.KeyID
	sign := func(key jose.JSONWebKey, issuer string, change func(*registered, *claims)) string {
		k, err := newKeys(issuer, key)
		if err != nil {
			t.Fatal(err)
		}
		std := lifetime(registered{}, e.clock.Now(), time.Hour)
		std.Subject, std.Audience = "agent_x", jwt.Audience{e.Issuer()}
		own := claims{ClientID: DefaultAgentClientID, TokenUse: useAccess}
		change(&std, &own)
		s, err := k.sign(members{std, own, nil})
		if err != nil {
			t.Fatal(err)
		}
		return s.Reveal()
	}
	none := func(*registered, *claims) {}
	for name, raw := range map[string]string{
		"empty":              "",
		"text":               "x.y.z",
		"alg none":           header(`{"alg":"none","typ":"at+jwt"}`) + "." + parts[1] + ".",
		"alg HS256":          header(`{"alg":"HS256","typ":"at+jwt","kid":"`+e.keys.key.KeyID+`"}`) + "." + parts[1] + "." + parts[2],
		"other signature":    parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])),
		"other payload":      parts[0] + "." + header(`{"client_id":"analyst"}`) + "." + parts[2],
		"foreign key":        sign(foreign, e.Issuer(), none),
		"other issuer":       sign(e.keys.key, e.url+"/orgs/other", none),
		"unknown client":     sign(e.keys.key, e.Issuer(), func(_ *registered, c *claims) { c.ClientID = "gone" }),
		"unknown user":       sign(e.keys.key, e.Issuer(), func(_ *registered, c *claims) { c.ClientID, c.UserID = userClientID, 99 }),
		"user of an agent":   sign(e.keys.key, e.Issuer(), func(_ *registered, c *claims) { c.UserID = 99 }),
		"another type":       typed(t, e, "JWT"),
		"one as long":        typed(t, e, "id+jwt"),
		"no user":            sign(e.keys.key, e.Issuer(), func(_ *registered, c *claims) { c.ClientID = userClientID }),
		"JIT without record": sign(e.keys.key, e.Issuer(), func(_ *registered, c *claims) { c.TokenUse = useJIT }),
		"no expiry":          sign(e.keys.key, e.Issuer(), func(s *registered, _ *claims) { s.Expiry = 0 }),
		"from the future":    sign(e.keys.key, e.Issuer(), func(s *registered, _ *claims) { s.NotBefore = e.clock.Now().Add(time.Minute).Unix() }),
		"other audience":     sign(e.keys.key, e.Issuer(), func(s *registered, _ *claims) { s.Audience = jwt.Audience{"https://mcp.acme-corp.com"} }),
		"too long":           good + strings.Repeat("A", maxToken),
	} {
		a := e.wantError(401, codeInvalidToken, e.post("jit/task", raw, nil))
		if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%s: WWW-Authenticate = %q", name, a.header.Get("WWW-Authenticate"))
		}
	}
	e.want(201, e.post("jit/task", sign(e.keys.key, e.Issuer(), none), nil)) // the helpers themselves make good ones
	e.want(201, e.post("jit/task", typed(t, e, "at+jwt"), nil))              // which earlier versions signed so
	for _, scheme := range []string{"DPoP ", "Basic ", "ApiKey ", "Bearer  "} {
		want := 401
		if scheme == "Bearer  " {
			want = 201
		}
		a := e.send("POST", "jit/task", "", nil, func(r *http.Request) { r.Header.Set("Authorization", scheme+good) })
		if a.status != want {
			t.Errorf("scheme %q = %d, want %d", scheme, a.status, want)
		}
	}
	e.wantError(401, codeInvalidToken, e.send("POST", "jit/task", good, nil, func(r *http.Request) {
		r.Header.Add("Authorization", "Bearer "+good)
	}))
}

// typed is a good token of some typ, such as an ID token might be.
func typed(t *testing.T, e *env, typ jose.ContentType) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: e.keys.key}, (&jose.SignerOptions{}).WithType(typ))
	if err != nil {
		t.Fatal(err)
	}
	std := lifetime(registered{}, e.clock.Now(), time.Hour)
	std.Issuer, std.Audience = e.Issuer(), jwt.Audience{e.Issuer()}
	raw, err := jwt.Signed(signer).Claims(std).Claims(claims{ClientID: DefaultAgentClientID, TokenUse: useAccess}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestTokensHaveOneSpelling: the last character of a signature has bits that a
// decoder ignores, and decoders skip line breaks.
func TestTokensHaveOneSpelling(t *testing.T) {
	e := start(t, nil)
	token := e.login(DefaultAgentClientID)
	_, jit := e.jit(token)
	for name, respell := range map[string]func(string) string{
		"unused bits":  func(s string) string { return s[:len(s)-1] + string(s[len(s)-1]+1) },
		"a line break": func(s string) string { return s[:len(s)-4] + "\n" + s[len(s)-4:] },
	} {
		if e.active(respell(token)) || e.active(respell(jit)) {
			t.Errorf("a token with %s is active", name)
		}
	}
	e.wantError(401, codeInvalidToken, e.post("jit/task", token[:len(token)-1]+string(token[len(token)-1]+1), nil))
	if !e.active(token) || !e.active(jit) {
		t.Error("the tokens themselves are not active")
	}
}

func TestTokensExpire(t *testing.T) {
	e := start(t, nil)
	token := e.login(DefaultAgentClientID)
	_, jit := e.jit(token)
	e.clock.Advance(300*time.Second - time.Nanosecond)
	if !e.active(jit) {
		t.Error("JIT token inactive before its end")
	}
	e.clock.Advance(time.Nanosecond)
	if e.active(jit) || !e.active(token) {
		t.Error("at its end the JIT token is active, or the base token is not")
	}
	e.clock.Advance(55 * time.Minute)
	e.wantError(401, codeInvalidToken, e.post("jit/task", token, nil))
}

func TestIntrospection(t *testing.T) {
	e := start(t, nil)
	token, other := e.login(DefaultAgentClientID), e.login("other")
	task, jit := e.jit(token)
	basic := func(id, pw string) func(*http.Request) { return func(r *http.Request) { r.SetBasicAuth(id, pw) } }
	form := url.Values{"token": {jit}, "token_type_hint": {"refresh_token"}}

	e.wantError(401, codeInvalidClient, e.post("oauth/introspect", "", form))
	e.wantError(401, codeInvalidClient, e.post("oauth/introspect", jit, form)) // a JIT token is no credential
	e.wantError(401, codeInvalidClient, e.send("POST", "oauth/introspect", "", form, basic(DefaultResourceServerID, "x")))
	e.wantError(400, codeInvalidRequest, e.post("oauth/introspect", "", e.rs(url.Values{})))
	// Client credentials that are there must be right, whatever else is.
	e.wantError(401, codeInvalidClient, e.post("oauth/introspect", token, url.Values{"token": {jit}, "client_id": {"x"}, "client_secret": {""}}))

	a := e.want(200, e.send("POST", "oauth/introspect", "", form, basic(DefaultResourceServerID, e.secretOf(DefaultResourceServerID))))
	want := map[string]any{"active": true, "token_type": "Bearer", "client_id": "analyst", "task_id": task, "jit": true, "token_use": "jit", "iss": e.Issuer()}
	for name, v := range want {
		if a.obj[name] != v {
			t.Errorf("%s = %v, want %v", name, a.obj[name], v)
		}
	}
	for _, name := range []string{"sub", "exp", "iat", "nbf", "aud", "jti", "agent_id", "jit_request_id", "authorization_details"} {
		if a.obj[name] == nil {
			t.Errorf("no %s: %s", name, a.raw)
		}
	}
	if a := e.post("oauth/introspect", token, form); a.obj["active"] != true {
		t.Errorf("an agent asks about its own token: %s", a.raw)
	}
	for name, a := range map[string]*answer{
		"an agent asks about another's": e.post("oauth/introspect", other, form),
		"a user asks about an agent's":  e.post("oauth/introspect", e.reviewerToken(), form),
		"unknown":                       e.post("oauth/introspect", "", e.rs(url.Values{"token": {"x"}})),
	} {
		if strings.TrimSpace(a.raw) != `{"active":false}` || a.status != 200 {
			t.Errorf("%s = %d %s, want inactive", name, a.status, a.raw)
		}
	}
}

func TestRevocation(t *testing.T) {
	e := start(t, nil)
	token, other := e.login(DefaultAgentClientID), e.login("other")
	_, jit := e.jit(token)
	revoke := func(as, what string) {
		t.Helper()
		if a := e.want(200, e.post("oauth/revoke", as, url.Values{"token": {what}})); strings.TrimSpace(a.raw) != "{}" {
			t.Errorf("revoke = %s, want {}", a.raw)
		}
	}
	e.wantError(401, codeInvalidClient, e.post("oauth/revoke", "", url.Values{"token": {jit}}))
	e.wantError(400, codeInvalidRequest, e.post("oauth/revoke", token, url.Values{}))
	revoke(other, jit)
	revoke(other, "unknown")
	if !e.active(jit) {
		t.Error("a stranger revoked a token")
	}
	revoke(token, jit)
	revoke(token, jit)
	if e.active(jit) {
		t.Error("revoked JIT token is active")
	}
	revoke(token, token)
	e.wantError(401, codeInvalidToken, e.post("jit/task", token, nil))
	if e.active(token) || !e.active(other) {
		t.Error("revoking one base token did not revoke that one alone")
	}
}

func TestExchange(t *testing.T) {
	e := start(t, func(c *Config) {
		for _, id := range []string{"second", "third", "fourth"} {
			c.Agents = append(c.Agents, Agent{ClientID: id, ClientSecret: newSecret(), Capabilities: []string{"delegation:on_behalf"}})
		}
		c.Users = []User{
			{Email: DefaultUserEmail}, {Email: DefaultReviewerEmail, Reviewer: true},
			{Email: "shy@acme-corp.example", RefusesDelegation: true}, {Email: "narrow@acme-corp.example", Scopes: []string{"jit:request"}},
			{Email: "none@acme-corp.example", Scopes: []string{}},
		}
	})
	agent, user := e.login(DefaultAgentClientID), e.user(DefaultUserEmail)
	exchange := func(subject, actor string, more ...string) *answer {
		t.Helper()
		v := url.Values{"grant_type": {grantTokenExchange}, "subject_token": {subject}, "subject_token_type": {typeAccessToken}}
		if actor != "" {
			v.Set("actor_token", actor)
			v.Set("actor_token_type", typeAccessToken)
		}
		for i := 0; i < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return e.post("oauth/token", "", v)
	}
	_, jit := e.jit(agent)
	mcp := e.want(200, exchange(agent, "", "resource", "https://mcp.acme-corp.com/mcp")).str("access_token")

	t.Run("refused", func(t *testing.T) {
		e := e.with(t)
		for name, row := range map[string]struct {
			a      *answer
			status int
			code   string
		}{
			"no subject":               {exchange("", agent), 400, codeInvalidRequest},
			"garbage subject":          {exchange("x", agent), 400, codeInvalidGrant},
			"garbage actor":            {exchange(user, "x"), 400, codeInvalidGrant},
			"JIT token as subject":     {exchange(jit, agent), 400, codeInvalidGrant},
			"JIT token as actor":       {exchange(user, jit), 400, codeInvalidGrant},
			"JIT token alone":          {exchange(jit, "", "resource", "https://a.example"), 400, codeInvalidGrant},
			"bound token as subject":   {exchange(mcp, "", "resource", "https://a.example"), 400, codeInvalidGrant},
			"user without actor":       {exchange(user, ""), 400, codeInvalidRequest},
			"user for an audience":     {exchange(user, "", "audience", "urn:mcp:x"), 400, codeInvalidRequest},
			"agent without audience":   {exchange(agent, ""), 400, codeInvalidRequest},
			"agent as subject":         {exchange(e.login("second"), agent), 400, codeInvalidRequest},
			"user as actor":            {exchange(user, e.reviewerToken()), 400, codeInvalidRequest},
			"resource server as actor": {exchange(user, e.login(DefaultResourceServerID)), 400, codeInvalidRequest},
			"delegated token as actor": {exchange(user, exchange(user, agent).str("access_token")), 400, codeInvalidRequest},
			"actor may not delegate":   {exchange(user, e.login("other")), 403, codeDelegationNotAllowed},
			"user refuses":             {exchange(e.user("shy@acme-corp.example"), agent), 403, codeAccessDenied},
			"id token":                 {exchange(user, agent, "subject_token_type", "urn:ietf:params:oauth:token-type:id_token"), 400, codeUnsupportedTokenType},
			"no subject type":          {exchange(user, agent, "subject_token_type", ""), 400, codeInvalidRequest},
			"no actor type":            {exchange(user, agent, "actor_token_type", ""), 400, codeInvalidRequest},
			"type without actor":       {exchange(agent, "", "actor_token_type", typeAccessToken, "audience", "x"), 400, codeInvalidRequest},
			"wants a refresh token":    {exchange(user, agent, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"), 400, codeUnsupportedTokenType},
			"relative resource":        {exchange(agent, "", "resource", "/mcp"), 400, codeInvalidTarget},
			"fragment":                 {exchange(agent, "", "resource", "https://a.example/#x"), 400, codeInvalidTarget},
			"endless audience":         {exchange(agent, "", "audience", strings.Repeat("a", 513)), 400, codeInvalidTarget},
			"scope nobody has":         {exchange(user, agent, "scope", "fly"), 400, codeInvalidScope},
			"wrong client credentials": {exchange(user, agent, "client_id", "analyst", "client_secret", "x"), 401, codeInvalidClient},
			"another client":           {exchange(user, agent, "client_id", "other", "client_secret", e.secretOf("other")), 400, codeInvalidGrant},
		} {
			if row.a.status != row.status || row.a.str("error") != row.code {
				t.Errorf("%s: got %d %s, want %d %s", name, row.a.status, row.a.raw, row.status, row.code)
			}
		}
	})

	t.Run("a bound token is no credential here", func(t *testing.T) {
		e := e.with(t)
		e.wantError(401, codeInvalidToken, e.post("jit/task", mcp, nil))
		if !e.active(mcp) {
			t.Error("bound token is inactive")
		}
	})

	t.Run("chain", func(t *testing.T) {
		e := e.with(t)
		v := func(raw string) *verified {
			t.Helper()
			v, err := e.keys.verify(raw, e.clock.Now())
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		one := e.want(200, exchange(user, agent))
		if one.str("issued_token_type") != typeAccessToken || one.str("scope") != "agent:basic jit:request" {
			t.Errorf("exchange: %s", one.raw)
		}
		two := e.want(200, exchange(one.str("access_token"), e.login("second"), "scope", "jit:request fly"))
		if two.str("scope") != "jit:request" {
			t.Errorf("scope = %q, want it narrowed to jit:request", two.str("scope"))
		}
		three := e.want(200, exchange(two.str("access_token"), e.login("third")))
		if three.str("scope") != "jit:request" {
			t.Errorf("scope = %q, want it to stay jit:request", three.str("scope"))
		}
		a := e.wantError(403, codeDepthExceeded, exchange(three.str("access_token"), e.login("fourth")))
		if a.obj["max_depth"] != 3.0 {
			t.Errorf("max_depth = %v, want 3", a.obj["max_depth"])
		}
		got := v(three.str("access_token"))
		id := func(client string) string { return "agent_" + e.agents[client].AgentID }
		want := &actor{Sub: id("third"), ClientID: "third", Act: &actor{Sub: id("second"), ClientID: "second", Act: &actor{Sub: id("analyst"), ClientID: "analyst"}}}
		if diff := cmp.Diff(want, got.Act); diff != "" || got.Subject != "1" {
			t.Errorf("sub = %q, act (-want +got):\n%s", got.Subject, diff)
		}
	})

	t.Run("it ends with the first of its parts", func(t *testing.T) {
		e := e.with(t)
		e.clock.Advance(50 * time.Minute)
		defer e.clock.Advance(-50 * time.Minute)
		if a := exchange(user, agent); a.obj["expires_in"] != 600.0 {
			t.Errorf("expires_in = %v, want the actor's last 600", a.obj["expires_in"])
		}
	})

	t.Run("scope of the user", func(t *testing.T) {
		e := e.with(t)
		if a := exchange(e.user("narrow@acme-corp.example"), agent); a.str("scope") != "jit:request" {
			t.Errorf("scope = %q, want jit:request", a.str("scope"))
		}
		a := e.want(200, exchange(e.user("none@acme-corp.example"), agent))
		if _, there := a.obj["scope"]; there {
			t.Errorf("scope = %v, want it left out: SDKs split it", a.obj["scope"])
		}
	})

	t.Run("JIT on behalf", func(t *testing.T) {
		e := e.with(t)
		delegated := exchange(user, agent).str("access_token")
		e.wantError(400, codeInvalidRequest, e.post("jit/task", delegated, `{"on_behalf_of":"`+DefaultReviewerEmail+`"}`))
		a := e.want(201, e.post("jit/task", delegated, nil))
		if a.str("on_behalf_of") != DefaultUserEmail {
			t.Errorf("task: %s", a.raw)
		}
		req := e.ask(delegated, a.str("task_id"), readDoc).str("request_id")
		raw := e.want(200, e.post("jit/request/"+req+"/token", delegated, nil)).str("access_token")
		v, err := e.keys.verify(raw, e.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		want := &actor{Sub: "agent_" + e.agents["analyst"].AgentID, ClientID: "analyst"}
		if diff := cmp.Diff(want, v.Act); diff != "" || v.jitClaims.OnBehalfOf != DefaultUserEmail {
			t.Errorf("on behalf of %q, act (-want +got):\n%s", v.jitClaims.OnBehalfOf, diff)
		}
		if d := v.jitClaims.AuthorizationDetails; len(d) != 1 || !rar.Equal(d[0], rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_9982"}) {
			t.Errorf("details = %v", d)
		}
		e.wantError(403, codeAccessDenied, e.get("jit/pending", exchange(e.reviewerToken(), agent).str("access_token")))
	})
}
