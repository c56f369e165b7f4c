package journal

import (
	"fmt"

	"github.com/jitagent/jitagent/secret"
)

// A Report is what a check found in a chain that fits.
type Report struct {
	Entries int64   // how many there are
	Tasks   int     // how many they are about
	Pruned  Head    // the last entry that was pruned; zero when none was
	Last    Head    // the last entry
	Losses  []int64 // the entries that say that others were found gone
}

// A Chain checks a journal from its first entry to its last. It takes memory for each
// task, not for each entry. Make one with [NewChain].
type Chain struct {
	key    secret.String
	report Report
	tasks  map[string]Task
	known  map[int64][][32]byte
	pruned *Head // as the last entry about it says
}

// NewChain begins a check, of a journal of which everything up to pruned was removed;
// zero for nothing. known are heads that were kept elsewhere: the chain must go
// through them, unless it was pruned beyond.
func NewChain(key secret.String, pruned Head, known ...Head) *Chain {
	c := &Chain{key: key, report: Report{Pruned: pruned, Last: pruned}, tasks: map[string]Task{}, known: map[int64][][32]byte{}}
	for _, h := range known {
		c.known[h.Seq] = append(c.known[h.Seq], h.Hash)
	}
	return c
}

// Add checks the next entry: its number, text and hash. It fails with an
// [*EntryError].
func (c *Chain) Add(seq int64, text, hash []byte) (Record, error) {
	if next := c.report.Last.Seq + 1; seq != next {
		return Record{}, &EntryError{next, fmt.Sprintf("it is missing; the next one is %d", seq)}
	}
	r, err := Decode(text)
	switch {
	case err != nil:
		return Record{}, &EntryError{seq, "its data cannot be read: " + err.Error()}
	case r.Seq != seq:
		return Record{}, &EntryError{seq, "its data names another number"}
	}
	r.Hash = link(c.key, c.report.Last.Hash, text)
	if string(r.Hash[:]) != string(hash) {
		return Record{}, &EntryError{seq, "its hash is another: it or the hash was changed"}
	}
	for _, known := range c.known[seq] {
		if known != r.Hash {
			return Record{}, elsewhere(seq)
		}
	}
	c.report.Last = r.Head()
	c.report.Entries++
	switch r.Kind {
	case EntryPruned:
		c.pruned = r.Ref
	case EntryLoss:
		c.report.Losses = append(c.report.Losses, seq)
	}
	if r.Run != "" {
		c.tasks[r.Run] = c.tasks[r.Run].After(r)
	}
	return r, nil
}

// End checks that nothing is missing before the first entry or after the last, and
// returns the tasks as their entries make them, by run.
func (c *Chain) End() (Report, map[string]Task, error) {
	anchor, last := c.report.Pruned, c.report.Last.Seq
	if anchor.Seq > 0 && (c.pruned == nil || *c.pruned != anchor) || anchor.Seq == 0 && (c.pruned != nil || anchor != Head{}) {
		return Report{}, nil, &EntryError{anchor.Seq + 1, "what was before it is gone, and no entry says that it was pruned"}
	}
	for seq, hashes := range c.known {
		if seq > last {
			return Report{}, nil, &EntryError{last + 1, fmt.Sprintf("it is missing, and so are all up to %d at least", seq)}
		}
		for _, hash := range hashes {
			if seq == anchor.Seq && hash != anchor.Hash {
				return Report{}, nil, elsewhere(seq)
			}
		}
	}
	c.report.Tasks = len(c.tasks)
	return c.report, c.tasks, nil
}

func elsewhere(seq int64) error {
	return &EntryError{seq, "it is not the one that was recorded elsewhere"}
}
