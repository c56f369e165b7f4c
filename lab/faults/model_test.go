package faults

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"
)

// A told is one operation of a made-up history: from and to are instants.
type told struct {
	from, to int64
	in       input
	out      output_
}

func made(ops ...told) []porcupine.Operation {
	var history []porcupine.Operation
	for _, o := range ops {
		o.in.task = "t"
		history = append(history, porcupine.Operation{Input: o.in, Output: o.out, Call: o.from, Return: o.to})
	}
	return history
}

func step(from, to int64, a action) told { return told{from, to, input{action: a}, output_{}} }

func grant(from, to int64, token int) told {
	return told{from, to, input{action: granted, token: token}, output_{}}
}

func probe(from, to int64, token int, active bool) told {
	return told{from, to, input{action: probed, token: token}, output_{active: active}}
}

func heldTask(from, to int64) told {
	return told{from, to, input{action: opened, held: true}, output_{}}
}

func lost(t told) told { t.out.unknown, t.to = true, never; return t }

func TestModel(t *testing.T) {
	for name, test := range map[string]struct {
		history []porcupine.Operation
		allowed bool
	}{
		"a grant lives past completion": {made(step(1, 2, opened), grant(3, 4, 0), step(5, 6, completed), probe(7, 8, 0, true)), false},
		"a grant is issued after completion": {
			made(step(1, 2, opened), step(3, 4, completed), grant(5, 6, 0)), false,
		},
		"a grant without a task":              {made(grant(1, 2, 0)), false},
		"a token that nobody issued":          {made(step(1, 2, opened), probe(3, 4, 0, true)), false},
		"a live grant is called inactive":     {made(step(1, 2, opened), grant(3, 4, 0), probe(5, 6, 0, false)), false},
		"one of two grants lives":             {made(step(1, 2, opened), grant(3, 4, 0), grant(5, 6, 1), step(7, 8, completed), probe(9, 10, 0, false), probe(11, 12, 1, true)), false},
		"completed while its owner lives":     {made(heldTask(1, 2), grant(3, 4, 0), step(5, 6, completed)), false},
		"completed before its owner is told":  {made(heldTask(1, 2), step(3, 4, completed), step(5, 6, released)), false},
		"completed before its owner died":     {made(heldTask(1, 2), step(3, 4, completed), step(5, 6, died)), false},
		"recovered and still open":            {made(step(1, 2, opened), grant(3, 4, 0), step(5, 6, died), step(7, 8, recovered)), false},
		"completion undone":                   {made(step(1, 2, opened), grant(3, 4, 0), step(5, 6, completed), probe(7, 8, 0, false), probe(9, 10, 0, true)), false},
		"a lost completion that half worked":  {made(step(1, 2, opened), grant(3, 4, 0), lost(step(5, 6, completed)), probe(7, 8, 0, false), probe(9, 10, 0, true)), false},
		"the usual":                           {made(step(1, 2, opened), grant(3, 4, 0), probe(5, 6, 0, true), step(7, 8, completed), probe(9, 10, 0, false)), true},
		"a probe beside the completion":       {made(step(1, 2, opened), grant(3, 4, 0), step(5, 9, completed), probe(6, 7, 0, true), probe(7, 8, 0, false)), true},
		"a token redeemed twice":              {made(step(1, 2, opened), grant(3, 4, 0), grant(5, 6, 0), probe(7, 8, 0, true)), true},
		"completed when its owner is dead":    {made(heldTask(1, 2), step(3, 4, died), step(5, 6, completed), step(7, 8, recovered)), true},
		"completed when its owner is told to": {made(heldTask(1, 2), step(3, 4, released), step(5, 6, completed), step(7, 8, completed)), true},
		"a lost completion that worked":       {made(step(1, 2, opened), grant(3, 4, 0), lost(step(5, 6, completed)), probe(7, 8, 0, true), probe(9, 10, 0, false)), true},
		"a lost completion that did not":      {made(step(1, 2, opened), grant(3, 4, 0), lost(step(5, 6, completed)), probe(7, 8, 0, true)), true},
	} {
		t.Run(name, func(t *testing.T) {
			if bad := checkHistory(test.history); (len(bad) == 0) != test.allowed {
				t.Errorf("checkHistory() = %q, want allowed %t", bad, test.allowed)
			}
		})
	}
}

// Tasks are judged one by one, and the one to blame is named.
func TestCheckNamesTheTask(t *testing.T) {
	good := made(step(1, 2, opened), grant(3, 4, 0))
	bad := made(step(1, 2, opened), grant(3, 4, 0), step(5, 6, completed), probe(7, 8, 0, true))
	for i := range bad {
		in := bad[i].Input.(input)
		in.task = "the bad one"
		bad[i].Input = in
	}
	found := checkHistory(append(good, bad...))
	if len(found) != 1 || !strings.Contains(found[0], "the bad one") || !strings.Contains(found[0], "probed(0)=true") {
		t.Errorf("checkHistory() = %q, want the one bad task and its history", found)
	}
}

// Random histories of the model itself are allowed, and with the one answer turned
// around that gives a grant past its task's end they are not.
func TestRandomHistories(t *testing.T) {
	caught := 0
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var l life
		var history []told
		now, tokens := int64(0), 0
		do := func(in input, out output_) bool {
			next := l.step(in, out)
			if len(next) == 0 {
				return false
			}
			l = next[0]
			now += 10
			// Intervals may overlap their neighbours': the order of taking effect stays one
			// that is possible.
			history = append(history, told{now - rng.Int64N(15), now + rng.Int64N(15), in, out})
			return true
		}
		do(input{action: opened}, output_{})
		for range 12 {
			switch rng.IntN(4) {
			case 0:
				if do(input{action: granted, token: tokens}, output_{}) {
					tokens++
				}
			case 1:
				if rng.IntN(3) == 0 {
					do(input{action: completed}, output_{})
				}
			default:
				if tokens > 0 {
					n := rng.IntN(tokens)
					do(input{action: probed, token: n}, output_{active: !l.ended})
				}
			}
		}
		if bad := checkHistory(made(history...)); len(bad) > 0 {
			t.Fatalf("seed %d: a history of the model is refused: %q", seed, bad)
		}
		if tokens == 0 {
			continue
		}
		do(input{action: completed}, output_{})
		history = append(history, probe(now+100, now+101, 0, true))
		if bad := checkHistory(made(history...)); len(bad) == 0 {
			t.Errorf("seed %d: a grant that lives past completion is not found", seed)
		}
		caught++
	}
	if caught < 100 {
		t.Errorf("%d histories had a grant: too few to say anything", caught)
	}
}
