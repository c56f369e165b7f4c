package tools_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/tools"
)

// An outline lists what any call may ask for: whatever the choices, with and without
// what is optional, and with a name for everything that is free.
func TestOutline(t *testing.T) {
	api := &url.URL{Scheme: "https", Host: "api.test", Path: "/base"}
	type who struct {
		User string `json:"user"`
	}
	type args struct {
		Mode   string   `json:"mode" jsonschema:"enum=read,enum=write"`
		ID     string   `json:"id" jsonschema:"pattern=^[a-z]{3}$"`
		Number int      `json:"number"`
		Tags   []string `json:"tags,omitempty"`
		Owner  *who     `json:"owner,omitempty"`
		Force  bool     `json:"force"`
	}
	detail := func(action, id string) rar.Detail {
		return rar.Detail{Type: "thing", Actions: []string{action}, Identifier: id}
	}
	outline := func(p *policy.Policy, ceiling func(args) []rar.Detail) jitmw.Outline {
		t.Helper()
		made, err := tools.New(tools.Spec[args]{Name: "change", Description: "changes", API: api, Policy: p, Ceiling: ceiling},
			func(tools.Context, args) (string, error) { return "", nil })
		if err != nil {
			t.Fatal(err)
		}
		o, ok := jitmw.OutlineOf(made)
		if !ok {
			t.Fatal("the tool has no outline")
		}
		return o
	}
	o := outline(nil, func(a args) (all []rar.Detail) {
		d := detail(a.Mode, a.ID)
		d.Locations = []string{api.JoinPath("things", a.ID).String()}
		all = append(all, d)
		for _, tag := range a.Tags {
			all = append(all, detail("tag", fmt.Sprintf("%s/%d", tag, a.Number)))
		}
		if a.Force {
			limit := detail("force", "any")
			limit.Extra = map[string]json.RawMessage{"limit": fmt.Appendf(nil, "%d", a.Number)}
			all = append(all, limit)
		}
		if a.Owner != nil {
			return append(all, detail("own", a.Owner.User))
		}
		return append(all, detail("disown", "none"))
	})
	var lines []string
	for _, d := range o.Ceiling {
		lines = append(lines, fmt.Sprintf("%s %s %s %s", d.Actions[0], d.Identifier, d.Locations, d.Extra["limit"]))
	}
	slices.Sort(lines)
	want := []string{
		"disown none [] ", `force any [] "{number}"`, "own {owner.user} [] ", "read {id} [https://api.test/base/things/{id}] ", "tag {tags}/{number} [] ",
		"write {id} [https://api.test/base/things/{id}] ",
	}
	if diff := cmp.Diff(want, lines); diff != "" || o.Open || o.Origin != "https://api.test" {
		t.Errorf("outline (-want +got):\n%s\nopen %t, origin %s", diff, o.Open, o.Origin)
	}
	if o.Aim.Effect == "" || o.Aim.Targets["id"].Type == "" {
		t.Errorf("the aim that follows from the ceiling is %+v", o.Aim)
	}
	p, err := policy.Parse([]byte(`{tools: {change: {effect: storm, max: 3, ceilings: [{type: other, actions: [see], identifier: "{number}"}]}}}`),
		map[string][]string{"change": {"number"}})
	if err != nil {
		t.Fatal(err)
	}
	o = outline(p, func(args) []rar.Detail { return nil })
	if len(o.Ceiling) != 1 || o.Ceiling[0].Identifier != "{number}" || o.Aim.Effect != "storm" || o.Aim.Max != 3 {
		t.Errorf("with a policy: %+v", o)
	}
	// A ceiling that reads more out of an argument than that it is one cannot be told.
	o = outline(nil, func(a args) []rar.Detail {
		n, err := strconv.Atoi(a.ID)
		if err != nil {
			panic(err)
		}
		return []rar.Detail{detail("read", fmt.Sprint(n+1))}
	})
	if !o.Open || len(o.Ceiling) != 0 {
		t.Errorf("a ceiling that cannot be told: %+v", o)
	}
}

// With more kinds of calls than are looked at, the outline says so.
func TestOutlineIsBounded(t *testing.T) {
	type args struct {
		A, B, C, D, E, F, G, H, I, J, K bool
	}
	made, err := tools.New(tools.Spec[args]{Name: "many", Description: "many", Ceiling: func(args) []rar.Detail { return nil }},
		func(tools.Context, args) (string, error) { return "", nil })
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := jitmw.OutlineOf(made); !o.Open {
		t.Error("2048 kinds of calls, and the outline is complete")
	}
	var none tool.Tool
	if _, ok := jitmw.OutlineOf(none); ok {
		t.Error("no tool has an outline")
	}
}
