package approval_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/state/approval"
)

// recorder is a decider that keeps what it is told.
type recorder struct {
	ids, digests []string
	pending      []approval.Request
	more         bool
	err          error // of every decision
}

func (r *recorder) Pending(context.Context) ([]approval.Request, bool, error) {
	return r.pending, r.more, nil
}

func (r *recorder) Decide(_ context.Context, id string, d approval.Decision) error {
	r.ids, r.digests = append(r.ids, id), append(r.digests, d.Digest)
	if id == "jitr_1" {
		return approval.ErrDecided
	}
	return r.err
}

// Only what a person would be shown the same of, but for whose task it is, is one
// question.
func TestTogether(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*approval.Request)
		one    bool
	}{
		"another task":       {func(*approval.Request) {}, true},
		"in other words":     {func(r *approval.Request) { r.Justification = "please" }, true},
		"arguments in order": {func(r *approval.Request) { r.Args = []byte(`{"document_id":"doc_7310","n":1234567890123456789}`) }, true},
		"until later":        {func(r *approval.Request) { r.ExpiresAt = r.ExpiresAt.Add(time.Minute) }, true},
		"the same task":      {func(r *approval.Request) { r.TaskID = "task_1" }, false},
		"other arguments":    {func(r *approval.Request) { r.Args = []byte(`{"n":1234567890123456788,"document_id":"doc_7310"}`) }, false},
		"no arguments":       {func(r *approval.Request) { r.Args = nil }, false},
		"more actions":       {func(r *approval.Request) { r.Details[0].Actions = append(r.Details[0].Actions, "write") }, false},
		"another limit":      {func(r *approval.Request) { r.Details[0].Extra = map[string]json.RawMessage{"limit": []byte("4")} }, false},
		"two details":        {func(r *approval.Request) { r.Details = append(r.Details, rar.Detail{Type: "x"}) }, false},
		"another tool":       {func(r *approval.Request) { r.Tool = "other" }, false},
		"another API":        {func(r *approval.Request) { r.Origin = "https://other.example" }, false},
		"another agent":      {func(r *approval.Request) { r.Agent = "other (agt_2)" }, false},
		"for somebody else":  {func(r *approval.Request) { r.OnBehalfOf = "" }, false},
		"for another user":   {func(r *approval.Request) { r.User = "bob" }, false},
		"another risk":       {func(r *approval.Request) { r.Risk = "low" }, false},
		"for longer":         {func(r *approval.Request) { r.TTL = time.Hour }, false},
		"nothing before":     {func(r *approval.Request) { r.Before = nil }, false},
		"unreadable":         {func(r *approval.Request) { r.Problem = "broken" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := request(), request()
			second.ID, second.TaskID, second.TaskName, second.CallID = "jitr_2", "task_2", "Clean up too", "call_2"
			tt.change(&second)
			list := approval.Together([]approval.Request{first, second})
			if one := len(list) == 1; one != tt.one {
				t.Fatalf("Together() gives %d, want one question: %t", len(list), tt.one)
			}
			if !tt.one {
				return
			}
			if wants := list[0].Wants(); !slices.Equal(wants[1:], []string{"for ada@acme-corp.example (ada)", "that for jitr_1: Clean up", "that for jitr_2: Clean up too"}) {
				t.Errorf("what is wanted: %q", wants)
			}
			text := list[0].Text()
			for _, want := range []string{"Clean up (task_1), request jitr_1", "Clean up too (task_2), request jitr_2", "“I need it”", "“" + second.Justification + "”"} {
				if !strings.Contains(text, want) {
					t.Errorf("the text does not show %q:\n%s", want, text)
				}
			}
			var r recorder
			done, err := list[0].Decide(t.Context(), &r, approval.Decision{Approve: true})
			if done != 1 || !errors.Is(err, approval.ErrDecided) || !slices.Equal(r.ids, []string{"jitr_1", "jitr_2"}) || !slices.Equal(r.digests, []string{first.Digest(), second.Digest()}) {
				t.Errorf("Decide() = %d, %v, of %q bound to %q", done, err, r.ids, r.digests)
			}
		})
	}
	unknown := request()
	unknown.Tool = ""
	other := unknown
	other.TaskID = "task_2"
	if n := len(approval.Together([]approval.Request{unknown, other})); n != 2 {
		t.Errorf("calls that nobody knows of are %d questions, want 2", n)
	}
}

// The page shows one question once, and what it was not shown when the person decided
// goes on waiting.
func TestPageDecidesWhatItShows(t *testing.T) {
	r := recorder{pending: make([]approval.Request, 3)}
	for i := range r.pending {
		r.pending[i] = request()
		r.pending[i].ID, r.pending[i].TaskID = fmt.Sprint("jitr_", i+2), fmt.Sprint("task_", i)
	}
	late := r.pending[2]
	r.pending = r.pending[:2]
	page := approval.NewPage(approval.PageConfig{Decider: &r, Path: "/a"})
	var cookies []*http.Cookie
	send := func(method, path string, form url.Values) string {
		req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(form.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, c := range cookies {
			req.AddCookie(c)
		}
		w := httptest.NewRecorder()
		page.ServeHTTP(w, req)
		cookies = append(cookies, w.Result().Cookies()...)
		return w.Body.String()
	}
	_, key, _ := strings.Cut(page.SignIn(), "key=")
	send("POST", "/a/sign-in", url.Values{"key": {key}})
	if list := send("GET", "/a", nil); strings.Count(list, "<a class") != 1 || !strings.Contains(list, "for jitr_2: Clean up<") || !strings.Contains(list, "for jitr_3: Clean up<") {
		t.Errorf("two that ask the same are listed so:\n%s", list)
	}
	shown := func(id string) url.Values {
		form := url.Values{"decision": {"deny"}}
		for _, m := range regexp.MustCompile(`name="digest" value="(\w+)"`).FindAllStringSubmatch(send("GET", "/a/"+id, nil), -1) {
			form.Add("digest", m[1])
		}
		return form
	}
	form := shown("jitr_3")
	r.pending = append(r.pending, late)
	if answer := send("POST", "/a/jitr_3", form); !strings.Contains(answer, "Denied.") || !slices.Equal(r.ids, []string{"jitr_2", "jitr_3"}) {
		t.Errorf("denied are %q:\n%s", r.ids, answer)
	}

	// The process that asked first is gone.
	r.ids = nil
	form = shown("jitr_2")
	r.pending = r.pending[1:]
	if fresh := send("GET", "/a/jitr_2?"+url.Values{"digest": form["digest"]}.Encode(), nil); !strings.Contains(fresh, "<form") {
		t.Errorf("what still waits is no longer shown:\n%s", fresh)
	}
	if answer := send("POST", "/a/jitr_2", form); !strings.Contains(answer, "Denied.") || !strings.Contains(answer, "not count for 1 request of") ||
		!slices.Equal(r.ids, []string{"jitr_3", "jitr_4"}) {
		t.Errorf("denied are %q:\n%s", r.ids, answer)
	}

	// What is no decision is none, and a server that fails is said to.
	r.ids, r.pending = nil, r.pending[:1]
	for name, value := range map[string]string{"decision": "", "message": "\x00", "reason": strings.Repeat("x", approval.MaxMessage+1)} {
		form = shown(r.pending[0].ID)
		form.Set(name, value)
		if answer := send("POST", "/a/jitr_3", form); !strings.Contains(answer, "Nothing was decided: what was entered") || len(r.ids) != 0 {
			t.Errorf("%s %q: decided %q:\n%s", name, value, r.ids, answer)
		}
	}
	r.err = errors.New("a secret of the server's")
	if answer := send("POST", "/a/jitr_3", shown(r.pending[0].ID)); !strings.Contains(answer, "as far as is known") || strings.Contains(answer, "secret") {
		t.Errorf("the server fails:\n%s", answer)
	}
	r.err = nil

	// Of any number each can be decided.
	r.pending = make([]approval.Request, 250)
	for i := range r.pending {
		r.pending[i] = request()
		r.pending[i].ID, r.pending[i].TaskID = fmt.Sprint("jitr_", i+2), fmt.Sprint("task_", i)
	}
	r.more = true
	list := send("GET", "/a", nil)
	if !strings.Contains(list, ">that for jitr_9: Clean up</span>\n<span class=\"wants\">that for 42 more tasks</span>") {
		t.Errorf("the tasks of a card are not named:\n%.2000s", list)
	}
	if !strings.Contains(list, "More requests wait than can be listed") {
		t.Errorf("a list that is cut does not say so:\n%.2000s", list)
	}
	r.ids = nil
	for _, m := range regexp.MustCompile(`href="/a/(jitr_\d+)"`).FindAllStringSubmatch(list, -1) {
		if answer := send("POST", "/a/"+m[1], shown(m[1])); !strings.Contains(answer, "Denied.") {
			t.Errorf("denying a card: %s", answer)
		}
	}
	if len(r.ids) != len(r.pending) {
		t.Errorf("%d of %d were decided", len(r.ids), len(r.pending))
	}
}

// A form that says something twice decides nothing, nor does one about two questions.
func TestPageTakesOneAnswer(t *testing.T) {
	one, two := request(), request()
	one.ID, two.ID, two.User = "jitr_2", "jitr_3", "bob"
	r := recorder{pending: []approval.Request{one, two}}
	for name, tt := range map[string]struct {
		form   url.Values
		status int
	}{
		"both decisions":  {url.Values{"decision": {"approve", "deny"}}, http.StatusBadRequest},
		"one twice":       {url.Values{"decision": {"deny", "deny"}}, http.StatusBadRequest},
		"a digest twice":  {url.Values{"digest": {one.Digest(), one.Digest()}}, http.StatusBadRequest},
		"two lifetimes":   {url.Values{"ttl": {"1s", "1m"}}, http.StatusBadRequest},
		"two messages":    {url.Values{"message": {"a", "b"}}, http.StatusBadRequest},
		"two users'":      {url.Values{"digest": {one.Digest(), two.Digest()}}, http.StatusConflict},
		"once, all of it": {url.Values{"keep": {"actions=read", "actions=read"}, "decision": {"approve"}}, http.StatusOK},
	} {
		form := url.Values{"decision": {"approve"}, "digest": {one.Digest()}, "keep": {"actions=read", "actions=delete"}}
		maps.Copy(form, tt.form)
		if w := post(t, &r, form); w.Code != tt.status || (len(r.ids) == 0) != (tt.status != http.StatusOK) {
			t.Errorf("%s: status %d, decided %q:\n%s", name, w.Code, r.ids, w.Body)
		}
		r.ids = nil
	}
}

// Of several of which one is one's own, the page says so of that.
func TestPageSaysWhatIsOnesOwn(t *testing.T) {
	var r recorder
	form := url.Values{"decision": {"approve"}, "keep": {"actions=read", "actions=delete"}, "digest": {strings.Repeat("0", 64)}}
	for i := range 3 {
		one := request()
		one.ID, one.TaskID = fmt.Sprint("jitr_", i+2), fmt.Sprint("task_", i)
		r.pending, form["digest"] = append(r.pending, one), append(form["digest"], one.Digest())
	}
	rights := approval.Rights{Allow: []approval.Group{{Name: "blue"}}, Asker: func(_ context.Context, r approval.Request) (string, error) {
		return map[string]string{"jitr_3": "bob"}[r.ID], nil
	}}
	guarded := rights.Guard(&r)
	w := post(t, guarded, form)
	for _, want := range []string{"Approved.", "for 1 request of those that were shown: " + approval.ErrOwn.Error() + ".", "for 1 request of those that were shown: decided before"} {
		if !strings.Contains(w.Body.String(), want) || len(r.ids) != 2 {
			t.Errorf("decided %q, and the page does not say %q:\n%s", r.ids, want, w.Body)
		}
	}
	r.pending[1].Tool, r.pending[1].User = "", ""
	if list, _, err := guarded.Pending(t.Context()); err != nil || list[1].User != "bob" || list[0].User != "ada" || r.pending[1].User != "" {
		t.Errorf("for whom it is where the server does not say: %v, %v", list, err)
	}
}

// post sends a form to a page that bob has signed in to.
func post(t *testing.T, at approval.Decider, form url.Values) *httptest.ResponseRecorder {
	t.Helper()
	ctx := approval.WithApprover(t.Context(), approval.Approver{ID: "bob", Groups: []string{"blue"}})
	req, w := httptest.NewRequestWithContext(ctx, http.MethodPost, "/a/jitr_2", strings.NewReader(form.Encode())), httptest.NewRecorder()
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	approval.NewPage(approval.PageConfig{Decider: at, Path: "/a", SignedIn: func(*http.Request) bool { return true }}).ServeHTTP(w, req)
	return w
}
