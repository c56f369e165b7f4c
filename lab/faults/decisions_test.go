package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/approval"
)

// A decided is the state of one request in the model: what was decided, and what became
// of it since. Nothing is undone.
type decided struct {
	status   jit.Status // pending, approved or denied
	redeemed bool
	over     bool // its task was completed, by its owner or by recovery
	late     bool // every window is past
}

// A move is what somebody did to a request, or saw of it.
type move struct{ what, request string }

// step says whether a move may have come out so, and what follows.
func (d decided) step(what string, out any) (bool, decided) {
	open := !d.over && !d.late
	next := d
	switch what {
	case "approve", "deny":
		worked := d.status == jit.StatusPending && open
		if worked {
			next.status = map[string]jit.Status{"approve": jit.StatusApproved, "deny": jit.StatusDenied}[what]
		}
		return out == worked, next
	case "redeem":
		// Redeeming again gives the same token, while it lives.
		worked := d.status == jit.StatusApproved && open
		next.redeemed = d.redeemed || worked
		return out == worked, next
	case "use":
		return out == (d.redeemed && open), next
	case "look":
		seen := d.status
		if !open && (seen == jit.StatusPending || seen == jit.StatusApproved && !d.redeemed) {
			seen = jit.StatusExpired
		}
		return out == seen, next
	case "complete":
		next.over = true
	case "expire":
		next.late = true
	}
	return true, next
}

func decisionsModel() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
			of := map[string][]porcupine.Operation{}
			for _, op := range history {
				id := op.Input.(move).request
				of[id] = append(of[id], op)
			}
			for _, part := range of {
				parts = append(parts, part)
			}
			return parts
		},
		Init:              func() any { return decided{status: jit.StatusPending} },
		Step:              func(state, in, out any) (bool, any) { return state.(decided).step(in.(move).what, out) },
		DescribeOperation: func(in, out any) string { return fmt.Sprint(in.(move).what, " ", out) },
	}
}

// wrong decisions stand before a good authorization server and make it a bad one.
func wrongDecisions() map[string]bug {
	decision := func(r *http.Request) bool {
		return r.Method == http.MethodPost && (strings.Contains(r.URL.Path, "/jit/approve/") || strings.Contains(r.URL.Path, "/jit/deny/"))
	}
	pass := func(next http.Handler, r *http.Request) *httptest.ResponseRecorder {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		return answer
	}
	reply := func(w http.ResponseWriter, answer *httptest.ResponseRecorder) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}
	return map[string]bug{
		"the second decision wins": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !decision(r) {
					next.ServeHTTP(w, r)
					return
				}
				answer := pass(next, r)
				if answer.Code == http.StatusBadRequest {
					status := "denied"
					if strings.Contains(r.URL.Path, "/approve/") {
						status = "approved"
					}
					answer = httptest.NewRecorder()
					_ = json.NewEncoder(answer).Encode(map[string]any{"request_id": path.Base(r.URL.Path), "status": status, "granted_ttl": 60})
				}
				reply(w, answer)
			})
		},
		"a decision is said, not done": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "/jit/deny/") {
					_, _ = io.Copy(io.Discard, r.Body)
					answer := httptest.NewRecorder()
					_ = json.NewEncoder(answer).Encode(map[string]any{"request_id": path.Base(r.URL.Path), "status": "denied"})
					reply(w, answer)
					return
				}
				next.ServeHTTP(w, r)
			})
		},
	}
}

// Decisions race with use, expiry, completion and recovery, and what everybody was told
// is what one order of it all explains. A server where the second decision wins is found.
func TestDecisionsRace(t *testing.T) {
	model := decisionsModel()
	t.Run("none", func(t *testing.T) {
		for round := range 40 {
			history := race(t, func(next http.Handler) http.Handler { return next }, round)
			if porcupine.CheckOperationsTimeout(model, history, time.Minute) != porcupine.Ok {
				t.Fatalf("no order explains %s", inOrder(history))
			}
		}
	})
	for name, bug := range wrongDecisions() {
		t.Run(name, func(t *testing.T) {
			for round := range 40 {
				if porcupine.CheckOperationsTimeout(model, race(t, bug, round), time.Minute) == porcupine.Illegal {
					return
				}
			}
			t.Error("the bug is not found")
		})
	}
}

func inOrder(history []porcupine.Operation) string {
	var b strings.Builder
	for _, op := range history {
		fmt.Fprintf(&b, "\n%s %v: %v [%d-%dus]", op.Input.(move).request, op.Input.(move).what, op.Output, op.Call/1000, op.Return/1000)
	}
	return b.String()
}

// race makes a few requests of one task and has many move them at once.
func race(t *testing.T, b bug, seed int) []porcupine.Operation {
	t.Helper()
	var later atomic.Int64
	auth := must(lumodev.New(lumodev.Config{
		BaseURL: "http://127.0.0.1:1", Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) },
		CAEP: lumodev.CAEPPolicy{BurstRequests: -1},
	}))(t)
	server := httptest.NewServer(b(auth))
	defer func() {
		server.Close()
		_ = auth.Close()
	}()
	cfg := auth.Config()
	client := func(id string, password secret.String) *lumoauth.Client {
		return must(lumoauth.New(lumoauth.Config{URL: server.URL, Org: cfg.Org, ClientID: id, ClientSecret: password}))(t)
	}
	agent := client(cfg.Agents[0].ClientID, cfg.Agents[0].ClientSecret)
	api := client(cfg.ResourceServers[0].ClientID, cfg.ResourceServers[0].ClientSecret)
	reviewer := lumoauth.Reviewer{Client: agent, Token: auth.Reviewer}
	ctx := t.Context()
	task := must(agent.CreateTask(ctx, jit.TaskSpec{Name: "race"}))(t)
	var requests []string
	for n := range 3 {
		d, err := agent.Request(ctx, jit.Request{TaskID: task.ID, Detail: rar.Detail{Type: "file_access", Actions: []string{"delete"}, Identifier: fmt.Sprint("doc_", n)}})
		if err != nil || d.Status != jit.StatusPending {
			t.Fatalf("%+v, %v", d, err)
		}
		requests = append(requests, d.RequestID)
	}
	h := newHistory()
	var tokens sync.Map
	do := func(m move) {
		call := h.now()
		out, err := moved(ctx, m, agent, api, reviewer, &tokens)
		switch {
		case errors.Is(err, errNothing):
			return
		case err != nil:
			t.Errorf("%s: %v", m.what, err)
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ops = append(h.ops, porcupine.Operation{Input: m, Output: out, Call: call, Return: h.now()})
	}
	all := func(what string, act func() error) { // something that happens to all requests
		call := h.now()
		if err := act(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, id := range requests {
			h.ops = append(h.ops, porcupine.Operation{Input: move{what, id}, Output: true, Call: call, Return: h.now()})
		}
	}
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(seed), uint64(n)))
			for range 8 {
				what := []string{"approve", "deny", "redeem", "redeem", "use", "look"}[random.IntN(6)]
				do(move{what, requests[random.IntN(len(requests))]})
			}
			switch end := func() error { return agent.CompleteTask(ctx, task.ID) }; {
			case n == 0 && seed%3 == 0:
				all("expire", func() error { later.Store(int64(20 * time.Minute)); return nil })
			case n <= 1 && seed%3 == 1: // its owner, and recovery
				all("complete", end)
			}
			for range 4 {
				what := []string{"approve", "redeem", "use", "look"}[random.IntN(4)]
				do(move{what, requests[random.IntN(len(requests))]})
			}
		})
	}
	group.Wait()
	return h.all()
}

var errNothing = errors.New("nothing was learned")

// moved makes one move, and returns what was said.
func moved(ctx context.Context, m move, agent, api *lumoauth.Client, reviewer lumoauth.Reviewer, tokens *sync.Map) (any, error) {
	var err error
	switch m.what {
	case "approve":
		err = reviewer.Decide(ctx, m.request, approval.Decision{Approve: true})
	case "deny":
		err = reviewer.Decide(ctx, m.request, approval.Decision{})
	case "redeem":
		var issued jit.Issued
		if issued, err = agent.Token(ctx, m.request); err == nil {
			tokens.Store(m.request, issued.Token)
		}
	case "use":
		token, known := tokens.Load(m.request)
		if !known {
			return nil, errNothing
		}
		seen, err := api.Introspect(ctx, token.(secret.String))
		return seen.Active, err
	case "look":
		d, err := agent.Status(ctx, m.request)
		if refused(err) {
			return nil, errNothing // its task is over
		}
		return d.Status, err
	}
	if refused(err) {
		return false, nil
	}
	return err == nil, err
}

// refused reports whether the server said no, and is not out of order.
func refused(err error) bool {
	e, ok := errors.AsType[*lumoauth.Error](err)
	return ok && e.StatusCode >= 400 && e.StatusCode < 500 || errors.Is(err, approval.ErrDecided)
}
