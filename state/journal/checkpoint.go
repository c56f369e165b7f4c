package journal

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// A Checkpoint says where a journal ended at a moment. Signed and kept elsewhere, it
// shows later that what was before is still the same, also to somebody who does not
// trust whoever has the journal's key.
type Checkpoint struct {
	Time  time.Time
	Heads []Head // as in [Report]
}

// checkpointTitle is the first line of a checkpoint, so that what the key signed for
// another purpose is none.
const checkpointTitle = "jitagent journal checkpoint v1"

// Sign returns the checkpoint as a signed note (golang.org/x/mod/sumdb/note): a title, the
// time (RFC 3339, to the second) and each head, a line each.
func (c Checkpoint) Sign(signer note.Signer) ([]byte, error) {
	if len(c.Heads) == 0 {
		return nil, errors.New("journal: there is no entry yet")
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n%s\n", checkpointTitle, c.Time.UTC().Format(time.RFC3339))
	for _, h := range c.Heads {
		fmt.Fprintln(&text, h)
	}
	return note.Sign(&note.Note{Text: text.String()}, signer)
}

// OpenCheckpoint reads a checkpoint that a key signed. What another signed beside it does
// not matter.
func OpenCheckpoint(signed []byte, key note.Verifier) (Checkpoint, error) {
	n, err := note.Open(signed, note.VerifierList(key))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("journal: no checkpoint that %s signed: %w", key.Name(), err)
	}
	lines := strings.Split(strings.TrimSuffix(n.Text, "\n"), "\n")
	if len(lines) < 3 || lines[0] != checkpointTitle {
		return Checkpoint{}, fmt.Errorf("journal: %s signed it, but it is no checkpoint", key.Name())
	}
	c := Checkpoint{Heads: make([]Head, len(lines)-2)}
	c.Time, err = time.Parse(time.RFC3339, lines[1])
	for i := range c.Heads {
		err = errors.Join(err, c.Heads[i].UnmarshalText([]byte(lines[i+2])))
	}
	return c, err
}

// Held reports whether a check that was given the checkpoint's heads, and found the
// journal whole, shows that the journal extends it. It does not where what the checkpoint
// names was removed on purpose since.
func (c Checkpoint) Held(found Report) bool {
	for _, h := range c.Heads {
		if h.Seq <= found.Pruned.Seq && h != found.Pruned {
			return false
		}
	}
	return true
}
