package sqlite

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/state/journal"
)

// headTitle begins the head file.
const headTitle = "jitagent journal head v1 "

// A headFile names the last entry that is known to be on disk, outside the
// database. SQLite takes a WAL whose end is damaged for a shorter one, and says
// nothing: only a record elsewhere shows that acknowledged entries are gone.
//
// It is written after the commit and not synced: after a power cut it may name an
// older entry, never one that is not there. Its lock is held by whoever writes to the
// journal, so each writer names an entry after the one that it finds.
type headFile struct {
	f    *os.File
	keys journal.Keys
}

// line is the content of the file, always of the same length, so that it is
// replaced by one write.
func (h *headFile) line(head journal.Head) []byte {
	text := fmt.Appendf(nil, "%s%019d:%x ", headTitle, head.Seq, head.Hash[:])
	sum := h.keys.Sign(text)
	return fmt.Appendf(text, "%x\n", sum[:])
}

// current returns what the file says.
func (h *headFile) current(ctx context.Context) (head journal.Head, err error) {
	if err := disk.Lock(ctx, h.f, sqldb.Patience); err != nil {
		return journal.Head{}, fmt.Errorf("journal: %w", err)
	}
	defer func() { err = errors.Join(err, disk.Unlock(h.f)) }()
	want := len(h.line(journal.Head{}))
	buf := make([]byte, want+1)
	n, _ := h.f.ReadAt(buf, 0)
	var hash []byte
	// Whatever is read from it, only the line that would be written for that counts.
	_, err = fmt.Sscanf(string(buf[:n]), headTitle+"%d:%x", &head.Seq, &hash)
	copy(head.Hash[:], hash)
	if err != nil || !hmac.Equal(buf[:n], h.line(head)) {
		return journal.Head{}, damaged(h.f.Name(), "it was not written by a journal with this key")
	}
	return head, nil
}

// set has the file name head. The caller holds its lock.
func (h *headFile) set(head journal.Head) error {
	_, err := h.f.WriteAt(h.line(head), 0)
	return failure(h.f.Name(), err, true)
}

// openHead opens the head file, and makes that of a journal without entries if create
// is set; else it returns nil if there is none.
func openHead(dir string, k journal.Keys, create bool) (*headFile, error) {
	path, flag := filepath.Join(dir, headFileName), os.O_RDONLY
	if create {
		flag = os.O_RDWR
	}
	f, err := disk.Open(path, flag)
	if errors.Is(err, fs.ErrNotExist) {
		if !create {
			return nil, nil
		}
		if err = disk.Replace(path, (&headFile{keys: k}).line(journal.Head{}), 0o600); err == nil {
			f, err = disk.Open(path, flag)
		}
	}
	if err != nil {
		return nil, failure(path, err, true)
	}
	return &headFile{f: f, keys: k}, nil
}

// knownHead returns what the head file says, and whether there is one.
func knownHead(ctx context.Context, dir string, k journal.Keys) (journal.Head, bool, error) {
	h, err := openHead(dir, k, false)
	if h == nil || err != nil {
		return journal.Head{}, false, err
	}
	head, err := h.current(ctx)
	return head, true, errors.Join(err, h.f.Close())
}
