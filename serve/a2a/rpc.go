package a2a

import (
	"context"
	"iter"

	"github.com/a2aproject/a2a-go/v2/a2a"
	"github.com/a2aproject/a2a-go/v2/a2asrv"

	"github.com/jitagent/jitagent/serve"
)

// A rpc has the methods of the protocol.
type rpc struct{ h *Handler }

var _ a2asrv.RequestHandler = rpc{}

// called answers a method, for a user.
func called[T any](ctx context.Context, h *Handler, do func() (T, error)) (answer T, err error) {
	if _, ok := serve.User(ctx); !ok {
		return answer, a2a.ErrUnauthenticated
	}
	answer, err = do()
	return answer, h.told(ctx, err)
}

// told words the errors of a stream.
func (r rpc) told(ctx context.Context, events iter.Seq2[a2a.Event, error]) iter.Seq2[a2a.Event, error] {
	return func(yield func(a2a.Event, error) bool) {
		for ev, err := range events {
			if !yield(ev, r.h.told(ctx, err)) {
				return
			}
		}
	}
}

// GetTask implements [a2asrv.RequestHandler].
func (r rpc) GetTask(ctx context.Context, req *a2a.GetTaskRequest) (*a2a.Task, error) {
	return called(ctx, r.h, func() (*a2a.Task, error) {
		t, _, err := r.h.find(ctx, req.ID)
		if err != nil {
			return nil, err
		}
		return r.h.shown(ctx, t, req.HistoryLength)
	})
}

// ListTasks implements [a2asrv.RequestHandler].
func (r rpc) ListTasks(ctx context.Context, req *a2a.ListTasksRequest) (*a2a.ListTasksResponse, error) {
	return called(ctx, r.h, func() (*a2a.ListTasksResponse, error) { return r.h.list(ctx, req) })
}

// CancelTask implements [a2asrv.RequestHandler].
func (r rpc) CancelTask(ctx context.Context, req *a2a.CancelTaskRequest) (*a2a.Task, error) {
	return called(ctx, r.h, func() (*a2a.Task, error) {
		if err := r.h.cancel(ctx, req.ID); err != nil {
			return nil, err
		}
		t, _, err := r.h.find(ctx, req.ID)
		if err != nil {
			return nil, err
		}
		if t.Status.State != a2a.TaskStateCanceled {
			return nil, a2a.NewError(a2a.ErrTaskNotCancelable, "the task has ended")
		}
		return &t.Task, nil
	})
}

// SendMessage implements [a2asrv.RequestHandler].
func (r rpc) SendMessage(ctx context.Context, req *a2a.SendMessageRequest) (a2a.SendMessageResult, error) {
	return called(ctx, r.h, func() (a2a.SendMessageResult, error) {
		id, l, err := r.h.send(ctx, req)
		if err != nil {
			return nil, err
		}
		rest := func(state a2a.TaskState) bool {
			return req.Config != nil && req.Config.ReturnImmediately || resting(state) || state == a2a.TaskStateAuthRequired
		}
		for _, err := range r.h.follow(ctx, id, l, rest) {
			if err != nil {
				return nil, err
			}
		}
		t, _, err := r.h.find(ctx, id)
		if err != nil {
			return nil, err
		}
		var history *int
		if req.Config != nil {
			history = req.Config.HistoryLength
		}
		return r.h.shown(ctx, t, history)
	})
}

// SendStreamingMessage implements [a2asrv.RequestHandler].
func (r rpc) SendStreamingMessage(ctx context.Context, req *a2a.SendMessageRequest) iter.Seq2[a2a.Event, error] {
	return r.told(ctx, func(yield func(a2a.Event, error) bool) {
		id, l, err := r.h.send(ctx, req)
		if err != nil {
			yield(nil, err)
			return
		}
		r.h.follow(ctx, id, l, resting)(yield)
	})
}

// SubscribeToTask implements [a2asrv.RequestHandler].
func (r rpc) SubscribeToTask(ctx context.Context, req *a2a.SubscribeToTaskRequest) iter.Seq2[a2a.Event, error] {
	return r.told(ctx, func(yield func(a2a.Event, error) bool) {
		t, at, err := r.h.find(ctx, req.ID)
		if err == nil && t.Status.State.Terminal() {
			err = a2a.NewError(a2a.ErrUnsupportedOperation, "the task has ended")
		}
		if err != nil {
			yield(nil, err)
			return
		}
		r.h.follow(ctx, t.ID, r.h.at(at), a2a.TaskState.Terminal)(yield)
	})
}

// resting reports whether nothing more comes of what was said to a task.
func resting(state a2a.TaskState) bool {
	return state.Terminal() || state == a2a.TaskStateInputRequired
}

// GetExtendedAgentCard implements [a2asrv.RequestHandler].
func (r rpc) GetExtendedAgentCard(ctx context.Context, _ *a2a.GetExtendedAgentCardRequest) (*a2a.AgentCard, error) {
	return called(ctx, r.h, func() (*a2a.AgentCard, error) { return r.h.card(true), nil })
}

// GetTaskPushConfig implements [a2asrv.RequestHandler].
func (rpc) GetTaskPushConfig(context.Context, *a2a.GetTaskPushConfigRequest) (*a2a.PushConfig, error) {
	return nil, a2a.ErrPushNotificationNotSupported
}

// ListTaskPushConfigs implements [a2asrv.RequestHandler].
func (rpc) ListTaskPushConfigs(context.Context, *a2a.ListTaskPushConfigRequest) (*a2a.ListTaskPushConfigResponse, error) {
	return nil, a2a.ErrPushNotificationNotSupported
}

// CreateTaskPushConfig implements [a2asrv.RequestHandler].
func (rpc) CreateTaskPushConfig(context.Context, *a2a.PushConfig) (*a2a.PushConfig, error) {
	return nil, a2a.ErrPushNotificationNotSupported
}

// DeleteTaskPushConfig implements [a2asrv.RequestHandler].
func (rpc) DeleteTaskPushConfig(context.Context, *a2a.DeleteTaskPushConfigRequest) error {
	return a2a.ErrPushNotificationNotSupported
}
