package faults

import (
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// An action is what somebody did to a task, or saw of it.
type action uint8

const (
	opened    action = iota // the authorization server opened it
	granted                 // a token was issued under it
	completed               // somebody had it ended
	probed                  // introspection was asked about a token
	released                // its living owner was told to go on, and may end it
	died                    // its owner was killed
	recovered               // a restart said that it has given back what the dead left
)

func (a action) String() string {
	return [...]string{"opened", "granted", "completed", "probed", "released", "died", "recovered"}[a]
}

// An input is one step in the life of one task.
type input struct {
	action action
	task   string
	token  int  // of granted and probed: which, in the order of their issue
	held   bool // of opened: the owner waits until it is released
}

// An output is what came of it.
type output_ struct {
	active  bool // of probed
	unknown bool // the answer was lost: it happened now, later, or never
}

// A life is the state of one task in the model. It is comparable but for its tokens.
type life struct {
	open, ended, held, dead bool
	tokens                  []int // issued, sorted
}

func (l life) equal(o life) bool {
	return l.open == o.open && l.ended == o.ended && l.held == o.held && l.dead == o.dead && slices.Equal(l.tokens, o.tokens)
}

// step returns the states that may follow, none if the step may not happen.
func (l life) step(in input, out output_) []life {
	next := l
	switch in.action {
	case opened:
		next.open, next.held = true, in.held
	case granted:
		if !l.open || l.ended {
			return nil // authority under a task that is over
		}
		next.tokens = slices.Clone(l.tokens)
		if i, known := slices.BinarySearch(l.tokens, in.token); !known { // else it was redeemed again
			next.tokens = slices.Insert(next.tokens, i, in.token)
		}
	case completed:
		if !l.open || l.held && !l.dead {
			return nil // its owner lives, and did not do this
		}
		next.ended = true
	case probed:
		_, issued := slices.BinarySearch(l.tokens, in.token)
		if out.active != (issued && !l.ended) {
			return nil
		}
	case released:
		next.held = false
	case died:
		next.dead = true
	case recovered:
		if l.dead && !l.ended {
			return nil // it said so, and it is not true
		}
	}
	if out.unknown {
		return []life{l, next}
	}
	return []life{next}
}

// tasksModel is the model of what tasks and grants may do, one task at a time: no
// promise is about two of them.
func tasksModel() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byTask := map[string][]porcupine.Operation{}
			for _, op := range history {
				task := op.Input.(input).task
				byTask[task] = append(byTask[task], op)
			}
			var parts [][]porcupine.Operation
			for _, part := range byTask {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() []any { return []any{life{}} },
		Step: func(state, in, out any) []any {
			var next []any
			for _, l := range state.(life).step(in.(input), out.(output_)) {
				next = append(next, l)
			}
			return next
		},
		Equal: func(a, b any) bool { return a.(life).equal(b.(life)) },
	}
	return m.ToModel()
}

// checkHistory returns the tasks whose history the model does not allow, each with its
// history in words.
func checkHistory(history []porcupine.Operation) []string {
	model := tasksModel()
	var bad []string
	for _, part := range model.Partition(history) {
		switch porcupine.CheckOperationsTimeout(model, part, time.Minute) {
		case porcupine.Illegal:
			bad = append(bad, describe(part))
		case porcupine.Unknown:
			bad = append(bad, "not decided within a minute: "+describe(part))
		}
	}
	return bad
}

func describe(part []porcupine.Operation) string {
	part = slices.Clone(part)
	slices.SortFunc(part, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	text := "task " + part[0].Input.(input).task + ":"
	for _, op := range part {
		in, out := op.Input.(input), op.Output.(output_)
		text += fmt.Sprintf(" %s", in.action)
		switch in.action {
		case granted:
			text += fmt.Sprintf("(%d)", in.token)
		case probed:
			text += fmt.Sprintf("(%d)=%t", in.token, out.active)
		}
		if out.unknown {
			text += "?"
		}
		text += fmt.Sprintf("[%.1f-%.1fms]", float64(op.Call)/1e6, float64(op.Return)/1e6)
	}
	return text
}
