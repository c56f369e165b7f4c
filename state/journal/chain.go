package journal

import (
	"cmp"
	"fmt"
	"hash"
	"maps"
	"slices"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/secret"
)

// A Report is what a check found in a journal that fits.
type Report struct {
	Entries int64   // how many there are
	Tasks   int     // how many they are about
	Pruned  Head    // the last entry that was pruned; zero when none was
	Last    Head    // the last entry
	Heads   []Head  // the last entry of each chain that no other chain names, in order
	Losses  []int64 // the entries that say that others were found gone
}

// A Chain checks a journal from its first entry to its last. All entries form one chain,
// or those of each owner one of their own; then an [EntryJoined] names the last entry of
// another. It takes memory for each task and chain, not for each entry. Make one with
// [NewChain].
type Chain struct {
	mac    hash.Hash
	at     func(seq int64) ([]byte, error)
	report Report
	tasks  map[string]Task
	ends   map[string]Head
	began  map[string]Head // where they began: what was pruned of each
	known  map[int64][][32]byte
	joined map[Head]int64 // by which entry
	pruned *Head          // as the last entry about it says
}

// NewChain begins a check. pruned has the last entry of each chain that was removed; ""
// is the name of the only one. known are heads that were kept elsewhere: the journal must
// go through them, unless it was pruned beyond. at returns the hash of an entry, nil if
// there is none; nil where there is one chain.
func NewChain(key secret.String, pruned map[string]Head, at func(seq int64) ([]byte, error), known ...Head) *Chain {
	c := &Chain{
		mac: newMAC(key), at: at, tasks: map[string]Task{}, ends: maps.Clone(pruned), began: pruned,
		known: map[int64][][32]byte{}, joined: map[Head]int64{},
	}
	for _, h := range known {
		c.known[h.Seq] = append(c.known[h.Seq], h.Hash)
	}
	return c
}

// Add checks the next entry: the chain that it is in, its number, text and hash. It fails
// with an [*EntryError], or with the error of at.
func (c *Chain) Add(chain string, seq int64, text, hash []byte) (Record, error) {
	last := c.ends[chain]
	if next := last.Seq + 1; chain == "" && seq != next {
		return Record{}, &EntryError{next, fmt.Sprintf("it is missing; the next one is %d", seq)}
	}
	r, err := Decode(text)
	switch {
	case err != nil:
		return Record{}, &EntryError{seq, "its data cannot be read: " + err.Error()}
	case r.Seq != seq:
		return Record{}, &EntryError{seq, "its data names another number"}
	case chain != "" && r.Owner != chain:
		return Record{}, &EntryError{seq, "its data names another process"}
	}
	r.Hash = link(c.mac, last.Hash, text)
	switch same := string(r.Hash[:]) == string(hash); {
	case !same && chain != "" && r.Prev > last.Seq:
		return Record{}, &EntryError{r.Prev, fmt.Sprintf("it is missing; the next one of its process is %d", seq)}
	case !same:
		return Record{}, &EntryError{seq, "its hash is another: it or the hash was changed"}
	}
	for _, known := range c.known[seq] {
		if known != r.Hash {
			return Record{}, elsewhere(seq)
		}
	}
	delete(c.known, seq)
	c.report.Last = r.Head()
	c.ends[chain] = c.report.Last
	c.report.Entries++
	switch {
	case r.Kind == EntryPruned:
		c.pruned = r.Ref
	case r.Kind == EntryLoss:
		c.report.Losses = append(c.report.Losses, seq)
	case r.Kind == EntryJoined && r.Ref != nil && c.at != nil:
		c.joined[*r.Ref] = seq
		there, err := c.at(r.Ref.Seq)
		if err != nil {
			return Record{}, err
		}
		if there == nil { // which must have been pruned
			c.known[r.Ref.Seq] = append(c.known[r.Ref.Seq], r.Ref.Hash)
		} else if string(there) != string(r.Ref.Hash[:]) {
			return Record{}, &EntryError{r.Ref.Seq, fmt.Sprintf("it is not the one that entry %d names", seq)}
		}
	}
	if r.Run != "" {
		c.tasks[r.Run] = c.tasks[r.Run].After(r)
	}
	return r, nil
}

// End checks that nothing is missing before the first entry of a chain or after the last,
// and that the tasks are what their entries make of them. heads has where each chain
// ends, as far as a store keeps that.
func (c *Chain) End(tasks []Task, heads map[string]Head) (Report, error) {
	if anchor, one := c.began[""]; one {
		c.report.Pruned = anchor
		if c.report.Entries == 0 {
			c.report.Last = anchor
		}
		if anchor.Seq > 0 && (c.pruned == nil || *c.pruned != anchor) || anchor.Seq == 0 && (c.pruned != nil || anchor != Head{}) {
			return Report{}, unsaid(anchor.Seq)
		}
	} else if c.pruned != nil {
		c.report.Pruned = *c.pruned
	}
	for chain, anchor := range c.began {
		if anchor.Seq > c.report.Pruned.Seq {
			return Report{}, unsaid(anchor.Seq)
		}
		for _, hash := range c.known[anchor.Seq] {
			if hash != anchor.Hash {
				return Report{}, elsewhere(anchor.Seq)
			}
		}
		if end, ok := heads[chain]; ok && end.Seq > c.ends[chain].Seq {
			return Report{}, &EntryError{end.Seq, fmt.Sprintf("it is missing, the last of a process whose entries end at %d", c.ends[chain].Seq)}
		}
	}
	for _, seq := range slices.Sorted(maps.Keys(c.known)) { // the first is named
		if seq > c.report.Pruned.Seq {
			first, text := seq, "it is missing"
			if c.at == nil {
				first, text = c.report.Last.Seq+1, fmt.Sprintf("it is missing, and so are all up to %d at least", seq)
			}
			return Report{}, &EntryError{first, text}
		}
	}
	for chain, end := range c.ends {
		if h, ok := heads[chain]; heads != nil && (!ok || h != end) {
			return Report{}, &EntryError{end.Seq, "it is not the one that its process wrote last"}
		}
		if c.joined[end] == 0 && end != c.began[chain] {
			c.report.Heads = append(c.report.Heads, end)
		}
	}
	slices.SortFunc(c.report.Heads, func(a, b Head) int { return cmp.Compare(a.Seq, b.Seq) })
	c.report.Tasks = len(c.tasks)
	return c.report, c.sameTasks(tasks)
}

// sameTasks checks that the tasks are what their entries make of them.
func (c *Chain) sameTasks(got []Task) error {
	for _, t := range got {
		if w, ok := c.tasks[t.Run]; !ok || t != w {
			return &EntryError{Reason: fmt.Sprintf("the state of the task of run %q does not follow from its entries", plain.Line(t.Run, 100))}
		}
	}
	if len(got) != len(c.tasks) {
		return &EntryError{Reason: "a task is missing"}
	}
	return nil
}

func elsewhere(seq int64) error {
	return &EntryError{seq, "it is not the one that was recorded elsewhere"}
}

func unsaid(seq int64) error {
	return &EntryError{seq + 1, "what was before it is gone, and no entry says that it was pruned"}
}
