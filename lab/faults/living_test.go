package faults

import (
	"fmt"
	"testing"
	"time"
)

// livingTitle marks the reports of runs that must not be touched.
const livingTitle = "Living"

// A living is a run that waits for a person while others die around it: it holds a
// grant, has a request pending, and its task is nobody else's business.
type living struct {
	*world
	s     setup
	a     *analyst
	title string
	name  string
	row   *row
}

// startLiving starts a run and waits until it waits.
func startLiving(t *testing.T, w *world, s setup, r *row, n int) *living {
	l := &living{world: w, s: s, row: r, title: fmt.Sprintf("%s %d", livingTitle, n)}
	prompt := fmt.Sprintf("Create a report titled '%s' about documents doc_9982 and doc_7310", l.title)
	l.name = taskName(prompt)
	l.a = s.start(t, "", "run", "--wait", "4m", prompt)
	if !w.within(20*time.Second, func() bool {
		task := l.task()
		return len(task.pending) > 0 && len(task.tokens) > 0
	}) {
		_ = l.a.Process.Kill()
		l.a.wait()
		t.Fatalf("the run did not come to wait for a person: %s", l.a.said())
	}
	return l
}

// task is the task as the authorization server was told of it.
func (l *living) task() seenTask {
	if tasks := l.history.named(l.name); len(tasks) == 1 {
		return tasks[0]
	}
	return seenTask{}
}

// letGo says yes to what the run waits for: its task may end from now on.
func (l *living) letGo(task seenTask) error {
	l.history.note(released, l.history.now(), task.id)
	return l.approve(task.pending)
}

// finish checks that nobody ended the task or took its grants, and that the run goes on
// when somebody says yes.
func (l *living) finish(t *testing.T) {
	task := l.task()
	if active := l.active(t, task); task.completed > 0 || active != len(task.tokens) {
		l.row.wrong(t, &l.row.Foreign, "%s: its process lives; its task was completed %d times, and %d of its %d grants are active",
			l.title, task.completed, active, len(task.tokens))
	}
	if err := l.letGo(task); err != nil {
		l.row.wrong(t, &l.row.Foreign, "%s: what it waits for cannot be approved any more: %v", l.title, err)
		return
	}
	code, killed := l.a.wait()
	if made := l.s.made(t, l.title); code != exitDone || killed || made != 1 {
		l.row.wrong(t, &l.row.Foreign, "%s: it should have gone on: exit %d, %d reports: %s", l.title, code, made, l.a.said())
	}
	if active := l.active(t, l.task()); active > 0 {
		l.row.wrong(t, &l.row.Orphans, "%s: it has ended, and %d grants are active", l.title, active)
	}
}
