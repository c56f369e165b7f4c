package lumodev

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// sdk is a generation of LumoAuth's SDKs: how it sends and how it reads, as
// section 8 of the API reference tells.
type sdk struct {
	name string
	edit func(*http.Request) // wire habits
	// exact200 generations count only 200 as the success of OAuth and complete.
	exact200 bool
	golang   bool // typed decoding
	js       bool
}

var sdks = []sdk{
	{name: "P0-P2", exact200: true, edit: pythonHabits},
	{name: "P3", edit: pythonHabits},
	{name: "G", golang: true, edit: func(r *http.Request) {
		r.Header.Set("Accept", "application/json")
		r.Header.Set("User-Agent", "lumoauth-go/1.0.0")
	}},
	{name: "J", js: true, edit: func(r *http.Request) {
		// Also on GET and with an empty body; forms keep their own.
		if r.Header.Get("Content-Type") == "" {
			r.Header.Set("Content-Type", "application/json")
		}
	}},
}

// pythonHabits: a POST without a body has no Content-Type and Content-Length 0.
func pythonHabits(r *http.Request) {
	r.Header.Set("User-Agent", "python-requests/2.32")
	if r.Body == nil {
		r.ContentLength = 0
	}
}

// cell is one cell of the table under one prefix.
type cell struct {
	*env
	sdk
	agent string // base token
}

func (c *cell) call(method, path, token string, body any) *answer {
	c.Helper()
	return c.send(method, path, token, body, c.edit)
}

// success fails unless the SDK takes the status for success.
func (c *cell) success(a *answer, exact bool) *answer {
	c.Helper()
	switch {
	case exact && c.exact200 && a.status != 200:
		c.Errorf("status = %d, want exactly 200: %s", a.status, a.raw)
	case c.exact200 && a.status >= 400, !c.exact200 && (a.status < 200 || a.status > 299):
		c.Errorf("status = %d: %s", a.status, a.raw)
	}
	// A 204 is None for Python, and an empty 200 makes J throw.
	if a.obj == nil {
		c.Errorf("body = %q, want a JSON object", a.raw)
	}
	return a
}

// index is Python's data[name], J's typeof data.name === "string", and G's check
// for a value that is not empty.
func (c *cell) index(a *answer, name string) string {
	c.Helper()
	s, isString := a.obj[name].(string)
	if !isString || s == "" {
		c.Errorf("%s = %v, want a string: %s", name, a.obj[name], a.raw)
	}
	return s
}

// absentOr fails when a member is there with a null or another kind.
func absentOr[T any](c *cell, a *answer, name string) {
	c.Helper()
	v, there := a.obj[name]
	if _, right := v.(T); there && !right {
		c.Errorf("%s = %v, want it absent or a %T", name, v, *new(T))
	}
}

// typed decodes as G does, where every kind must fit.
func (c *cell) typed(a *answer, v any) {
	c.Helper()
	if !c.golang {
		return
	}
	if err := json.Unmarshal([]byte(a.raw), v); err != nil {
		c.Errorf("G cannot decode: %v: %s", err, a.raw)
	}
}

// The types of G that section 8 tells of.
type (
	goToken struct {
		AccessToken string  `json:"access_token"`
		ExpiresIn   *int    `json:"expires_in"`
		Scope       *string `json:"scope"`
	}
	goRequest struct {
		RequestID string         `json:"request_id"`
		Status    string         `json:"status"`
		Details   map[string]any `json:"authorization_details"`
	}
	goInfo struct {
		Capabilities []string       `json:"capabilities"`
		Budget       map[string]int `json:"budget_policy"`
	}
)

func (c *cell) pendingRequest() (task string, a *answer) {
	c.Helper()
	task = c.task(c.agent)
	return task, c.call("POST", "jit/request", c.agent, map[string]any{
		"task_id": task, "authorization_details": deleteDoc, "requested_ttl": 300,
	})
}

// table is section 8's table: its rows, each with what all its cells assert.
var table = []struct {
	row  string
	cell func(*cell)
}{
	{"token endpoint success", func(c *cell) {
		a := c.success(c.call("POST", "oauth/token", "", url.Values{
			"grant_type": {"client_credentials"}, "client_id": {DefaultAgentClientID}, "client_secret": {c.secretOf(DefaultAgentClientID)},
		}), true)
		c.index(a, "access_token")
		c.typed(a, &goToken{})
	}},
	{"token scope", func(c *cell) {
		for _, scope := range []string{"", "a b"} {
			a := c.call("POST", "oauth/token", "", url.Values{
				"grant_type": {"client_credentials"}, "client_id": {DefaultAgentClientID},
				"client_secret": {c.secretOf(DefaultAgentClientID)}, "scope": {scope},
			})
			absentOr[string](c, a, "scope")
			c.typed(a, &goToken{})
			if scope != "" && a.str("scope") != scope {
				c.Errorf("scope = %q, want %q", a.str("scope"), scope)
			}
		}
	}},
	{"token expires_in", func(c *cell) {
		a := c.call("POST", "oauth/token", "", url.Values{
			"grant_type": {"client_credentials"}, "client_id": {DefaultAgentClientID}, "client_secret": {c.secretOf(DefaultAgentClientID)},
		})
		absentOr[float64](c, a, "expires_in")
		if !strings.Contains(a.raw, `"expires_in":3600,`) {
			c.Errorf("expires_in is no integer literal 3600: %s", a.raw)
		}
		c.typed(a, &goToken{})
	}},
	{"exchange success", func(c *cell) {
		a := c.success(c.call("POST", "oauth/token", "", url.Values{
			"grant_type": {grantTokenExchange}, "subject_token": {c.user(DefaultUserEmail)}, "subject_token_type": {typeAccessToken},
			"actor_token": {c.agent}, "actor_token_type": {typeAccessToken},
		}), true)
		c.index(a, "access_token")
		absentOr[string](c, a, "scope")
	}},
	{"create task", func(c *cell) {
		bodies := []any{"{}", nil}
		if c.js {
			bodies = []any{""} // Content-Type without a body
		}
		for _, body := range bodies {
			a := c.success(c.call("POST", "jit/task", c.agent, body), false)
			c.index(a, "task_id")
		}
	}},
	{"request", func(c *cell) {
		a := c.success(c.call("POST", "jit/request", c.agent, map[string]any{
			"task_id": c.task(c.agent), "authorization_details": readDoc, "requested_ttl": 300,
		}), false)
		if c.index(a, "status") != "approved" {
			c.Errorf("status = %q, want approved", a.str("status"))
		}
		c.index(a, "request_id")
		c.typed(a, &goRequest{})

		_, a = c.pendingRequest()
		c.success(a, false)
		c.typed(a, &goRequest{})
		if c.index(a, "status") != "pending" {
			c.Errorf("status = %q, want pending", a.str("status"))
		}
		c.index(a, "status_url")
	}},
	{"status poll", func(c *cell) {
		_, a := c.pendingRequest()
		// P goes to the status_url, relative to its base URL; G and J build it.
		path := a.str("status_url")
		if c.golang || c.js {
			path = "jit/request/" + c.index(a, "request_id") + "/status"
		} else if !strings.HasPrefix(path, c.prefix+"/") {
			c.Errorf("status_url = %q, want it below %s", path, c.prefix)
		}
		for _, want := range []string{"pending", "denied"} {
			got := c.success(c.call("GET", path, c.agent, nil), false)
			c.typed(got, &goRequest{})
			if c.index(got, "status") != want {
				c.Errorf("status = %s, want %s", got.raw, want)
			}
			c.post("jit/deny/"+a.str("request_id"), c.reviewerToken(), nil)
		}
	}},
	{"JIT token", func(c *cell) {
		id := c.ask(c.agent, c.task(c.agent), readDoc).str("request_id")
		a := c.success(c.call("POST", "jit/request/"+id+"/token", c.agent, emptyBody(c)), false)
		c.index(a, "access_token")
		c.typed(a, &goToken{})
		if !strings.Contains(a.raw, `"expires_in":300,`) {
			c.Errorf("expires_in is no integer literal 300: %s", a.raw)
		}
	}},
	{"complete", func(c *cell) {
		task := c.task(c.agent)
		for range 2 {
			c.success(c.call("POST", "jit/task/"+task+"/complete", c.agent, emptyBody(c)), true)
		}
	}},
	{"pending", func(c *cell) {
		_, p := c.pendingRequest()
		a := c.success(c.call("GET", "jit/pending", c.reviewerToken(), nil), false)
		for _, key := range []string{"requests", "data", "pending_requests"} {
			list, _ := a.obj[key].([]any)
			if len(list) != 1 || list[0].(map[string]any)["request_id"] != p.obj["request_id"] {
				c.Errorf("%s = %v, want the one request", key, a.obj[key])
			}
		}
		c.post("jit/deny/"+p.str("request_id"), c.reviewerToken(), nil)
	}},
	{"evaluate", func(c *cell) {
		task := c.task(c.agent)
		c.success(c.call("POST", "jit/task/"+task+"/evaluate", c.agent, emptyBody(c)), false)
		a := c.success(c.call("POST", "jit/task/"+task+"/evaluate", c.agent, `{"result":"completed","notes":"done"}`), false)
		c.index(a, "task_id")
		c.success(c.call("POST", "jit/task/"+task+"/complete", c.agent, emptyBody(c)), true)
	}},
	{"ask, me, userinfo", func(c *cell) {
		a := c.success(c.call("POST", "agents/ask", c.agent, `{"action":"read:documents"}`), true)
		if a.obj["allowed"] != true {
			c.Errorf("allowed = %s, want true", a.raw)
		}
		a = c.success(c.call("GET", "agents/me", c.agent, nil), true)
		if _, isObject := a.obj["identity"].(map[string]any); !isObject {
			c.Errorf("identity = %v, want an object", a.obj["identity"])
		}
		c.typed(a, &goInfo{})
		for _, path := range []string{"agents/me", "oauth/userinfo"} {
			a = c.success(c.call("GET", path, c.agent, nil), true)
			c.typed(a, &goInfo{})
			if _, isList := a.obj["capabilities"].([]any); !isList {
				c.Errorf("%s: capabilities = %v, want a list", path, a.obj["capabilities"])
			}
		}
		if _, isObject := a.obj["budget_policy"].(map[string]any); !isObject {
			c.Errorf("budget_policy = %v, want an object", a.obj["budget_policy"])
		}
	}},
	{"approvals create", func(c *cell) {
		meta := `{"amount":4500}`
		if !c.golang {
			meta = "null"
		}
		a := c.success(c.call("POST", "agents/me/approvals", c.agent,
			`{"task_id":"wire-1","reason":"Wire $4,500","impact":"high","on_behalf_of":"`+DefaultUserEmail+`","meta":`+meta+`}`), false)
		token := c.index(a, "approval_token")
		a = c.success(c.call("GET", "agents/me/approvals/"+url.PathEscape(token)+"/status", c.agent, nil), false)
		if a.str("status") != "pending" {
			c.Errorf("status = %s, want pending", a.raw)
		}
	}},
}

// emptyBody is how an SDK posts nothing: J with a Content-Type.
func emptyBody(c *cell) any {
	if c.js {
		return ""
	}
	return nil
}

// TestConformance is section 8's table of the API reference, cell by cell, under
// both prefixes, with and without the double slash of the oldest Python SDKs.
func TestConformance(t *testing.T) {
	prefixes := map[string]string{"orgs": orgs, "t": old, "double slash": old}
	for _, row := range table {
		t.Run(row.row, func(t *testing.T) {
			for _, sdk := range sdks {
				for name, prefix := range prefixes {
					t.Run(sdk.name+" "+name, func(t *testing.T) {
						e := start(t, nil)
						e.prefix = prefix
						if name == "double slash" {
							e.url += "/" // P0-P2 keep a trailing slash of the base URL
						}
						row.cell(&cell{env: e, sdk: sdk, agent: e.login(DefaultAgentClientID)})
					})
				}
			}
		})
	}
}
