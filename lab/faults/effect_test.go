package faults

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
		entries []jit.Entry
		made    int
		want    string
	}{
		"two reports":                  {[]jit.Entry{sent(), created}, 2, "duplicates"},
		"two reports, nobody knows":    {[]jit.Entry{sent()}, 2, "duplicates"},
		"answered, and not there":      {[]jit.Entry{sent(), created}, 0, "lost"},
		"never sent, and there":        {nil, 1, "other"},
		"refused, and there":           {[]jit.Entry{sent(), refused}, 1, "other"},
		"sent, no answer, there":       {[]jit.Entry{sent(), refused, sent()}, 1, "unknown"},
		"sent, no answer, not there":   {[]jit.Entry{sent(), refused, sent()}, 0, "unknown"},
		"maybe, there":                 {[]jit.Entry{sent(), back(jit.OutcomeInDoubt, 0)}, 1, "unknown"},
		"maybe, then settled":          {[]jit.Entry{sent(), back(jit.OutcomeInDoubt, 0), sent(), created}, 1, ""},
		"answered":                     {[]jit.Entry{sent(), refused, sent(), created}, 1, ""},
		"never sent":                   {nil, 0, "again"},
		"refused":                      {[]jit.Entry{sent(), refused}, 0, "again"},
		"did not leave":                {[]jit.Entry{sent(), back(jit.OutcomeNotSent, 0)}, 0, "again"},
		"answered with an error":       {[]jit.Entry{sent(), back(jit.OutcomeAnswered, 500)}, 0, "again"},
		"reads do not count":           {[]jit.Entry{{Kind: jit.EntryCallSent, Method: http.MethodGet}}, 0, "again"},
		"reads do not settle a report": {[]jit.Entry{sent(), {Kind: jit.EntryCallReturned, Method: http.MethodGet, Outcome: jit.OutcomeAnswered, HTTPStatus: 200}}, 0, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			var k knowledge
			for _, e := range test.entries {
				k.see(e)
			}
			r := &row{}
			wrong, why, again := k.judge(r, test.made)
			got := map[*int]string{&r.Duplicates: "duplicates", &r.Lost: "lost", &r.Other: "other"}[wrong]
			switch {
			case r.Unknown == 1:
				got += "unknown"
			case again:
				got += "again"
			}
			if got != test.want || (wrong == nil) != (why == "") {
				t.Errorf("judged %q (%s), want %q", got, why, test.want)
			}
		})
	}
}
