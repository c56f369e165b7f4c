package main

import (
	"context"
	"fmt"
	"time"
)

// livingTitle marks the reports of runs that must not be touched.
const livingTitle = "Living"

// A living is a run that waits for a person while others die around it: it holds a
// grant, has a request pending, and its task is nobody else's business.
type living struct {
	w     *world
	s     setup
	a     *analyst
	title string
	name  string
	row   *row
}

// startLiving starts a run and waits until it waits.
func startLiving(ctx context.Context, w *world, s setup, r *row, n int) (*living, error) {
	l := &living{w: w, s: s, row: r, title: fmt.Sprintf("%s %d", livingTitle, n)}
	prompt := fmt.Sprintf("Create a report titled '%s' about documents doc_9982 and doc_7310", l.title)
	l.name = taskName(prompt)
	var err error
	if l.a, err = s.start(ctx, "", "run", "--wait", "4m", prompt); err != nil {
		return nil, err
	}
	err = within(ctx, 20*time.Second, "a run to wait for a person", func() bool {
		t := l.task()
		return len(t.pending) > 0 && len(t.tokens) > 0
	})
	if err != nil {
		l.a.kill()
		l.a.wait()
		return nil, fmt.Errorf("%w: %s", err, l.a.said())
	}
	return l, nil
}

// task is the task as the authorization server was told of it.
func (l *living) task() seenTask {
	if tasks := l.w.history.named(l.name); len(tasks) == 1 {
		return tasks[0]
	}
	return seenTask{}
}

// untouched checks that nobody ended the task or took its grants.
func (l *living) untouched(ctx context.Context) error {
	t := l.task()
	active, err := l.w.active(ctx, t)
	if err != nil {
		return err
	}
	if t.completed > 0 || active != len(t.tokens) {
		l.row.wrong(&l.row.Foreign, "%s: its process lives; its task was completed %d times, and %d of its %d grants are active",
			l.title, t.completed, active, len(t.tokens))
	}
	return nil
}

// finish lets the run go on, and checks that it can.
func (l *living) finish(ctx context.Context) error {
	if err := l.untouched(ctx); err != nil {
		return err
	}
	t := l.task()
	l.w.history.note(released, l.w.history.now(), t.id)
	if err := l.w.approve(ctx, t.pending); err != nil {
		l.row.wrong(&l.row.Foreign, "%s: what it waits for cannot be approved any more: %v", l.title, err)
		l.abandon()
		return nil
	}
	code, killed := l.a.wait()
	made, err := reports(l.w.path("reports"), l.title)
	if err != nil {
		return err
	}
	if code != 0 || killed || made != 1 {
		l.row.wrong(&l.row.Foreign, "%s: it should have gone on: exit %d, %d reports: %s", l.title, code, made, l.a.said())
	}
	active, err := l.w.active(ctx, l.task())
	if err == nil && active > 0 {
		l.row.wrong(&l.row.Orphans, "%s: it has ended, and %d grants are active", l.title, active)
	}
	return err
}

// abandon ends the run when there is no more to learn from it.
func (l *living) abandon() {
	l.a.kill()
	l.a.wait()
}
