package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/sqlite"
)

// planned is what analyst plan --json says.
type planned struct {
	Tools []struct {
		Name     string
		Open     bool
		Ceilings []rar.Detail
	}
}

// covers reports whether a call may ask for a detail, by the plan.
func (p planned) covers(tool string, args map[string]any, d rar.Detail) bool {
	fill := func(text string) string {
		return regexp.MustCompile(`\{\w+\}`).ReplaceAllStringFunc(text, func(name string) string {
			value, _ := args[strings.Trim(name, "{}")].(string)
			return value
		})
	}
	for _, t := range p.Tools {
		for _, ceiling := range t.Ceilings {
			if t.Name != tool {
				continue
			}
			ceiling = ceiling.Clone()
			ceiling.Identifier = fill(ceiling.Identifier)
			for i, at := range ceiling.Locations {
				ceiling.Locations[i] = fill(at)
			}
			if rar.Within(d, ceiling) == nil {
				return true
			}
		}
	}
	return false
}

// entries reads the journal of a state directory.
func entries(t *testing.T, dir string) (all []journal.Record) {
	t.Helper()
	j, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }() // it only reads
	for r, err := range j.Query(t.Context(), journal.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// asJSON runs a command that prints JSON.
func asJSON[T any](t *testing.T, w *world, args ...string) (v T) {
	t.Helper()
	got := w.run(args...)
	if err := json.Unmarshal([]byte(got.stdout), &v); err != nil || got.code != cli.ExitDone {
		t.Fatalf("%v: exit %d, %v: %s%s", args, got.code, err, got.stdout, got.stderr)
	}
	return v
}

// policyOf writes the policy that allows each row.
func policyOf(t *testing.T, rows []wording) string {
	t.Helper()
	ceilings := map[string][]string{}
	for _, row := range rows {
		if row.widened {
			ceilings[row.tool] = append(ceilings[row.tool], strings.Trim(row.demand, "[]"))
		}
	}
	path, text := filepath.Join(t.TempDir(), "policy.yaml"), "tools:\n"
	for tool, all := range ceilings {
		text += "  " + tool + ":\n    ceilings:\n"
		for _, c := range all {
			text += "      - " + c + "\n"
		}
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

type replayed struct {
	Tasks, Calls, Unheard int
	Differences           []struct {
		Tool, Then, Now, Reason string
		Args                    map[string]any
		Demand                  *rar.Detail
	}
}

// TestPlanHoldsWhatRunsAskFor runs a job for each wording of an API, with a policy and
// without, and compares all that was asked for and blocked with what the plan prints.
// Replayed, the journal tells what the other policy would have changed, and nothing else.
func TestPlanHoldsWhatRunsAskFor(t *testing.T) {
	w, api := inWords(t)
	policy := policyOf(t, api.wordings)
	for _, with := range [][]string{nil, {"--policy", policy}} {
		w.env[cli.EnvState] = filepath.Join(t.TempDir(), "state")
		for _, row := range api.wordings {
			w.run(append([]string{"run", "--quiet", row.prompt()}, with...)...)
		}
		before := w.asked()
		plan := asJSON[planned](t, w, append([]string{"plan", "--json"}, with...)...)
		args := map[string]map[string]any{}
		asked, blocked, newly := 0, 0, 0
		for _, e := range entries(t, w.env[cli.EnvState]) {
			switch e.Kind {
			case jit.EntryCall:
				var v map[string]any
				if err := json.Unmarshal(e.Args, &v); err != nil {
					t.Fatal(err)
				}
				args[e.CallID] = v
			case jit.EntryRequest:
				if asked++; !plan.covers(e.Tool, args[e.CallID], *e.Detail) {
					t.Errorf("%v: %s %v asked for %v, which the plan does not list", with, e.Tool, args[e.CallID], e.Detail)
				}
			case jit.EntryBlocked:
				if blocked++; plan.covers(e.Tool, args[e.CallID], *e.Detail) && !strings.Contains(e.Error, "at once") && !strings.Contains(e.Error, "another origin") {
					t.Errorf("%v: %s %v was blocked, and the plan lists %v", with, e.Tool, args[e.CallID], e.Detail)
				}
			}
		}
		if asked < 10 || blocked == 0 {
			t.Fatalf("%v: asked %d times, blocked %d: not much of a test", with, asked, blocked)
		}
		same := asJSON[replayed](t, w, append([]string{"plan", "--replay", "--json"}, with...)...)
		if len(same.Differences) != 0 || same.Tasks != len(api.wordings) {
			t.Errorf("%v: replayed with the same policy: %+v", with, same)
		}
		then, now, other := "outside", "within", []string{"--policy", policy}
		if with != nil {
			then, now, other = now, then, nil
		}
		for _, d := range asJSON[replayed](t, w, append([]string{"plan", "--replay", "--json"}, other...)...).Differences {
			if d.Then != then || d.Now != now || d.Demand == nil || (d.Reason == "") != (now == "within") {
				t.Errorf("%v: %+v, want %s then and %s now", with, d, then, now)
			}
			newly++
		}
		want := 0
		for _, row := range api.wordings {
			if row.widened && !row.served {
				want++
			}
		}
		if newly != want {
			t.Errorf("%v: %d decisions differ with the other policy, want %d", with, newly, want)
		}
		if w.asked() != before {
			t.Errorf("%v: the authorization server was asked for a plan", with)
		}
	}
}

// What was named is judged anew where the conversation is kept.
func TestReplayOfWhatWasNamed(t *testing.T) {
	w := newWorld(t, nil)
	w.env[cli.EnvState] = filepath.Join(t.TempDir(), "state")
	strict := filepath.Join(t.TempDir(), "strict.yaml")
	if err := os.WriteFile(strict, []byte("tools: {fetch_document: {effect: inspection, asked_by: [inspect], unnamed: refuse}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	const prompt = "Summarize doc_9982"
	w.run("run", "--quiet", prompt)
	w.run("run", "--quiet", "--policy", strict, prompt)
	for _, tt := range []struct {
		policy    string
		then, now string
	}{{"", "refused", "made"}, {strict, "made", "refused"}} {
		var with []string
		if tt.policy != "" {
			with = []string{"--policy", tt.policy}
		}
		got := asJSON[replayed](t, w, append([]string{"plan", "--replay", "--json"}, with...)...)
		if len(got.Differences) != 1 || got.Unheard != 0 || got.Differences[0].Then != tt.then || got.Differences[0].Now != tt.now {
			t.Errorf("policy %q: %+v, want one call, %s then and %s now", tt.policy, got, tt.then, tt.now)
		}
	}
	if got := w.run("plan", "--replay", "--policy", strict, "--task", "last"); !strings.HasSuffix(got.stdout, "1 call of 1 task: 0 decisions would differ\n") {
		t.Errorf("the last task alone: %+v", got)
	}
	if got := w.run("plan", "--replay", "--policy", strict, "--since", "1h"); !strings.Contains(got.stdout, "then made, now") || !strings.Contains(got.stdout, "nobody asked for this: inspection") {
		t.Errorf("the last hour: %+v", got)
	}
}
