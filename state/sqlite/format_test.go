package sqlite_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/journal/journaltest"
	"github.com/jitagent/jitagent/state/recovery"
	"github.com/jitagent/jitagent/state/sqlite"
)

// unpack makes a state directory of an archive in testdata.
func unpack(t *testing.T, name string) (dir string) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dir = stateDir(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for files := tar.NewReader(unzipped); ; {
		h, err := files.Next()
		if err == io.EOF {
			return dir
		}
		var data []byte
		if err == nil {
			data, err = io.ReadAll(files)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(h.Name)), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A journal of the first version, whose process was killed, is read, checked and
// recovered by this one. The archive is never made anew: it is what people have.
func TestJournalOfTheFirstVersion(t *testing.T) {
	dir := unpack(t, "journal-v1.tar.gz")
	kept, err := journal.ParseHead("23:035544814d2039843199bec3151c0dcc9cd390fe9abe0807cd42050d899b7936")
	if err != nil {
		t.Fatal(err)
	}
	j := open(t, sqlite.Options{Dir: dir})
	report, err := j.Verify(t.Context(), kept)
	if err != nil || report.Entries != 23 || report.Tasks != 2 || report.Last != kept {
		t.Fatalf("Verify() = %+v, %v", report, err)
	}
	var kinds []jit.EntryKind
	for _, r := range journaltest.All(t, j, journal.Filter{}) {
		if !slices.Contains(kinds, r.Kind) {
			kinds = append(kinds, r.Kind)
		}
	}
	for _, kind := range []jit.EntryKind{jit.EntryTaskOpening, jit.EntryTaskOpened, jit.EntryCall, jit.EntryRefused, jit.EntryRequest,
		jit.EntryDecision, jit.EntryGrant, jit.EntryUse, jit.EntryCallEnded, jit.EntryTaskCompleting, jit.EntryTaskCompleted} {
		if !slices.Contains(kinds, kind) {
			t.Errorf("no entry of kind %s was read", kind)
		}
	}
	got, err := recovery.Pass(t.Context(), recovery.Config{Journal: j})
	if err != nil || got.Done() != 1 || got.Left() != 0 {
		t.Errorf("Pass() = %+v, %v, want one task recovered", got, err)
	}
	if report, err := j.Verify(t.Context(), kept); err != nil || report.Entries != 24 {
		t.Errorf("Verify() after the recovery = %+v, %v, want one entry more", report, err)
	}
}

// completer says yes to everything.
type completer struct{ tasks []string }

func (c *completer) CompleteTask(_ context.Context, id string) error {
	c.tasks = append(c.tasks, id)
	return nil
}

// One with open tasks, of a pending request, an effect in doubt and an embedded server,
// is carried forward with them, and its entries stay as they were. The archive is of
// the last version before entries had an epoch.
func TestOpenTasksOfTheFirstVersionAreCarriedForward(t *testing.T) {
	dir := unpack(t, "journal-v1-open.tar.gz")
	kept, err := journal.ParseHead("60:706891a4fe35ef5d0a73993c26b4e22ac0902f03659707a40a3ac96d839c297e")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, ReadOnly: true}); !errors.Is(err, journal.ErrOlder) {
		t.Errorf("Open(for reading) = %v, want ErrOlder", err)
	}
	j := open(t, sqlite.Options{Dir: dir})
	tasks, err := j.Tasks(t.Context(), journal.TaskFilter{Unfinished: true})
	if err != nil || len(tasks) != 3 || len(journaltest.All(t, j, journal.Filter{})) != 60 {
		t.Fatalf("%d open tasks, %v, of %d entries", len(tasks), err, len(journaltest.All(t, j, journal.Filter{})))
	}
	if report, err := j.Verify(t.Context(), kept); err != nil || report.Tasks != 5 || report.Last != kept {
		t.Errorf("Verify() = %+v, %v", report, err)
	}
	server := &completer{}
	got, err := recovery.Sweep(t.Context(), recovery.Config{Journal: j, Authority: tasks[0].Authority, Completer: server})
	if err != nil || got.Completed != 2 || got.Done() != 3 || got.Left() != 0 {
		t.Errorf("Sweep() = %+v, %v, want two completed and the embedded one done", got, err)
	}
	if want := []string{"task_53YMDVUUAMNFGLKAJZFL", "task_XV56YI2PAJDCTU2ZJU6N"}; !slices.Equal(slices.Sorted(slices.Values(server.tasks)), want) {
		t.Errorf("completed at the server: %v, want %v", server.tasks, want)
	}
	journaltest.Add(t, j, jit.Entry{Kind: jit.EntryTaskOpening, Run: "next", Epoch: 3})
	if report, err := j.Verify(t.Context(), kept); err != nil || report.Tasks != 6 {
		t.Errorf("Verify() afterwards = %+v, %v", report, err)
	}
}
