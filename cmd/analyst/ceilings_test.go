package main

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/cmd/analyst/internal/dev"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
)

// A wording is a row of the table in docs/ceilings.md: one way to demand what a call
// needs.
type wording struct {
	name, tool, demand string
	served, widened    bool // without a policy, and with the demand in it
}

// id is the document that the API guards by the wording.
func (w wording) id() string { return "doc_" + strings.Map(letters, w.name) }

// title is that of the report that it guards so.
func (w wording) title() string { return "Report " + strings.Map(letters, w.name) }

func letters(r rune) rune {
	if r >= 'a' && r <= 'z' {
		return r
	}
	return -1
}

// prompt is a job for which the API makes the demand.
func (w wording) prompt() string {
	if w.tool == "create_report" {
		return fmt.Sprintf("Fetch document doc_open, summarize it, and create a report titled '%s'.", w.title())
	}
	return fmt.Sprintf("Summarize document %s.", w.id())
}

// policy is the file that allows the demand.
func (w wording) policy() string {
	demand := w.demand
	if !strings.HasPrefix(demand, "[") {
		demand = "[" + demand + "]"
	}
	return fmt.Sprintf("tools: {%s: {ceilings: %s}}\n", w.tool, demand)
}

// details is the demand for a call, as JSON.
func (w wording) details(t *testing.T, api string) (text []byte, each []rar.Detail) {
	filled := strings.NewReplacer("{api}", api, "{document_id}", w.id(), "{title}", w.title()).Replace(w.demand)
	var v any
	err := yaml.Unmarshal([]byte(filled), &v)
	if err == nil {
		text, err = json.Marshal(v)
	}
	list := text
	if err == nil && list[0] != '[' {
		list = slices.Concat([]byte("["), text, []byte("]"))
	}
	if err == nil {
		err = json.Unmarshal(list, &each)
	}
	if err != nil {
		t.Errorf("%s: %v", w.name, err)
	}
	return text, each
}

// wordings reads the table.
func wordings(t *testing.T) (all []wording) {
	t.Helper()
	text, err := os.ReadFile("../../docs/ceilings.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## Wordings, one by one")
	tool := ""
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if name, ok := strings.CutPrefix(cells[0], "**"); ok {
			tool, _, _ = strings.Cut(name, "**")
		} else if tool != "" && len(cells) > 2 {
			w := wording{name: cells[0], tool: tool, demand: strings.Trim(cells[1], "` "), served: cells[2] == "served"}
			w.widened = len(cells) > 3 && cells[3] == "served"
			all = append(all, w)
		}
	}
	if len(all) < 24 {
		t.Fatalf("the table has %d rows, which cannot be all", len(all))
	}
	return all
}

// A wordy API makes a demand for each document and report in its own wording.
type wordy struct {
	t        *testing.T
	wordings []wording
	mu       sync.Mutex
	served   []string // names of wordings
}

// take returns what was served since it was last asked.
func (a *wordy) take() (names []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	names, a.served = a.served, nil
	return names
}

func (a *wordy) handler(world *world) http.Handler {
	rs := world.auth.Config().ResourceServers[0]
	verifier, err := resource.New(a.t.Context(), resource.Config{Issuer: world.auth.Issuer(), ClientID: rs.ClientID, ClientSecret: rs.ClientSecret})
	if err != nil {
		a.t.Fatal(err)
	}
	mux := http.NewServeMux()
	document := func(w http.ResponseWriter, r *http.Request) {
		a.serve(w, r, world, verifier, func(w wording) bool { return w.tool == "fetch_document" && w.id() == r.PathValue("id") }, map[string]string{
			"id": r.PathValue("id"), "title": "Title of " + r.PathValue("id"), "content": "Revenue of " + r.PathValue("id") + " rose by 17% in the fourth quarter. Costs fell by 4%.",
		})
	}
	mux.HandleFunc("GET /v1/documents/{id}", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.PathValue("id"), "doc_afteraredirect") {
			http.Redirect(w, r, path.Join("/files", r.PathValue("id")), http.StatusFound)
			return
		}
		document(w, r)
	})
	mux.HandleFunc("GET /files/{id}", document)
	mux.HandleFunc("POST /v1/reports", func(w http.ResponseWriter, r *http.Request) {
		var report struct{ Title string }
		if err := json.NewDecoder(r.Body).Decode(&report); err != nil {
			a.t.Error(err)
		}
		a.serve(w, r, world, verifier, func(w wording) bool { return w.tool == "create_report" && w.title() == report.Title }, map[string]string{
			"id": "rep_" + strings.Map(letters, report.Title), "title": report.Title,
		})
	})
	return mux
}

// serve answers with v whoever has what the wording that is meant demands.
func (a *wordy) serve(w http.ResponseWriter, r *http.Request, world *world, verifier *resource.Verifier, meant func(wording) bool, v map[string]string) {
	token, err := verifier.Verify(r.Context(), r)
	if err != nil {
		resource.Refuse(w, "", err)
		return
	}
	if i := slices.IndexFunc(a.wordings, meant); i >= 0 {
		wording := a.wordings[i]
		if wording.demand != "" {
			text, each := wording.details(a.t, world.env[cli.EnvAPI])
			covers := func(need rar.Detail) bool {
				here := need
				if here.Locations == nil { // this API is who its location names
					here.Locations = []string{world.env[cli.EnvAPI]}
				}
				return token.Covers(need) || token.Covers(here)
			}
			if len(each) != 1 || !covers(each[0]) {
				encoding := map[string]*base64.Encoding{"in base64url": base64.URLEncoding, "in base64 without padding": base64.RawStdEncoding}[wording.name]
				if encoding == nil {
					encoding = base64.StdEncoding
				}
				w.Header().Set(challenge.Header, encoding.EncodeToString(text))
				http.Error(w, "more is needed", http.StatusForbidden)
				return
			}
		}
		a.mu.Lock()
		a.served = append(a.served, wording.name)
		a.mu.Unlock()
	}
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodPost {
		w.WriteHeader(http.StatusCreated)
	}
	_ = json.NewEncoder(w).Encode(v)
}

// inWords starts a world whose API words its demands as the table says, and whose
// authorization server holds no document for sensitive.
func inWords(t *testing.T) (*world, *wordy) {
	api := &wordy{t: t, wordings: wordings(t)}
	return newWorld(t, api.handler, func(c *lumodev.Config) { c.Risk.SensitiveIdentifiers = nil }), api
}

// attempt runs the program for a wording. With a policy, its file allows the demand.
func (a *wordy) attempt(t *testing.T, w *world, row wording, withPolicy bool) (got result, served bool) {
	args := []string{"run", "--json", "--wait", "0s"}
	if withPolicy {
		file := filepath.Join(t.TempDir(), "policy.yaml")
		if err := os.WriteFile(file, []byte(row.policy()), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--policy", file)
	}
	got = w.run(append(args, row.prompt())...)
	names := a.take()
	return got, slices.Equal(names, []string{row.name})
}

// TestWordings holds the table of docs/ceilings.md over the whole program: what it
// calls served is, by one effect, and what it calls refused the authorization server
// does not hear of, and the way to allow it is said.
func TestWordings(t *testing.T) {
	w, api := inWords(t)
	for _, row := range api.wordings {
		for withPolicy, want := range map[bool]bool{false: row.served, true: row.widened} {
			if withPolicy && row.demand == "" {
				continue
			}
			before := w.asked()
			got, served := api.attempt(t, w, row, withPolicy)
			switch {
			case served != want:
				t.Errorf("%s, with a policy %t: served %t, want %t: exit %d, %s", row.name, withPolicy, served, want, got.code, got.stderr)
			case served && got.code != cli.ExitDone, !served && got.code != cli.ExitDenied:
				t.Errorf("%s, with a policy %t, served %t: exit %d: %s", row.name, withPolicy, served, got.code, got.stderr)
			case !served && strings.Contains(got.stderr, "a file that --policy names") != row.widened:
				t.Errorf("%s: a policy serves it %t, and the advice is: %s", row.name, row.widened, got.stderr)
			case !served && w.asked() != before:
				t.Errorf("%s is refused, and was asked for: %v", row.name, w.asked())
			}
		}
	}
}

// returned is what a tool handed to the model, in our words: the text of a document,
// or the id of a report; "" for a call that did not work.
type returned map[string]string

// ofOurs reads the events of a run.
func ofOurs(t *testing.T, events string) returned {
	all := returned{}
	for line := range strings.Lines(events) {
		var e struct {
			Event, Tool, Status string
			Result              struct{ ID, Content string }
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Errorf("%v in %s", err, line)
		}
		if e.Event == "tool_returned" {
			all[e.Tool] = ""
			if e.Status == "ok" {
				all[e.Tool] = cmp.Or(e.Result.Content, e.Result.ID)
			}
		}
	}
	return all
}

// TestPublishedExample has a program that does what LumoAuth's page on Google's ADK
// shows do the same jobs at the same API, by LumoAuth's SDK and Google's ADK: wherever
// the operator's ceiling says so, ours brings the same documents and reports.
func TestPublishedExample(t *testing.T) {
	python, _, _ := strings.Cut(os.Getenv("LUMODEV_PYTHON_SDK"), string(os.PathListSeparator))
	if python == "" {
		t.Skip("needs LumoAuth's SDK and Google's ADK for Python: python3 -m venv V && V/bin/pip install lumoauth==1.1.0 google-adk==2.13.0 && " +
			"LUMODEV_PYTHON_SDK=$PWD/V/bin/python go test ./cmd/analyst -run TestPublishedExample")
	}
	if out, err := exec.CommandContext(t.Context(), python, "-c", "import lumoauth.jit, google.adk").CombinedOutput(); err != nil {
		t.Skipf("%s has not both lumoauth and google-adk: %s", python, out)
	}
	llms, err := dev.Models(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	models := httptest.NewServer(llms)
	t.Cleanup(models.Close)
	w, api := inWords(t)
	var prompts []string
	for _, row := range api.wordings {
		prompts = append(prompts, row.prompt())
	}
	in, err := json.Marshal(prompts)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "testdata/clients/published_example.py")
	cmd.Stdin, cmd.Env = bytes.NewReader(in), []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GOOGLE_API_KEY=any", "GOOGLE_GEMINI_BASE_URL=" + models.URL, "DOCUMENTS_API=" + w.env[cli.EnvAPI],
		"LUMOAUTH_URL=" + w.env[cli.EnvURL], "LUMOAUTH_ORG_ID=" + w.env[cli.EnvOrg], "AGENT_CLIENT_ID=" + w.env[cli.EnvClientID], "AGENT_CLIENT_SECRET=" + w.env[cli.EnvSecret],
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var theirs [][]struct{ Tool, Result, Error string }
	if err == nil {
		err = json.Unmarshal(out, &theirs)
	}
	if err != nil || len(theirs) != len(prompts) {
		t.Fatalf("%v, %d runs: %s\n%s", err, len(theirs), out, stderr.String())
	}
	effects := api.take()
	for i, row := range api.wordings {
		published := returned{}
		for _, call := range theirs[i] {
			var body struct{ ID, Content string }
			if call.Error == "" {
				if err := json.Unmarshal([]byte(call.Result), &body); err != nil {
					t.Errorf("%s: %v in %s", row.name, err, call.Result)
				}
			}
			published[call.Tool] = cmp.Or(body.Content, body.ID)
		}
		got, served := api.attempt(t, w, row, !row.served)
		if ours := ofOurs(t, got.stdout); served != (row.served || row.widened) || !maps.Equal(ours, published) || served != slices.Contains(effects, row.name) {
			t.Errorf("%s: ours served %t and returned %q; the published example returned %v", row.name, served, ours, theirs[i])
		}
	}
	if n := w.auth.Snapshot().LiveTokens; n != 0 {
		t.Errorf("%d live tokens are left", n)
	}
}
