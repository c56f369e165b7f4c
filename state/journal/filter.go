package journal

import "github.com/jitagent/jitagent/jit"

// A Filter chooses entries. Zero fields choose all.
type Filter struct {
	Run, TaskID, CallID string
	Kinds               []jit.EntryKind
	After               int64 // entries with a higher number
}

// A TaskFilter chooses tasks. Zero fields choose all.
type TaskFilter struct {
	Owner      string
	Unfinished bool  // those that are open or completing
	State      State // those in one state
}
