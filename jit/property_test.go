package jit_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// naive is a detail as plain maps: the oracle's own idea of it, which shares no
// code with package rar.
type naive struct {
	kind, id string
	sets     map[string]map[string]bool // nil is left out
	extra    map[string]string
}

func toNaive(d rar.Detail) naive {
	n := naive{kind: d.Type, id: d.Identifier, sets: map[string]map[string]bool{}, extra: map[string]string{}}
	for name, list := range map[string][]string{"actions": d.Actions, "locations": d.Locations, "datatypes": d.DataTypes, "privileges": d.Privileges} {
		if list == nil {
			continue
		}
		n.sets[name] = map[string]bool{}
		for _, s := range list {
			n.sets[name][s] = true
		}
	}
	for name, value := range d.Extra {
		n.extra[name] = string(bytes.ReplaceAll(value, []byte(" "), nil))
	}
	return n
}

// inside says whether all that a permits is permitted by b.
func inside(a, b naive) bool {
	if a.kind != b.kind || a.id != b.id || len(a.sets) != len(b.sets) || len(a.extra) != len(b.extra) {
		return false
	}
	for name, set := range a.sets {
		limit, ok := b.sets[name]
		if !ok {
			return false
		}
		for s := range set {
			if !limit[s] {
				return false
			}
		}
	}
	for name, value := range a.extra {
		if limit, ok := b.extra[name]; !ok || limit != value {
			return false
		}
	}
	return true
}

func insideAny(d rar.Detail, ceiling []rar.Detail) bool {
	return slices.ContainsFunc(ceiling, func(c rar.Detail) bool { return inside(toNaive(d), toNaive(c)) })
}

// world is what the details of one run are near to.
func world(t *rapid.T) *rapid.Generator[rar.Detail] {
	base := read("doc_1")
	base.Actions = []string{"list", "read"}
	if rapid.Bool().Draw(t, "located") {
		base.Locations = []string{rapid.SampledFrom([]string{"https://api.example.com", "https://api.example.com/docs", "https://bank.test", "urn:x"}).Draw(t, "location")}
	}
	if rapid.Bool().Draw(t, "extra") {
		base.Extra = map[string]json.RawMessage{"limit": json.RawMessage("[1, 2]")}
	}
	return near(base)
}

// near draws details that differ from d in nothing, in the order of a list, or in
// something that counts.
func near(d rar.Detail) *rapid.Generator[rar.Detail] {
	return rapid.Custom(func(t *rapid.T) rar.Detail {
		d := d.Clone()
		for range rapid.IntRange(0, 2).Draw(t, "changes") {
			switch rapid.IntRange(0, 9).Draw(t, "change") {
			case 0:
				d.Type = "payment"
			case 1:
				d.Identifier = rapid.SampledFrom([]string{"doc_2", "DOC_1", "*", ""}).Draw(t, "identifier")
			case 2:
				d.Actions = nil
			case 3:
				d.Actions = append(d.Actions, rapid.SampledFrom([]string{"write", "read"}).Draw(t, "action"))
			case 4, 5:
				if len(d.Actions) > 1 {
					d.Actions = d.Actions[1:]
				}
			case 6:
				slices.Reverse(d.Actions)
			case 7:
				d.Locations = append(d.Locations, rapid.SampledFrom([]string{"https://bank.test", "https://api.example.com"}).Draw(t, "location"))
			case 8:
				d.Privileges = []string{"admin"}
			case 9:
				d.Extra = map[string]json.RawMessage{"limit": json.RawMessage(rapid.SampledFrom([]string{"10", "[1,2]", "[2,1]"}).Draw(t, "limit"))}
			}
		}
		return d
	})
}

// Whatever an API demands, and whatever an authorization server grants: what leaves
// the process lies within the ceiling of the call that it is for, and a token that
// is used lies within what was asked.
func TestWhateverIsDemandedAndGranted(t *testing.T) {
	rapid.Check(t, checkEscalation)
}

// FuzzEscalation lets the fuzzer choose.
func FuzzEscalation(f *testing.F) { f.Fuzz(rapid.MakeFuzz(checkEscalation)) }

func checkEscalation(rt *rapid.T) {
	draw := world(rt)
	authority := &fake.Authority{}
	issued := map[string]rar.Detail{} // by token
	// Drawn beforehand: tokens are issued in another goroutine.
	says := rapid.SliceOfN(rapid.IntRange(0, 3), 12, 12).Draw(rt, "says")
	grants := rapid.SliceOfN(draw, 12, 12).Draw(rt, "grants")
	authority.Issue = func(id string, asked rar.Detail) jit.Issued {
		n := len(issued)
		token := fmt.Sprintf("grant-%d-0123", n)
		covers, details := asked, []rar.Detail(nil) // nil does not say
		switch says[n%len(says)] {
		case 0:
		case 1:
			details = []rar.Detail{asked}
		default:
			covers = grants[n%len(grants)]
			details = []rar.Detail{covers}
		}
		issued[token] = covers
		return jit.Issued{Token: secret.New(token), Details: details, RequestID: id}
	}
	var policy []rar.Detail
	if rapid.IntRange(0, 3).Draw(rt, "has policy") == 0 {
		policy = rapid.SliceOfN(draw, 0, 6).Draw(rt, "policy")
		if policy == nil {
			policy = []rar.Detail{}
		}
	}
	engine, err := jit.New(jit.Config{Authority: authority, Policy: policy})
	if err != nil {
		rt.Fatal(err)
	}
	task := engine.Start(rt.Context(), jit.TaskSpec{}, nil)
	defer func() {
		if err := task.Complete(rt.Context()); err != nil {
			rt.Error(err)
		}
	}()

	var ceiling []rar.Detail
	api := &jit.Transport{Origin: must(jit.ParseOrigin("https://api.example.com")), Base: tripper(func(r *http.Request) (*http.Response, error) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if covers, ok := issued[token]; ok {
			if !insideAny(covers, ceiling) || policy != nil && !insideAny(covers, policy) {
				rt.Errorf("the token for %+v was used in a call with the ceiling %+v, policy %+v", covers, ceiling, policy)
			}
			if asked := authority.Requests(); !slices.ContainsFunc(asked, func(a jit.Request) bool { return inside(toNaive(covers), toNaive(a.Detail)) }) {
				rt.Errorf("the token for %+v was used; asked was %+v", covers, asked)
			}
		} else if token != fake.BaseToken {
			rt.Errorf("unknown token %q", token)
		}
		if rapid.IntRange(0, 2).Draw(rt, "refuses") == 0 {
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		}
		return refusal(rapid.SliceOfN(draw, 1, 2).Draw(rt, "demand"))
	})}
	for i := range rapid.IntRange(1, 4).Draw(rt, "calls") {
		ceiling = rapid.SliceOfN(draw, 0, 4).Draw(rt, "ceiling")
		before := len(authority.Requests())
		ctx := task.Call(rt.Context(), jit.Call{ID: fmt.Sprint(i), Ceiling: ceiling})
		path := rapid.SampledFrom([]string{"/docs/doc_1", "/docs/doc_2", "/reports"}).Draw(rt, "path")
		req := must(http.NewRequestWithContext(ctx, http.MethodGet, "https://api.example.com"+path, nil))
		if resp, err := api.RoundTrip(req); err == nil {
			_ = resp.Body.Close()
		}
		for _, r := range authority.Requests()[before:] {
			if !insideAny(r.Detail, ceiling) || policy != nil && !insideAny(r.Detail, policy) {
				rt.Errorf("asked for %+v in a call with the ceiling %+v, policy %+v", r.Detail, ceiling, policy)
			}
			if slices.Contains(r.Detail.Locations, "https://bank.test") {
				rt.Errorf("asked for %+v on the word of another origin", r.Detail)
			}
		}
	}
}

func refusal(demands []rar.Detail) (*http.Response, error) {
	text, err := json.Marshal(demands)
	if err != nil {
		return nil, err
	}
	header := http.Header{"Insufficient-Authorization-Details": {base64.StdEncoding.EncodeToString(text)}}
	return &http.Response{StatusCode: http.StatusForbidden, Header: header, Body: http.NoBody}, nil
}

// The oracle and package rar agree, and the details that are drawn fit often
// enough for the property above to say something.
func TestPropertyMeetsItsCases(t *testing.T) {
	fits, misses := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		draw := world(rt)
		a, b := draw.Draw(rt, "a"), draw.Draw(rt, "b")
		got := rar.Within(a, b) == nil
		if want := inside(toNaive(a), toNaive(b)); got != want {
			rt.Errorf("Within(%+v, %+v) = %t, the oracle says %t", a, b, got, want)
		}
		if got {
			fits++
		} else {
			misses++
		}
	})
	if fits < 5 || misses < 20 {
		t.Errorf("%d fit, %d do not", fits, misses)
	}
}
