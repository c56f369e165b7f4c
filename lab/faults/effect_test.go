package main

import (
	"net/http"
	"testing"

	"github.com/jitagent/jitagent/jit"
)

func sent() jit.Entry { return jit.Entry{Kind: jit.EntryCallSent, Method: http.MethodPost} }

func back(outcome jit.Outcome, status int) jit.Entry {
	return jit.Entry{Kind: jit.EntryCallReturned, Method: http.MethodPost, Outcome: outcome, HTTPStatus: status}
}

// What the journal knows is compared with what is there.
func TestJudge(t *testing.T) {
	refused, created := back(jit.OutcomeRefused, 403), back(jit.OutcomeAnswered, 201)
	for name, test := range map[string]struct {
		entries                             []jit.Entry
		made                                int
		duplicates, lost, unknown, surprise int
		again                               bool
	}{
		"two reports":                  {[]jit.Entry{sent(), created}, 2, 1, 0, 0, 0, false},
		"two reports, nobody knows":    {[]jit.Entry{sent()}, 2, 1, 0, 0, 0, false},
		"answered, and not there":      {[]jit.Entry{sent(), created}, 0, 0, 1, 0, 0, false},
		"never sent, and there":        {nil, 1, 0, 0, 0, 1, false},
		"refused, and there":           {[]jit.Entry{sent(), refused}, 1, 0, 0, 0, 1, false},
		"sent, no answer, there":       {[]jit.Entry{sent(), refused, sent()}, 1, 0, 0, 1, 0, false},
		"sent, no answer, not there":   {[]jit.Entry{sent(), refused, sent()}, 0, 0, 0, 1, 0, false},
		"maybe, there":                 {[]jit.Entry{sent(), back(jit.OutcomeInDoubt, 0)}, 1, 0, 0, 1, 0, false},
		"maybe, then settled":          {[]jit.Entry{sent(), back(jit.OutcomeInDoubt, 0), sent(), created}, 1, 0, 0, 0, 0, false},
		"answered":                     {[]jit.Entry{sent(), refused, sent(), created}, 1, 0, 0, 0, 0, false},
		"never sent":                   {nil, 0, 0, 0, 0, 0, true},
		"refused":                      {[]jit.Entry{sent(), refused}, 0, 0, 0, 0, 0, true},
		"did not leave":                {[]jit.Entry{sent(), back(jit.OutcomeNotSent, 0)}, 0, 0, 0, 0, 0, true},
		"answered with an error":       {[]jit.Entry{sent(), back(jit.OutcomeAnswered, 500)}, 0, 0, 0, 0, 0, true},
		"reads do not count":           {[]jit.Entry{{Kind: jit.EntryCallSent, Method: http.MethodGet}}, 0, 0, 0, 0, 0, true},
		"reads do not settle a report": {[]jit.Entry{sent(), {Kind: jit.EntryCallReturned, Method: http.MethodGet, Outcome: jit.OutcomeAnswered, HTTPStatus: 200}}, 0, 0, 0, 1, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			var k knowledge
			for _, e := range test.entries {
				k.see(e)
			}
			r := &row{}
			again := k.judge(r, "a title", test.made)
			if r.Duplicates != test.duplicates || r.Lost != test.lost || r.Unknown != test.unknown || r.Other != test.surprise || again != test.again {
				t.Errorf("judged %+v, again %t", r, again)
			}
			if r.bad() != len(r.Wrong) {
				t.Errorf("%d are wrong, and %d explained", r.bad(), len(r.Wrong))
			}
		})
	}
}
