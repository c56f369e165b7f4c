package fake

import (
	"context"
	"slices"
	"sync"

	"github.com/jitagent/jitagent/jit"
)

// A Journal keeps entries in memory, those of suspended tasks by the rules of
// [jit.Rereader]. Several engines may share one, as processes share a database. The
// zero Journal is ready for use, and safe for concurrent use.
type Journal struct {
	// Refuse, if not nil, may refuse an entry that Append is given.
	Refuse func(jit.Entry) error

	mu      sync.Mutex
	entries []jit.Entry
}

var _ jit.Rereader = (*Journal)(nil)

// Append implements [jit.Journal].
func (j *Journal) Append(_ context.Context, entries ...jit.Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range entries {
		if j.Refuse != nil {
			if err := j.Refuse(e); err != nil {
				return err
			}
		}
		if e.Kind != jit.EntryTaskResumed {
			continue
		}
		for _, was := range slices.Backward(j.of(e.Run)) {
			switch was.Kind {
			case jit.EntryTaskCompleted:
				return jit.ErrTaskEnded
			case jit.EntryTaskResumed:
				return jit.ErrClaimed
			}
			if was.Kind == jit.EntryTaskSuspended {
				break
			}
		}
	}
	j.entries = append(j.entries, entries...)
	return nil
}

// Note implements [jit.Journal].
func (j *Journal) Note(e jit.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, e)
}

// Entries implements [jit.Rereader].
func (j *Journal) Entries(_ context.Context, run string) ([]jit.Entry, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.of(run), nil
}

// Runs implements [jit.Rereader].
func (j *Journal) Runs(_ context.Context, session string) (runs []string, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.entries {
		if e.Kind == jit.EntryTaskOpening && e.Session == session && e.Parent == "" {
			runs = append(runs, e.Run)
		}
	}
	return runs, nil
}

// Below implements [jit.Rereader].
func (j *Journal) Below(_ context.Context, run string) (runs []string, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.entries {
		if e.Kind == jit.EntryTaskOpening && e.Parent == run {
			runs = append(runs, e.Run)
		}
	}
	return runs, nil
}

func (j *Journal) of(run string) (entries []jit.Entry) {
	for _, e := range j.entries {
		if e.Run == run {
			entries = append(entries, e)
		}
	}
	return entries
}
