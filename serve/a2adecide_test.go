package serve_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	wire "github.com/a2aproject/a2a-go/v2/a2a"
	"github.com/a2aproject/a2a-go/v2/a2aclient"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/serve"
	"github.com/jitagent/jitagent/state/approval"
)

// decisions returns what is decided of what a task asks, by its requests.
func decisions(t *testing.T, task *wire.Task, yes map[string]bool) func(*wire.SendMessageRequest) {
	t.Helper()
	var list []any
	for _, tool := range asked(t, task) {
		request, _, _ := strings.Cut(tool["id"].(string), ".")
		list = append(list, map[string]any{"id": tool["id"], "approved": yes[request]})
	}
	return deciding(task, list...)
}

func unhurried(cfg *serve.Config) { cfg.Limits.PerMinute = 1_000_000 }

// again sends a message until it is not one to be sent again.
func again(t *testing.T, c *a2aclient.Client, req *wire.SendMessageRequest) (*wire.Task, error) {
	t.Helper()
	for {
		got, err := c.SendMessage(t.Context(), req)
		if errors.Is(err, wire.ErrServerError) {
			continue
		}
		task, _ := got.(*wire.Task)
		return task, err
	}
}

// No decision of a message is made while another one of it is refused.
func TestA2ADecisionsAreCheckedFirst(t *testing.T) {
	a := (&app{behalf: "ben@example.com", config: unhurried}).startA2A(t)
	ben := a.client(t, "ben")
	waits := a.send(t, ben, said("read both doc_1 doc_2"))
	_, err := ben.SendMessage(t.Context(), said("no, yes", decisions(t, waits, map[string]bool{"jit_2": true})))
	if !errors.Is(err, wire.ErrUnauthorized) || !strings.Contains(err.Error(), "request jit_2: not decided: "+approval.ErrOwn.Error()) {
		t.Errorf("one's own request is approved: %v", err)
	}
	if pending, _, _ := a.Pending(t.Context()); len(pending) != 2 {
		t.Errorf("%d wait, want 2", len(pending))
	}
	if got, err := again(t, ben, said("no, no", decisions(t, waits, nil))); err != nil || got.Status.State != wire.TaskStateCompleted {
		t.Errorf("denied: %+v, %v", got, err)
	}
}

// Of decisions that are made in part it is said which count, and the same message may come
// again, also when all is over.
func TestA2ADecisionsAgain(t *testing.T) {
	for what, tt := range map[string]struct {
		refused error
		want    error
		text    string
	}{
		"the server fails":     {errors.New("a secret of the server's"), wire.ErrInternalError, "request jit_2: not decided: internal failure, see the log of the server; request jit_1: decided, and that counts"},
		"it is another one":    {approval.ErrOtherRequest, wire.ErrInvalidParams, "request jit_2: not decided: " + approval.ErrOtherRequest.Error()},
		"somebody was quicker": {approval.ErrDecided, wire.ErrServerError, "request jit_2: it was decided a moment ago"},
	} {
		t.Run(what, func(t *testing.T) {
			a := (&app{shared: true, config: unhurried}).startA2A(t)
			a.refuses = map[string]error{"jit_2": tt.refused}
			ben := a.client(t, "ben")
			waits := a.send(t, ben, said("read both doc_1 doc_2"))
			both := said("yes", decisions(t, waits, map[string]bool{"jit_1": true, "jit_2": true}))
			if _, err := ben.SendMessage(t.Context(), both); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%v", err)
			}
			a.mu.Lock()
			if a.decided["jit_1"] != jit.StatusApproved || a.decided["jit_2"] != jit.StatusPending {
				t.Errorf("%v", a.decided)
			}
			a.refuses = nil
			a.mu.Unlock()
			for range 2 {
				if got, err := again(t, ben, both); err != nil || got.Status.State != wire.TaskStateCompleted || answerOf(got) != "done" {
					t.Fatalf("again: %+v, %v", got, err)
				}
			}
			if _, err := ben.SendMessage(t.Context(), said("no", decisions(t, waits, nil))); !errors.Is(err, wire.ErrInvalidParams) || !strings.Contains(err.Error(), ": not decided: it was approved before") {
				t.Errorf("the other way: %v", err)
			}
			if a.authority.Opened() != 1 {
				t.Errorf("%d tasks were opened", a.authority.Opened())
			}
		})
	}
}

// A lender notes who finds a session taken.
type lender struct {
	runner.Runs
	busy chan bool
}

func (l *lender) Begin(ctx context.Context, app, user, session string) (context.Context, runner.Lease, error) {
	ctx, lease, err := l.Runs.Begin(ctx, app, user, session)
	if errors.Is(err, runner.ErrBusy) {
		l.busy <- true
	}
	return ctx, lease, err
}

// A decision counts, and is no error, also where another process goes on before this one does.
func TestA2ADecisionThatAWorkerIsQuickerWith(t *testing.T) {
	l := &lender{busy: make(chan bool)}
	a := (&app{lend: func(r runner.Runs) runner.Runs { l.Runs = r; return l }}).startA2A(t)
	ben := a.client(t, "ben")
	waits := a.send(t, ben, said("read doc_1"))
	a.deciding = func() {
		_, lease, err := l.Runs.Begin(context.Background(), name, "ben@example.com", waits.ContextID)
		if err != nil {
			t.Error(err)
			return
		}
		go func() {
			<-l.busy
			_ = lease.Ended(context.Background(), runner.Done)
		}()
	}
	got, err := ben.SendMessage(t.Context(), said("yes", decisions(t, waits, map[string]bool{"jit_1": true})))
	if err != nil || a.decided["jit_1"] != jit.StatusApproved {
		t.Errorf("%+v, %v", got, err)
	}
}
