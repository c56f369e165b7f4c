package jit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
)

// asking is the client of an authorization server, with what was asked of it.
type asking struct {
	*lumoauth.Client

	mu    sync.Mutex
	asked []jit.Request
	holds map[string]rar.Detail // what each token covers
	ended []string              // ids of tasks, in order
}

func (a *asking) Request(ctx context.Context, r jit.Request) (jit.Decision, error) {
	a.mu.Lock()
	a.asked = append(a.asked, r)
	a.mu.Unlock()
	return a.Client.Request(ctx, r)
}

func (a *asking) Token(ctx context.Context, id string) (jit.Issued, error) {
	issued, err := a.Client.Token(ctx, id)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(issued.Details) == 1 {
		a.holds[issued.Token.Reveal()] = issued.Details[0]
	}
	return issued, err
}

func (a *asking) CompleteTask(ctx context.Context, id string) error {
	a.mu.Lock()
	a.ended = append(a.ended, id)
	a.mu.Unlock()
	return a.Client.CompleteTask(ctx, id)
}

// within is a development server without a socket, and a client of it.
func within(t interface {
	Fatal(...any)
	Cleanup(func())
}) (*lumodev.Server, *asking) {
	const base = "http://127.0.0.1:8600"
	server, err := lumodev.New(lumodev.Config{BaseURL: base})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	agent := server.Config().Agents[0]
	client, err := lumoauth.New(lumoauth.Config{
		URL: base, Org: server.Config().Org, ClientID: agent.ClientID, ClientSecret: agent.ClientSecret,
		HTTPClient: &http.Client{Transport: fake.Transport{Handler: server}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return server, &asking{Client: client, holds: map[string]rar.Detail{}}
}

// A node is a task of a tree, as the oracle knows it.
type node struct {
	*jit.Task
	name    string
	parent  *node
	ceiling []rar.Detail // nil bounds nothing
	depth   int
}

// allows says whether a detail lies within the ceilings of a task and of all above it.
func (n *node) allows(d rar.Detail) bool {
	covers := func(c rar.Detail) bool { return permitted(toNaive(d), toNaive(c)) }
	return n == nil || (n.ceiling == nil || slices.ContainsFunc(n.ceiling, covers)) && n.parent.allows(d)
}

// permitted says whether all that a permits is permitted by b, where what b leaves out is no
// limit.
func permitted(a, b naive) bool {
	if a.kind != b.kind || b.id != "" && a.id != b.id {
		return false
	}
	for name, limit := range b.sets {
		set, has := a.sets[name]
		for s := range set {
			has = has && limit[s]
		}
		if !has {
			return false
		}
	}
	for name, limit := range b.extra {
		if value, has := a.extra[name]; !has || value != limit {
			return false
		}
	}
	return true
}

// Whatever the tree of tasks, whatever APIs demand: what is asked for under a task and
// what is used lies within its ceiling and those above it, and when the root is completed
// nothing in the tree is alive.
func TestTreesOfTasks(t *testing.T) { rapid.Check(t, checkTree) }

func checkTree(rt *rapid.T) {
	server, authority := within(rt)
	engine, err := jit.New(jit.Config{Authority: authority})
	if err != nil {
		rt.Fatal(err)
	}
	draw := world(rt)
	root, err := engine.Open(rt.Context(), jit.TaskSpec{Name: "root"})
	if err != nil {
		rt.Fatal(err)
	}
	tree := []*node{{Task: root, name: "root", depth: 1}}
	var under *node
	var ceiling []rar.Detail
	api := &jit.Transport{Origin: must(jit.ParseOrigin("https://api.example.com")), Base: tripper(func(r *http.Request) (*http.Response, error) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		authority.mu.Lock()
		covers, grant := authority.holds[token]
		authority.mu.Unlock()
		if grant && !(insideAny(covers, ceiling) && under.allows(covers)) {
			rt.Errorf("a token for %+v was used under task %q", covers, under.name)
		}
		if rapid.IntRange(0, 2).Draw(rt, "accepts") == 0 {
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
		}
		return refusal([]rar.Detail{draw.Draw(rt, "demand")})
	})}
	for i := range rapid.IntRange(1, 12).Draw(rt, "steps") {
		at := rapid.SampledFrom(tree).Draw(rt, "task")
		if at.depth < 3 && rapid.Bool().Draw(rt, "a child") { // which is as deep as the server takes
			child := &node{name: fmt.Sprint("child ", i), parent: at, depth: at.depth + 1}
			if rapid.IntRange(0, 3).Draw(rt, "narrower") > 0 {
				child.ceiling = append([]rar.Detail{}, rapid.SliceOfN(draw, 0, 3).Draw(rt, "ceiling")...)
			}
			fits := !slices.ContainsFunc(child.ceiling, func(d rar.Detail) bool { return !at.allows(d) })
			child.Task, err = at.Child(rt.Context(), jit.TaskSpec{Name: child.name}, child.ceiling)
			if fits != (err == nil) {
				rt.Fatalf("a ceiling %+v below task %q: %v", child.ceiling, at.name, err)
			}
			if err == nil {
				tree = append(tree, child)
			}
			continue
		}
		under, ceiling = at, rapid.SliceOfN(draw, 0, 4).Draw(rt, "ceiling of the call")
		id, err := at.ID(rt.Context())
		if err != nil {
			rt.Fatal(err)
		}
		before := len(authority.asked)
		ctx := at.Call(rt.Context(), jit.Call{ID: fmt.Sprint(i), Ceiling: ceiling})
		if rapid.Bool().Draw(rt, "acquires") {
			if g, err := jit.Acquire(ctx, draw.Draw(rt, "wants")); err == nil && !(insideAny(g.Detail, ceiling) && at.allows(g.Detail)) {
				rt.Errorf("a grant of %+v under task %q", g.Detail, at.name)
			}
		} else {
			method := rapid.SampledFrom([]string{http.MethodGet, http.MethodPost}).Draw(rt, "method")
			req := must(http.NewRequestWithContext(ctx, method, "https://api.example.com/docs/doc_1", nil))
			if resp, err := api.RoundTrip(req); err == nil {
				_ = resp.Body.Close()
			}
		}
		for _, r := range authority.asked[before:] {
			if r.TaskID != id || !insideAny(r.Detail, ceiling) || !at.allows(r.Detail) {
				rt.Errorf("asked for %+v under task %s, in a call of %s", r.Detail, r.TaskID, id)
			}
		}
	}
	if err := root.Complete(rt.Context()); err != nil {
		rt.Error(err)
	}
	snapshot := server.Snapshot()
	if snapshot.LiveTokens != 0 || len(snapshot.Tasks) != len(tree) {
		rt.Errorf("%d live tokens and %d tasks of %d", snapshot.LiveTokens, len(snapshot.Tasks), len(tree))
	}
	at := map[string]lumodev.TaskInfo{}
	for _, k := range snapshot.Tasks {
		at[k.ID] = k
	}
	for _, n := range tree {
		id, _ := n.ID(rt.Context())
		above := ""
		if n.parent != nil {
			above, _ = n.parent.ID(rt.Context())
		}
		if at[id].State != "completed" || at[id].Parent != above || at[id].Name != n.name {
			rt.Errorf("task %q, %s below %q: at the server %+v", n.name, id, above, at[id])
		}
		if n.parent != nil && slices.Index(authority.ended, id) > slices.Index(authority.ended, above) || !slices.Contains(authority.ended, id) {
			rt.Errorf("task %q was completed in the order %v", n.name, authority.ended)
		}
	}
}

// family is a root that may be asked for anything, a child that may read doc_1 and one that
// may read doc_2 and write reports, at an authority of function calls.
func family(t *testing.T, cfg jit.Config) (root *client, one, two *jit.Task) {
	t.Helper()
	root = offline(t, cfg, nil)
	one = must(root.task.Child(t.Context(), jit.TaskSpec{Name: "one"}, []rar.Detail{read("doc_1")}))
	two = must(root.task.Child(t.Context(), jit.TaskSpec{Name: "two"}, []rar.Detail{read("doc_2"), write("reports")}))
	return root, one, two
}

// as is the client under another task.
func (c *client) as(t *jit.Task) *client { return &client{c.Client, t, c.base, c.engine} }

func TestChildIsBegunOnce(t *testing.T) {
	authority := &fake.Authority{}
	root, one, _ := family(t, jit.Config{Authority: authority})
	child := func(of *jit.Task, name string, ceiling ...rar.Detail) (*jit.Task, error) {
		return of.Child(t.Context(), jit.TaskSpec{Name: name}, ceiling)
	}
	if again, err := child(root.task, "one", read("doc_1")); again != one || err != nil {
		t.Errorf("the same child is %v, %v", again, err)
	}
	bad := read("doc_1")
	bad.Type = ""
	for what, try := range map[string]func() (*jit.Task, error){
		"another ceiling":           func() (*jit.Task, error) { return child(root.task, "one", read("doc_2")) },
		"the ceiling of its parent": func() (*jit.Task, error) { return child(root.task, "one") },
		"a wider ceiling":           func() (*jit.Task, error) { return child(one, "three", read("doc_1"), read("doc_2")) },
		"no name":                   func() (*jit.Task, error) { return child(root.task, "", read("doc_1")) },
		"a ceiling that is none":    func() (*jit.Task, error) { return child(root.task, "four", bad) },
	} {
		if got, err := try(); got != nil || err == nil {
			t.Errorf("%s: %v, %v, want an error", what, got, err)
		}
	}
	if err := one.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, err := child(root.task, "one", read("doc_2")); again == one || err != nil {
		t.Errorf("after its end: %v, %v, want a new one", again, err)
	}
	if _, err := child(one, "below"); !errors.Is(err, jit.ErrTaskEnded) {
		t.Errorf("a child of a task that has ended: %v", err)
	}
}

// A task without a ceiling may ask for what those above it may, at whatever depth: what it
// does not bound itself is bounded there.
func TestChildWithoutACeiling(t *testing.T) {
	authority := &fake.Authority{}
	_, one, _ := family(t, jit.Config{Authority: authority})
	below := one
	for _, name := range []string{"below", "further below"} {
		below = must(below.Child(t.Context(), jit.TaskSpec{Name: name}, nil))
	}
	for _, want := range []rar.Detail{read("doc_1"), read("doc_2")} {
		_, err := jit.Acquire(below.Call(t.Context(), jit.Call{ID: want.Identifier, Ceiling: []rar.Detail{want}}), want)
		if inside := want.Identifier == "doc_1"; inside != (err == nil) {
			t.Errorf("%s below a ceiling of doc_1: %v", want.Identifier, err)
		}
	}
	if n := len(authority.Requests()); n != 1 {
		t.Errorf("%d requests, want that of doc_1", n)
	}
	if _, err := below.Child(t.Context(), jit.TaskSpec{Name: "wider"}, []rar.Detail{read("doc_2")}); err == nil {
		t.Error("a ceiling of doc_2 below one of doc_1 is taken")
	}
}

// What one of a family was denied, and did, holds for the others, as far as it is theirs.
func TestFamilyActsOnce(t *testing.T) {
	authority, posts := &fake.Authority{}, 0
	authority.Decide = func(r jit.Request) (jit.Decision, error) {
		if r.Detail.Identifier == "doc_2" {
			return jit.Decision{Status: jit.StatusDenied, Message: "no"}, nil
		}
		return jit.Decision{Status: jit.StatusApproved, TTL: r.TTL}, nil
	}
	root, one, two := family(t, jit.Config{Authority: authority})
	inner := root.Transport.(*jit.Transport).Base
	root = root.over(tripper(func(r *http.Request) (*http.Response, error) {
		resp, err := inner.RoundTrip(r)
		if r.Method == http.MethodPost && resp.StatusCode == http.StatusOK {
			posts++
		}
		return resp, err
	}))
	for _, c := range []*client{root.as(two), root} {
		if err := fetch(t.Context(), c, "doc_2"); !errors.Is(err, jit.ErrDenied) {
			t.Errorf("GET = %v, want denied", err)
		}
	}
	if n := len(authority.Requests()); n != 1 {
		t.Errorf("a person was asked %d times", n)
	}
	post := func(c *client) error {
		_, body, err := c.send(t.Context(), jit.Call{Tool: "report", Ceiling: []rar.Detail{write("reports")}}, http.MethodPost, c.base+"/reports", "text")
		if err == nil && body != "content" {
			t.Errorf("POST = %q", body)
		}
		return err
	}
	if err := errors.Join(post(root.as(two)), post(root), post(root.as(two))); err != nil || posts != 1 {
		t.Errorf("POST = %v, sent %d times, want once", err, posts)
	}
	if _, outside := errors.AsType[*jit.EnvelopeError](post(root.as(one))); !outside || posts != 1 {
		t.Errorf("the answer to what another task may do was given to one that may not, %d sent", posts)
	}
}

// A child that cannot be completed keeps nobody else from it, and is tried again.
func TestFamilyIsCompletedWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := &fake.Authority{}
		root, one, two := family(t, jit.Config{Authority: authority})
		for _, child := range []*jit.Task{one, two} {
			must(child.ID(t.Context()))
		}
		authority.Complete = func(ctx context.Context, n int) error {
			if n == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		start := time.Now()
		if err := root.task.Complete(t.Context()); err == nil || len(authority.Completed()) != 2 || time.Since(start) != 15*time.Second {
			t.Errorf("Complete() = %v after %s, of %v", err, time.Since(start), authority.Completed())
		}
		if err := fetch(t.Context(), root.as(one), "doc_1"); !errors.Is(err, jit.ErrTaskEnded) {
			t.Errorf("GET = %v, want that the task has ended", err)
		}
		if err := root.task.Complete(t.Context()); err != nil || authority.Tries() != 4 {
			t.Errorf("Complete() again = %v, %d tries in all, want one more", err, authority.Tries())
		}
	})
}

// A family that waits goes on elsewhere: each request under its own task, which holds
// no more than it did.
func TestFamilyIsSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := undecided(time.Hour, 0, 0)
		journal := &fake.Journal{}
		cfg := jit.Config{Authority: authority, AuthorityName: "here", Journal: journal}
		engine := must(jit.New(cfg))
		c := offline(t, cfg, nil)
		c.task = must(engine.Open(t.Context(), jit.TaskSpec{Name: "root", Session: "s"}))
		ceiling := []rar.Detail{read("doc_1")}
		one := must(c.task.Child(t.Context(), jit.TaskSpec{Name: "one"}, ceiling))
		if err := fetch(t.Context(), c.as(one), "doc_1"); !errors.Is(err, jit.ErrPending) {
			t.Fatalf("GET = %v, want pending", err)
		}
		if _, err := one.Suspend(t.Context(), "what", time.Time{}); err == nil {
			t.Error("a child was suspended by itself")
		}
		until, err := c.task.Suspend(t.Context(), "what", time.Time{})
		if err != nil || !until.Equal(time.Now().Add(time.Hour)) {
			t.Fatalf("Suspend() = %s, %v", until, err)
		}
		if _, err := engine.Resume(t.Context(), one.Run(), "what", nil); err == nil {
			t.Error("a child was resumed by itself")
		}
		authority.Look = nil // approved
		next, err := anew(t, c, cfg, "what")
		if err != nil {
			t.Fatal(err)
		}
		resumed := must(next.task.Child(t.Context(), jit.TaskSpec{Name: "one"}, ceiling))
		if err := fetch(t.Context(), next.as(resumed), "doc_1"); err != nil || resumed.Run() != one.Run() || len(authority.Requests()) != 1 {
			t.Errorf("GET = %v under run %s of %s, %d requests", err, resumed.Run(), one.Run(), len(authority.Requests()))
		}
		if err := fetch(t.Context(), next.as(resumed), "doc_2"); !errors.Is(err, jit.ErrOutsideCeiling) {
			t.Errorf("GET = %v, want outside", err)
		}
		if err := next.task.Complete(t.Context()); err != nil || len(authority.Completed()) != 2 {
			t.Errorf("Complete() = %v, of %v", err, authority.Completed())
		}
	})
}

// hit is a journal in which one task was killed.
type hit struct {
	fake.Journal
	run string
}

func (h *hit) Killed(_ context.Context, run string) (string, bool, error) {
	return "", run == h.run, nil
}

// Whoever kills a task kills what is below it, and nothing else; nothing of either is gone
// on with.
func TestKilledParent(t *testing.T) {
	journal := &hit{}
	root, one, _ := family(t, jit.Config{Authority: &fake.Authority{}, Journal: journal})
	inner := must(one.Child(t.Context(), jit.TaskSpec{Name: "inner"}, nil))
	must(inner.ID(t.Context()))
	journal.run = one.Run()
	for name, tt := range map[string]struct {
		task *jit.Task
		want bool
	}{"above": {root.task, false}, "itself": {one, true}, "below": {inner, true}} {
		if err := fetch(t.Context(), root.as(tt.task), "doc_1"); errors.Is(err, jit.ErrKilled) != tt.want {
			t.Errorf("%s: GET = %v, killed %t", name, err, tt.want)
		}
	}
	if _, err := root.engine.Alive(t.Context(), ""); !errors.Is(err, jit.ErrKilled) {
		t.Errorf("Alive() = %v, want the session's last task killed", err)
	}
}
