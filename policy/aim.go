package policy

import (
	"fmt"
	"strings"
)

// An Aim is what a call of a tool does and what it is aimed at, as far as that can
// be told from the call. The zero Aim is a call that reads and is aimed at nothing:
// it is always what the person named.
type Aim struct {
	// Effect names the kind of effect, such as "payment". "" is a call that only reads.
	Effect string
	// AskedBy are words or phrases with one of which the person must have asked for an
	// effect of this kind, as the verb of a request ("pay Bob", "start paying") or the
	// thing that is ordered ("I need a report"). Without any, and without targets, each
	// effect is one that nobody named.
	AskedBy []string
	// Targets are the arguments that name what the call is aimed at. What is not
	// listed is content.
	Targets map[string]Target
	// Max bounds the calls of one conversation. 0 is no bound; [OnePerRequest] is one
	// for each message of the person that asks for this kind of effect, or as many as
	// it says: a number before the noun that is ordered ("write three reports"), or, with
	// "each", "both" and their like, one for each thing of type Each that was named. Of a
	// title that was given, it is one for each message that gave it.
	Max  int
	Each string
	// MaxPerTask bounds the calls of one task, which is what the agent does on one
	// message. 0 is no bound.
	MaxPerTask int
	// Records says what a result tells about things that later calls may be aimed at.
	Records Records
	// Unnamed says what becomes of a call that the person did not name.
	Unnamed Answer
}

// OnePerRequest is a value of [Aim.Max].
const OnePerRequest = -1

// A Target is an argument that names what a call is aimed at: a text, a number, or a
// list of them, of which each must have been named.
type Target struct {
	// Type keeps apart what looks alike: the id of an event is not that of a file.
	// "number" and "url" are compared as such, every other type as text.
	Type string
	// As says what naming it takes.
	As Naming
	// Files are the endings of files that go by such a value, which has hyphens where a
	// path has spaces and slashes: with "md", sub/Q4 plan.md says sub-q4-plan. nil is none.
	Files []string
}

// A Naming says what it takes to have named a target.
type Naming string

const (
	// Verbatim says that the value stands in the person's words, or it is the id of the one
	// record of its type whose name stands there, or of something that was made in
	// this conversation.
	Verbatim Naming = ""
	// InPart is Verbatim, and for the id of a record it is enough that most words of
	// its name were said, if that is true of no other record. For reading only.
	InPart Naming = "in_part"
	// FromWords says that half of its words are the person's, or stand in the names of what
	// they named. For a title, which says what a text is about. Where the person put a
	// title in quotation marks, it is that title.
	FromWords Naming = "from_words"
)

// Records says where a tool's result names things: in each object, at any depth, that
// has the members ID and Name. The zero value is a result that names none.
type Records struct {
	Type, ID, Name string
	// Made says that the call made them: they may be aimed at without being named.
	Made bool
}

// An Answer says what becomes of a call that the person did not name.
type Answer uint8

const (
	// Ask says that a person is asked; where nobody can be, it is refused.
	Ask Answer = iota
	// Refuse says that it is refused.
	Refuse
	// Allow says that it is made. Only an operator's file says so.
	Allow
)

// A Verdict says whether a person named what a call does.
type Verdict struct {
	// Missing says what was not named, a line each; nil when all was.
	Missing []Missing
	Unnamed Answer // what becomes of it then
}

// Named reports whether the person named all of it.
func (v Verdict) Named() bool { return len(v.Missing) == 0 }

// Missing is one thing that the person did not name.
type Missing struct {
	// Argument and Value are the target; "" when it is the kind of effect, or its
	// number, that was not asked for.
	Argument, Value string
	Reason          string
}

func (m Missing) String() string {
	if m.Argument == "" {
		return m.Reason
	}
	return fmt.Sprintf("%s %q: %s", m.Argument, m.Value, m.Reason)
}

// String words the verdict for whoever made the call.
func (v Verdict) String() string {
	lines := make([]string, len(v.Missing))
	for i, m := range v.Missing {
		lines[i] = m.String()
	}
	return strings.Join(lines, "; ")
}
