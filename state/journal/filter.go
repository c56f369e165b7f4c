package journal

import "github.com/jitagent/jitagent/jit"

// A Filter chooses entries. Zero fields choose all.
type Filter struct {
	Run   string
	Call  string // the beginning of a call's id
	Kinds []jit.EntryKind
	After int64 // entries with a higher number
}

// A TaskFilter chooses tasks. Zero fields choose all.
type TaskFilter struct {
	Owner      string
	Session    string
	Unfinished bool  // those that are open or completing
	State      State // those in one state
	Newest     int   // so many of the newest at most
}
