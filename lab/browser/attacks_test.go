package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/secret"
)

// theirs are pages of somebody who knows all of a request, and whom the person who is
// signed in visits.
var theirs = template.Must(template.New("").Parse(`
{{define "form"}}<form method="post" action="{{.}}"></form>
<script>
  const form = document.forms[0];
  for (const [name, value] of new URLSearchParams(location.search)) form.append(Object.assign(document.createElement("input"), { name, value }));
  form.submit();
</script>{{end}}
{{define "script"}}<body><script>
  fetch("{{.}}", { method: "POST", mode: "no-cors", credentials: "include", body: new URLSearchParams(location.search) })
    .then(() => document.body.append("sent"), () => document.body.append("not sent"));
</script>{{end}}
{{define "frame"}}<body><iframe width="900" height="700" src="{{.}}"></iframe>{{end}}`))

// TestNobodyElseDecides tries to have a request approved, in each way with all that it
// takes besides being the person.
func TestNobodyElseDecides(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	p.signsIn(w.link)
	id := w.asks()
	at := w.url + "/approvals/" + id
	p.opens(at)
	digest, _ := p.script(`document.querySelector("[name=digest]").value`).(string)
	yes := url.Values{"decision": {"approve"}, "digest": {digest}, "keep": {"actions=read", "actions=list"}}

	them := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		if err := theirs.ExecuteTemplate(rw, strings.Trim(r.URL.Path, "/"), at); err != nil {
			http.NotFound(rw, r)
		}
	}))
	defer them.Close()
	other, err := url.Parse(them.URL)
	if err != nil {
		t.Fatal(err)
	}
	// A page of another site, and one of the same: another port of this machine.
	for _, origin := range []string{them.URL, "http://evil.example:" + other.Port()} {
		visit := p.another()
		visit.opens(origin + "/form?" + yes.Encode())
		visit.until(`location.pathname === "/approvals/` + id + `"`)
		w.is(id, jit.StatusPending)
		visit.opens(origin + "/script?" + yes.Encode())
		visit.sees("sent")
		w.is(id, jit.StatusPending)
		tells(visit, log.Enable, cdp.Empty{})
		finds(visit, chromedp.WaitEvent(log.EntryAdded, func(e log.EventEntryAdded) bool {
			return strings.Contains(e.Entry.Text, "frame-ancestors 'none'")
		}, chromedp.Navigate(origin+"/frame")))
	}

	// A name that was pointed at this machine, with a page of its own origin there.
	rebound := strings.Replace(w.url, "127.0.0.1", "rebound.example", 1)
	p.opens(rebound + "/approvals/" + id)
	p.sees("not known by that name: address it as http")
	send := fmt.Sprintf(`fetch(%q, {method: "POST", body: new URLSearchParams(%q)}).then((r) => r.status)`, "/approvals/"+id, yes.Encode())
	if status := p.script(send); status != 421.0 {
		t.Errorf("a rebound name gets %v", status)
	}
	w.is(id, jit.StatusPending)

	// A GET.
	p.opens(at + "?" + yes.Encode())
	p.sees("A request for authority")
	w.is(id, jit.StatusPending)

	// A link that was used.
	stranger := w.person()
	stranger.opens(w.link)
	stranger.presses("Sign in")
	stranger.sees("This link was used")
	stranger.opens(at)
	stranger.sees("Sign in with the link")

	// Tokens: the agent's, and one by which it acts for the person who may decide.
	token, err := w.agent.AgentToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	delegated, err := w.agent.ExchangeOnBehalfOf(t.Context(), lumoauth.Exchange{Subject: func(context.Context) (secret.String, error) {
		return secret.New(w.env["LUMODEV_REVIEWER_TOKEN"]), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	acting, err := delegated.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"nobody": "", "the agent": token.Token.Reveal(), "the agent for the person": acting.Token.Reveal()} {
		api := "/orgs/" + w.env["LUMOAUTH_ORG_ID"] + "/api/v1/jit/approve/" + id
		for path, form := range map[string]url.Values{"/approvals/" + id: yes, api: nil, "/approvals/sign-in": {"key": {token}}} {
			if status := w.posts(path, form, token); status != http.StatusForbidden && status != http.StatusUnauthorized {
				t.Errorf("%s gets %d from %s", name, status, path)
			}
		}
	}
	w.is(id, jit.StatusPending)

	// The cookie is for the server alone; no script of a page that took one in would run.
	cookies := tells(p, network.GetCookies, network.GetCookiesParams{URLs: []string{at}}).Cookies
	if len(cookies) != 1 || !cookies[0].HTTPOnly || cookies[0].SameSite != network.CookieSameSiteStrict || cookies[0].Path != "/approvals" || !cookies[0].Session && cookies[0].Expires < 0 {
		text, _ := json.Marshal(cookies)
		t.Errorf("the cookies are %s", text)
	}
	got := p.script(`(() => {
  document.body.append(Object.assign(document.createElement("script"), { textContent: "window.taken = true" }));
  document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.taken = true'>");
  return [document.cookie, window.taken === undefined, document.title].join("|");
})()`)
	if got != "|true|Approvals" {
		t.Errorf("cookie, no script, title: %v", got)
	}

	// And the person still may.
	p.opens(at)
	p.presses("Approve")
	p.sees("Approved.")
	w.is(id, jit.StatusApproved)
}
