package lumoauth

import (
	"bytes"
	"context"
	"errors"
	"math"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/oauth"
)

const (
	opCreateTask   = "create task"
	opCompleteTask = "complete task"
)

// CreateTask opens a task. It is sent again only when the server certainly did
// not act: the API has no idempotency key, so a repeat could open a second task
// that nobody completes.
func (c *Client) CreateTask(ctx context.Context, spec jit.TaskSpec) (jit.TaskInfo, error) {
	body, err := json.Marshal(struct {
		Name       string `json:"name,omitzero"`
		Type       string `json:"type,omitzero"`
		Parent     string `json:"parent_task_id,omitzero"`
		OnBehalfOf string `json:"on_behalf_of,omitzero"`
	}{spec.Name, spec.Type, spec.Parent, spec.OnBehalfOf})
	if err != nil {
		return jit.TaskInfo{}, invalidArgument(opCreateTask, "task", errors.New("not valid UTF-8"))
	}
	r := call{op: opCreateTask, method: http.MethodPost, path: path("jit", "task"), json: body, repeat: repeatNever}
	return ask(ctx, r, c.asAgent, func(a answer) (jit.TaskInfo, error) {
		o, err := oauth.Decode(a.body)
		if err == nil {
			err = checkID("task_id", o.Text("task_id"))
		}
		return jit.TaskInfo{ID: o.Text("task_id"), ExpiresAt: o.Time("expires_at")}, err
	})
}

// aboutTask reads an answer that may name the task, and then none but this one.
func aboutTask(a answer, taskID string) (oauth.Object, error) {
	o, err := oauth.Decode(a.body)
	if id := o.Text("task_id"); err == nil && id != "" && id != taskID {
		err = errors.New("task_id is of another task")
	}
	return o, err
}

// CompleteTask ends a task, which revokes every token under it. A 2xx is a
// success, unless its body is not the API's, and so is the API's 404: the task is
// gone. Since authority stays out until this
// has worked, it is repeated until ctx ends (five minutes, if ctx has no
// deadline), on every fault that may pass, with waits of at most
// [Config.MaxWait] also where the server asks for more. It logs in anew when the
// agent's token has expired in the meantime.
func (c *Client) CompleteTask(ctx context.Context, taskID string) error {
	_, err := ask(ctx, call{
		op: opCompleteTask, invalid: checkID("task id", taskID), method: http.MethodPost, path: path("jit", "task", taskID, "complete"), repeat: repeatAlways,
	}, c.asAgent, func(a answer) (oauth.Object, error) {
		if len(bytes.TrimSpace(a.body)) == 0 {
			return oauth.Object{}, nil
		}
		return aboutTask(a, taskID) // a page of something in between is no word of the server's
	})
	// A 404 of the login before it would say nothing about the task.
	if e, ok := errors.AsType[*Error](err); ok && e.Op == opCompleteTask && e.StatusCode == http.StatusNotFound && e.ofAPI() {
		return nil
	}
	return err
}

// An Evaluation is the outcome of a CAEP check of a task.
type Evaluation struct {
	TaskID string
	Active bool   // false also when the server does not say
	Action string // what the server did, such as "suspended"; may be empty
	Events []EvaluationEvent
}

// An EvaluationEvent is one finding of a check.
type EvaluationEvent struct {
	Type      string
	RiskScore float64   // 0 when not said
	Denials   int       // likewise
	Time      time.Time // likewise
}

// Evaluate asks the server to check a task's behaviour now (CAEP). A suspicious
// task is suspended and its tokens are revoked. It sends no body: the outcome that
// LumoAuth's SDKs send with this call is not part of the API, and a task is ended
// with [Client.CompleteTask]. Not repeated once the server may have acted.
func (c *Client) Evaluate(ctx context.Context, taskID string) (Evaluation, error) {
	return ask(ctx, call{
		op: "evaluate task", invalid: checkID("task id", taskID), method: http.MethodPost, path: path("jit", "task", taskID, "evaluate"), repeat: repeatNever,
	}, c.asAgent, func(a answer) (Evaluation, error) { return evaluation(a, taskID) })
}

func evaluation(a answer, taskID string) (Evaluation, error) {
	o, err := aboutTask(a, taskID)
	e := Evaluation{TaskID: taskID, Active: o.Flag("active"), Action: a.clean(o.Text("action"), maxLabel)}
	events, _ := oauth.Objects(o["events"]) // free-form: none is no fault
	for _, ev := range events {
		// Figures for people to read: one that is no number reads as none.
		score, _, _ := ev.Object("details").Number("risk_score")
		denials, _, _ := ev.Object("details").Number("denial_count")
		e.Events = append(e.Events, EvaluationEvent{
			Type:      a.clean(ev.Text("type"), maxLabel),
			RiskScore: score,
			Denials:   int(min(max(denials, 0), math.MaxInt32)),
			Time:      ev.Time("timestamp"),
		})
	}
	return e, err
}
