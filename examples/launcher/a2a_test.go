package main

import (
	"errors"
	"iter"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/a2aproject/a2a-go/v2/a2a"
	"github.com/a2aproject/a2a-go/v2/a2aclient"
	"github.com/a2aproject/a2a-go/v2/a2aclient/agentcard"
)

// as is a client's http.RoundTripper, with the token of a user.
type as string

func (token as) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(token))
	return http.DefaultTransport.RoundTrip(r)
}

// client returns the official client, as a user has it.
func (s *served) client(user string) *a2aclient.Client {
	s.Helper()
	card, err := agentcard.DefaultResolver.Resolve(s.Context(), s.url)
	if err != nil {
		s.Fatal(err)
	}
	client, err := a2aclient.NewFromCard(s.Context(), card, a2aclient.WithJSONRPCTransport(&http.Client{Transport: as(user)}))
	if err != nil {
		s.Fatal(err)
	}
	return client
}

func says(text string) *a2a.SendMessageRequest {
	return &a2a.SendMessageRequest{Message: a2a.NewMessage(a2a.MessageRoleUser, a2a.NewTextPart(text))}
}

func to(id a2a.TaskID, text string) *a2a.SendMessageRequest {
	req := says(text)
	req.Message.TaskID = id
	return req
}

// An agent of somebody else's, by the official client: it asks, is told what waits and
// where, and follows the task to its report, while another user learns nothing of it.
func TestA2A(t *testing.T) {
	s := start(t, true)
	ada, ben := s.client("ada"), s.client("ben")
	sent, err := ada.SendMessage(t.Context(), says("Fetch doc_7310 and create a summary report"))
	if err != nil {
		t.Fatal(err)
	}
	task := sent.(*a2a.Task)
	if task.Status.State.Terminal() || task.Status.State == a2a.TaskStateWorking {
		t.Fatalf("%+v", task.Status)
	}
	next, stop := iter.Pull2(ada.SubscribeToTask(t.Context(), &a2a.SubscribeToTaskRequest{ID: task.ID}))
	defer stop()
	if first, err, _ := next(); err != nil || first.(*a2a.Task).Status.State != task.Status.State {
		t.Fatalf("%+v, %v", first, err)
	}
	s.apart(ben, task.ID)
	s.approves(task.Status.Message.Parts[0].Text())
	var state a2a.TaskState
	for {
		ev, err, more := next()
		if !more {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if change, ok := ev.(*a2a.TaskStatusUpdateEvent); ok {
			state = change.Status.State
		}
	}
	if state != a2a.TaskStateCompleted {
		t.Errorf("the task ends as %s", state)
	}
	done, err := ada.GetTask(t.Context(), &a2a.GetTaskRequest{ID: task.ID})
	if err != nil || len(done.Artifacts) != 1 || !strings.Contains(done.Artifacts[0].Parts[0].Text(), "was created (") {
		t.Errorf("%+v, %v", done, err)
	}
	s.written(1)
	s.hears("[ada: the task is over: 2 of 2 tokens revoked]")
	s.apart(ben, task.ID)
}

// apart fails the test where another user learns of a task, or does something to it: by
// each method that has the client something to do with a task.
func (s *served) apart(other *a2aclient.Client, id a2a.TaskID) {
	s.Helper()
	last := func(events iter.Seq2[a2a.Event, error]) (err error) {
		for _, err = range events { //nolint:revive // the last error
		}
		return err
	}
	ctx := s.Context()
	methods := map[string]func() error{
		"GetTask":              func() error { _, err := other.GetTask(ctx, &a2a.GetTaskRequest{ID: id}); return err },
		"CancelTask":           func() error { _, err := other.CancelTask(ctx, &a2a.CancelTaskRequest{ID: id}); return err },
		"SendMessage":          func() error { _, err := other.SendMessage(ctx, to(id, "more")); return err },
		"SendStreamingMessage": func() error { return last(other.SendStreamingMessage(ctx, to(id, "more"))) },
		"SubscribeToTask":      func() error { return last(other.SubscribeToTask(ctx, &a2a.SubscribeToTaskRequest{ID: id})) },
		"ListTasks": func() error {
			if list, err := other.ListTasks(ctx, &a2a.ListTasksRequest{}); err != nil || list.TotalSize != 0 {
				s.Errorf("another user's tasks: %+v, %v", list, err)
			}
			return a2a.ErrTaskNotFound
		},
	}
	for i := range reflect.TypeFor[*a2aclient.Client]().NumMethod() {
		name := reflect.TypeFor[*a2aclient.Client]().Method(i).Name
		if strings.Contains(name, "Task") && !strings.Contains(name, "Push") || strings.HasPrefix(name, "Send") {
			if methods[name] == nil {
				s.Errorf("nobody tries %s", name)
			} else if err := methods[name](); !errors.Is(err, a2a.ErrTaskNotFound) {
				s.Errorf("%s of another user's task: %v", name, err)
			}
		}
	}
}
