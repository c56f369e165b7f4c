package telemetry

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/jitagent/jitagent/jit"
)

// instruments are the metrics of tasks, and of models.
type instruments struct {
	calls, requests, revocations, suspensions metric.Int64Counter
	tokens                                    metric.Int64Histogram
	duration                                  metric.Float64Histogram
	meter                                     metric.Meter

	mu     sync.Mutex
	grants map[string][]time.Time // when those of a task expire, by its run
}

func (i *instruments) make(m metric.Meter) error {
	i.meter, i.grants = m, map[string][]time.Time{}
	var errs [7]error
	i.calls, errs[0] = m.Int64Counter("jit.calls", metric.WithUnit("{call}"), metric.WithDescription("Tool calls that ended, by what came of them."))
	i.requests, errs[1] = m.Int64Counter("jit.requests", metric.WithUnit("{request}"),
		metric.WithDescription("Answers to requests for authority. One that waits is counted as pending, and again when it is decided."))
	i.revocations, errs[2] = m.Int64Counter("jit.revocations", metric.WithUnit("{token}"), metric.WithDescription("Tokens that were revoked while they were alive."))
	i.suspensions, errs[3] = m.Int64Counter("jit.suspensions", metric.WithUnit("{task}"), metric.WithDescription("Tasks that were suspended, and that were resumed."))
	i.tokens, errs[4] = m.Int64Histogram("gen_ai.client.token.usage", metric.WithUnit("{token}"), metric.WithDescription("Tokens that a model's provider counted."),
		metric.WithExplicitBucketBoundaries(1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864))
	i.duration, errs[5] = m.Float64Histogram("gen_ai.client.operation.duration", metric.WithUnit("s"), metric.WithDescription("Time that a model took."),
		metric.WithExplicitBucketBoundaries(.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92))
	errs[6] = i.gauge("jit.grants.live", "{grant}", "Tokens that this process holds and that have not expired.", func(context.Context) (int64, error) { return i.live(), nil })
	return errors.Join(errs[:]...)
}

// gauge adds a metric whose value is asked for when it is looked at. It has none where that
// fails: that would be taken for a failure of who looks.
func (i *instruments) gauge(name, unit, what string, value func(context.Context) (int64, error)) error {
	_, err := i.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(what),
		metric.WithInt64Callback(func(ctx context.Context, o metric.Int64Observer) error {
			if v, err := value(ctx); err == nil {
				o.Observe(v)
			}
			return nil
		}))
	return err
}

// Waiting adds the metric jit.runs.suspended: how many runs wait for a person, as count
// says, which is asked when the metrics are looked at; where it fails there is no value. It
// is called once, by whoever has the table of runs.
func (t *Telemetry) Waiting(count func(context.Context) (int64, error)) error {
	if t == nil {
		return nil
	}
	return t.counts.gauge("jit.runs.suspended", "{run}", "Runs that wait for a person.", count)
}

// see counts what a journal entry tells.
func (i *instruments) see(e jit.Entry) {
	ctx := context.Background()
	add := func(c metric.Int64Counter, n int, about ...attribute.KeyValue) {
		c.Add(ctx, int64(n), metric.WithAttributes(about...))
	}
	switch e.Kind {
	case jit.EntryCallEnded:
		add(i.calls, 1, attribute.String("jit.status", e.Result), attribute.String("gen_ai.tool.name", e.Tool))
	case jit.EntryDecision:
		add(i.requests, 1, attribute.String("jit.decision", e.Status.String()))
	case jit.EntryGrant:
		i.mu.Lock()
		defer i.mu.Unlock()
		i.grants[e.Run] = append(i.grants[e.Run], e.ExpiresAt)
	case jit.EntryTaskSuspended, jit.EntryTaskResumed:
		add(i.suspensions, 1, attribute.String("jit.status", strings.TrimPrefix(string(e.Kind), "task_")))
		i.settle(e)
	case jit.EntryTaskCompleted:
		i.settle(e)
	}
}

// settle counts the tokens that a task gave back.
func (i *instruments) settle(e jit.Entry) {
	i.revocations.Add(context.Background(), int64(e.Revoked))
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.grants, e.Run)
}

// live counts the grants that have not expired, and forgets the others.
func (i *instruments) live() (n int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for run, ends := range i.grants {
		var left []time.Time
		for _, end := range ends {
			if end.IsZero() || time.Now().Before(end) {
				left = append(left, end)
			}
		}
		if n += int64(len(left)); len(left) == 0 {
			delete(i.grants, run)
		} else {
			i.grants[run] = left
		}
	}
	return n
}
