package journal

import (
	"iter"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/jit"
)

// A Filter chooses entries. Zero fields choose all.
type Filter struct {
	Run   string
	Call  string // the beginning of a call's id
	Kinds []jit.EntryKind
	After int64 // entries with a higher number
}

// Chooses reports whether a filter chooses an entry, whatever its number.
func (f Filter) Chooses(r Record) bool {
	return (f.Run == "" || r.Run == f.Run) && strings.HasPrefix(r.CallID, f.Call) && (f.Kinds == nil || slices.Contains(f.Kinds, r.Kind))
}

// Texts returns what stands in the text of each entry that a filter chooses: the run, the
// call, and one of the kinds; nil kinds are all. It may stand in others, too.
func (f Filter) Texts() (run, call string, kinds []string) {
	begin := func(name, value string) string {
		quoted, _ := jsontext.AppendQuote([]byte(`"`+name+`":`), value) // as entries are written
		return string(quoted[:len(quoted)-1])
	}
	for _, kind := range f.Kinds {
		kinds = append(kinds, begin("kind", string(kind)))
	}
	return begin("run", f.Run), begin("call_id", f.Call), kinds
}

// Pages returns the records of [Store.Query]. read returns some of those that a filter
// chooses, the filter for the rest, and whether there may be any: a loop that takes long
// keeps nothing from being reused.
func Pages(f Filter, read func(Filter) (page []Record, next Filter, more bool, err error)) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for f, ok := f, true; ok; {
			var records []Record
			var err error
			if records, f, ok, err = read(f); err != nil {
				ok = false
			}
			for _, r := range records {
				if !yield(r, nil) {
					return
				}
			}
			if err != nil {
				yield(Record{}, err)
			}
		}
	}
}

// A TaskFilter chooses tasks. Zero fields choose all.
type TaskFilter struct {
	Owner      string
	Session    string
	Parent     string // those directly below the task of this run
	Unfinished bool   // those that are open or completing
	State      State  // those in one state
	Newest     int    // so many of the newest at most
}
