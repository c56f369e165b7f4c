package jit_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
)

// keyed is a client whose API notes the Idempotency-Key of each request.
func keyed(t *testing.T, cfg jit.Config) (c *client, keys *[]string) {
	keys = new([]string)
	if cfg.Authority == nil {
		cfg.Authority = &fake.Authority{}
	}
	answer := guarded(needsPath)
	return offline(t, cfg, nil).over(tripper(func(r *http.Request) (*http.Response, error) {
		for name, values := range r.Header {
			if strings.EqualFold(name, jit.HeaderIdempotencyKey) {
				*keys = append(*keys, values...)
			}
		}
		return answer(r)
	})), keys
}

func reports() jit.Call {
	return jit.Call{ID: "call-1", Tool: "create", Ceiling: []rar.Detail{write("reports")}}
}

// repeated is reports for a tool whose repeats are meant.
func repeated() jit.Call {
	call := reports()
	call.Repeats = true
	return call
}

// keyOf makes one call and returns the key that all its requests had.
func (c *client) keyOf(t *testing.T, keys *[]string, call jit.Call, method, url, body string, header ...string) string {
	t.Helper()
	*keys = nil
	status, _, err := c.send(t.Context(), call, method, url, body, header...)
	if err != nil || status != 200 {
		t.Fatalf("%s %s = %d, %v", method, url, status, err)
	}
	for _, k := range *keys {
		if k != (*keys)[0] {
			t.Errorf("%s %s: keys %q within one call, want one", method, url, *keys)
		}
	}
	if len(*keys) == 0 {
		return ""
	}
	return (*keys)[0]
}

func TestKeyIsTheSameBeforeAndAfterEscalation(t *testing.T) {
	c, keys := keyed(t, jit.Config{})
	k := c.keyOf(t, keys, reports(), "POST", c.base+"/reports", "text")
	if len(*keys) != 2 || !strings.HasPrefix(k, "jit-") || len(k) != len("jit-")+24 {
		t.Errorf("keys %q, want the same twice", *keys)
	}
}

// TestKeyIsTheSameWhenAToolRetries sends one effect three times within one call, as
// a tool does that repeats what failed, and another one.
func TestKeyIsTheSameWhenAToolRetries(t *testing.T) {
	c, keys := keyed(t, jit.Config{})
	ctx := c.task.Call(t.Context(), repeated())
	for _, body := range []string{"text", "text", "text", "other"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/reports", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	got := (*keys)[len(*keys)-4:] // the first was refused once before
	if got[0] != got[1] || got[1] != got[2] || got[3] == got[0] {
		t.Errorf("keys %q, want three equal ones and another", got)
	}
}

func TestKeyNamesTheEffect(t *testing.T) {
	c, keys := keyed(t, jit.Config{})
	url := c.base + "/reports"
	first := c.keyOf(t, keys, repeated(), "POST", url, "text")
	if again := c.keyOf(t, keys, repeated(), "POST", url, "text"); again != first {
		t.Errorf("the same call with the same body: %q, want %q", again, first)
	}
	otherTool := repeated()
	otherTool.Justification, otherTool.Tool = "other words", "other"
	if again := c.keyOf(t, keys, otherTool, "POST", url, "text"); again != first {
		t.Errorf("other words for the same effect: %q, want %q", again, first)
	}
	seen := map[string]string{first: "the first call"}
	differs := func(name, key string) {
		t.Helper()
		if key == "" || seen[key] != "" {
			t.Errorf("%s has the key %q, that of %s", name, key, seen[key])
		}
		seen[key] = name
	}
	differs("another body", c.keyOf(t, keys, repeated(), "POST", url, "text2"))
	differs("no body", c.keyOf(t, keys, repeated(), "POST", url, ""))
	differs("another query", c.keyOf(t, keys, repeated(), "POST", url+"?a=b", "text"))
	differs("another path", c.keyOf(t, keys, repeated(), "POST", url+"/x", "text"))
	other := repeated()
	other.ID = "call-2"
	differs("another call", c.keyOf(t, keys, other, "POST", url, "text"))
	named := repeated()
	named.IdempotencyKey = "order 66"
	ofNamed := c.keyOf(t, keys, named, "POST", url, "text")
	differs("a named effect", ofNamed)
	named.IdempotencyKey = "order 67"
	differs("another named effect", c.keyOf(t, keys, named, "POST", url, "text"))
	anonymous := repeated()
	anonymous.ID = ""
	differs("a call without an id", c.keyOf(t, keys, anonymous, "POST", url, "text"))
	differs("another call without an id", c.keyOf(t, keys, anonymous, "POST", url, "text"))

	next, nextKeys := keyed(t, jit.Config{})
	differs("another task", next.keyOf(t, nextKeys, repeated(), "POST", url, "text"))
	named.IdempotencyKey = "order 66"
	if again := next.keyOf(t, nextKeys, named, "POST", url, "text"); again != ofNamed {
		t.Errorf("a named effect under another task: %q, want %q, or a crash would do it twice", again, ofNamed)
	}
}

func TestKeyDiffersByMethod(t *testing.T) {
	c, keys := keyed(t, jit.Config{})
	c.over(tripper(func(r *http.Request) (*http.Response, error) {
		*keys = append(*keys, r.Header[strings.ToLower(jit.HeaderIdempotencyKey)]...)
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	}))
	seen := map[string]bool{}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "MERGE"} {
		k := c.keyOf(t, keys, reports(), method, c.base+"/reports", "text")
		if k == "" || seen[k] {
			t.Errorf("%s has the key %q, want one of its own", method, k)
		}
		seen[k] = true
	}
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "TRACE"} {
		if k := c.keyOf(t, keys, reports(), method, c.base+"/reports", ""); k != "" {
			t.Errorf("%s has the key %q, want none", method, k)
		}
	}
}

func TestCallersOwnKeyIsRespected(t *testing.T) {
	c, keys := keyed(t, jit.Config{})
	if k := c.keyOf(t, keys, reports(), "POST", c.base+"/reports", "text", "Idempotency-Key", "mine"); k != "mine" || len(*keys) != 2 {
		t.Errorf("keys %q, want the caller's own, twice", *keys)
	}
	*keys = nil
	req := must(http.NewRequestWithContext(c.task.Call(t.Context(), repeated()), "POST", c.base+"/reports", strings.NewReader("text")))
	req.Header["IDEMPOTENCY-KEY"] = []string{"mine"}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if diff := cmp.Diff([]string{"mine"}, *keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

// A body without GetBody is sent once at most, so its key need only be stable in
// one attempt, and must not be that of another body.
func TestBodyThatCannotBeReadTwiceHasItsOwnKey(t *testing.T) {
	c, keys := keyed(t, jit.Config{})
	c.over(tripper(func(r *http.Request) (*http.Response, error) {
		*keys = append(*keys, r.Header[strings.ToLower(jit.HeaderIdempotencyKey)]...)
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	}))
	ctx := c.task.Call(t.Context(), reports())
	for range 2 {
		req := must(http.NewRequestWithContext(ctx, "POST", c.base+"/reports", &closing{Reader: strings.NewReader("text")}))
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	if len(*keys) != 2 || (*keys)[0] == (*keys)[1] {
		t.Errorf("keys %q, want two of them", *keys)
	}
}

// What may have an effect is in the journal before it leaves, each time.
func TestJournalPrecedesEachSend(t *testing.T) {
	log := &journal{}
	c, keys := keyed(t, jit.Config{Journal: log})
	var before [][]string
	answer := guarded(needsPath)
	c.over(tripper(func(r *http.Request) (*http.Response, error) {
		*keys = append(*keys, r.Header[strings.ToLower(jit.HeaderIdempotencyKey)]...)
		all := log.all()
		last := all[len(all)-1]
		before = append(before, []string{string(last.Kind), last.IdempotencyKey, last.Method, last.URL, last.CallID, last.Tool})
		return answer(r)
	}))
	c.opened(t)
	k := c.keyOf(t, keys, reports(), "POST", c.base+"/reports?secret=1", "text")
	want := []string{"call_sent", k, "POST", c.base + "/reports", "call-1", "create"}
	if diff := cmp.Diff([][]string{want, want}, before); diff != "" {
		t.Errorf("last entry at each send (-want +got):\n%s", diff)
	}
	var outcomes []int
	for _, e := range log.all() {
		if e.Kind == jit.EntryCallReturned {
			outcomes = append(outcomes, e.HTTPStatus)
		}
	}
	if diff := cmp.Diff([]int{403, 200}, outcomes); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	c.over(tripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("connection reset") }))
	if _, _, err := c.send(t.Context(), reports(), "POST", c.base+"/reports", "text"); err == nil {
		t.Fatal("POST works, want an error")
	}
	if last := log.all()[len(log.all())-1]; last.Kind != jit.EntryCallReturned || last.Error != "connection reset" || last.HTTPStatus != 0 {
		t.Errorf("last entry %+v, want the failure: in doubt", last)
	}
	before = nil
	c.over(answer)
	sends := len(log.all())
	if _, _, err := c.send(t.Context(), jit.Call{ID: "2", Ceiling: []rar.Detail{read("doc_1")}}, "GET", c.base+"/docs/doc_1", ""); err != nil {
		t.Fatal(err)
	}
	for _, e := range log.all()[sends:] {
		if e.Kind == jit.EntryCallSent {
			t.Errorf("a read-only call is in the journal: %+v", e)
		}
	}
}
