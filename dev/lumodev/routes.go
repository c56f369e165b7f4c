package lumodev

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// handler serves one endpoint. An error that is no *wireError is a 500 whose
// cause goes to the log only.
type handler func(*call) (*reply, error)

// route is one endpoint, below a prefix or at the root.
type route struct {
	method  string
	path    string // segments; {name} matches any one segment
	root    bool   // at the root, too
	public  bool   // cacheable and readable by any web page: metadata and keys
	handler handler
}

// routes lists all endpoints. The paths are those of LumoAuth, but for dev/.
func routes() []route {
	return []route{
		{method: "POST", path: "oauth/token", handler: (*call).token},
		{method: "POST", path: "oauth/introspect", handler: (*call).introspect},
		{method: "POST", path: "oauth/revoke", handler: (*call).revoke},
		{method: "GET", path: "oauth/userinfo", handler: (*call).userinfo},
		{method: "POST", path: "oauth/userinfo", handler: (*call).userinfo},
		{method: "GET", path: ".well-known/jwks.json", root: true, public: true, handler: (*call).jwks},
		{method: "GET", path: ".well-known/oauth-authorization-server", root: true, public: true, handler: (*call).metadata},
		{method: "GET", path: ".well-known/openid-configuration", root: true, public: true, handler: (*call).metadata},

		{method: "POST", path: "jit/task", handler: (*call).createTask},
		{method: "POST", path: "jit/task/{task}/complete", handler: (*call).completeTask},
		{method: "POST", path: "jit/task/{task}/evaluate", handler: (*call).evaluateTask},
		{method: "POST", path: "jit/request", handler: (*call).createRequest},
		{method: "GET", path: "jit/request/{request}/status", handler: (*call).requestStatus},
		{method: "POST", path: "jit/request/{request}/token", handler: (*call).requestToken},
		{method: "GET", path: "jit/pending", handler: (*call).pending},
		{method: "POST", path: "jit/approve/{request}", handler: (*call).approve},
		{method: "POST", path: "jit/deny/{request}", handler: (*call).deny},

		{method: "GET", path: "agents/me", handler: (*call).me},
		{method: "POST", path: "agents/ask", handler: (*call).ask},
		{method: "POST", path: "agents/me/approvals", handler: (*call).createApproval},
		{method: "GET", path: "agents/me/approvals/{token}/status", handler: (*call).approvalStatus},
		{method: "POST", path: "dev/approvals/{token}/approve", handler: answerApproval(true)},
		{method: "POST", path: "dev/approvals/{token}/deny", handler: answerApproval(false)},

		{method: "GET", path: "oauth/authorize", handler: leftOut("the authorization code flow")},
		{method: "POST", path: "oauth/bc-authorize", handler: leftOut("CIBA")},
		{method: "POST", path: "agents/register", handler: leftOut("agent registration")},
		{method: "POST", path: "agents/me/mcp/authorize", handler: leftOut("MCP authorization")},
		{method: "GET", path: "mcp/{server}/challenge", handler: leftOut("MCP")},
		{method: "POST", path: "mcp/{server}/challenge", handler: leftOut("MCP")},
		{method: "GET", path: ".well-known/oauth-protected-resource", root: true, handler: leftOut("MCP")},
		{method: "GET", path: ".well-known/ssf-configuration", root: true, handler: leftOut("SSF")},
		{method: "GET", path: "ssf/stream", handler: leftOut("SSF")},
		{method: "POST", path: "ssf/stream", handler: leftOut("SSF")},
		{method: "DELETE", path: "ssf/stream", handler: leftOut("SSF")},
		{method: "POST", path: "ssf/verify", handler: leftOut("SSF")},
	}
}

func leftOut(what string) handler {
	return func(*call) (*reply, error) {
		return nil, fail(http.StatusNotFound, codeNotFound, "lumodev leaves out %s", what)
	}
}

// match is where a path leads.
type match struct {
	route  *route
	prefix string // "/orgs/acme-corp" or "/t/acme-corp", as the client came; "" at the root
	org    string // the organization that the path names; "" at the root
	params map[string]string
	log    string // the path as it may be logged
}

// find resolves a request. It never redirects: a client that follows turns POST
// into GET. So repeated and trailing slashes are read as if they were not there.
func (s *Server) find(r *http.Request) (*match, *wireError) {
	segments, valid := split(r.URL.EscapedPath())
	m := &match{params: make(map[string]string), log: "unmatched"}
	if !valid {
		return m, fail(http.StatusNotFound, codeNotFound, "no such endpoint")
	}
	rest, atRoot := m.underPrefix(segments)
	if m.org != "" && m.org != s.cfg.Org {
		m.prefix = ""
		return m, fail(http.StatusNotFound, codeInvalidTenant, "no such organization")
	}
	var allow []string
	for i := range s.routes {
		rt := &s.routes[i]
		if atRoot && !rt.root {
			continue
		}
		params, matched := rt.match(rest)
		if !matched {
			continue
		}
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		if rt.method != method {
			allow = append(allow, rt.method)
			continue
		}
		m.route, m.params, m.log = rt, params, rt.logged(m.prefix, atRoot, params)
		return m, nil
	}
	if allow != nil {
		e := fail(http.StatusMethodNotAllowed, codeMethodNotAllowed, "this endpoint wants another method")
		e.header = http.Header{"Allow": {strings.Join(slices.Compact(allow), ", ")}}
		return m, e
	}
	return m, fail(http.StatusNotFound, codeNotFound, "no such endpoint")
}

// underPrefix notes and strips /orgs/{org}/api/v1 or /t/{tenant}/api/v1. Metadata is found
// under the prefix with and without api/v1, and where RFC 8414, section 3.1, puts
// it for an issuer with a path: /.well-known/NAME/orgs/{org}.
func (m *match) underPrefix(seg []string) (rest []string, atRoot bool) {
	isPrefix := func(seg []string) bool { return len(seg) >= 2 && (seg[0] == "orgs" || seg[0] == "t") }
	switch {
	case isPrefix(seg) && len(seg) > 4 && seg[2] == "api" && seg[3] == "v1":
		m.prefix, m.org = "/"+seg[0]+"/"+seg[1], seg[1]
		return seg[4:], false
	case isPrefix(seg) && len(seg) > 2 && seg[2] == ".well-known":
		m.prefix, m.org = "/"+seg[0]+"/"+seg[1], seg[1]
		return seg[2:], true
	case len(seg) == 4 && seg[0] == ".well-known" && isPrefix(seg[2:]):
		m.prefix, m.org = "/"+seg[2]+"/"+seg[3], seg[3]
		return seg[:2], true
	}
	return seg, true
}

// split returns the unescaped segments of a path.
func split(path string) (segments []string, valid bool) {
	for _, raw := range strings.Split(path, "/") {
		if raw == "" {
			continue
		}
		seg, err := url.PathUnescape(raw)
		if err != nil {
			return nil, false
		}
		segments = append(segments, seg)
	}
	return segments, true
}

func (rt *route) match(segments []string) (map[string]string, bool) {
	if strings.Count(rt.path, "/")+1 != len(segments) {
		return nil, false
	}
	var params map[string]string
	i := 0
	for p := range strings.SplitSeq(rt.path, "/") {
		if strings.HasPrefix(p, "{") {
			if params == nil {
				params = make(map[string]string)
			}
			params[strings.Trim(p, "{}")] = segments[i]
		} else if p != segments[i] {
			return nil, false
		}
		i++
	}
	return params, true
}

// logged returns the path as it may be logged: ids that look like ours, and the
// parameter's name for all else, which may be a credential in the wrong place.
func (rt *route) logged(prefix string, atRoot bool, params map[string]string) string {
	path := rt.path
	for name, value := range params {
		if ownID(value) {
			path = strings.Replace(path, "{"+name+"}", value, 1)
		}
	}
	if !atRoot {
		prefix += "/api/v1"
	}
	return prefix + "/" + path
}

// ownID reports whether s has the form of a task's or request's id.
func ownID(s string) bool {
	id, isTask := strings.CutPrefix(s, taskPrefix)
	if !isTask {
		var isRequest bool
		if id, isRequest = strings.CutPrefix(s, requestPrefix); !isRequest {
			return false
		}
	}
	return len(id) == 20 && strings.IndexFunc(id, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < '2' || r > '7')
	}) < 0
}

// The prefixes of ids. Push approvals have none that is ever logged.
const (
	taskPrefix    = "task_"
	requestPrefix = "jit_"
	sessionPrefix = "caep_"
	auditPrefix   = "aud_"
)
