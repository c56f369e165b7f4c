package serve_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/a2aproject/a2a-go/v2/a2a"
)

// What the official clients see, in the table of docs/a2a.md: Go's here, Python's and
// JavaScript's from the folder MODEL_CLIENTS, a Python environment with node_modules in it.
func TestA2AClients(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "a2a.md"))
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, row := range regexp.MustCompile("(?m)^\\| (.+) \\| `(.+)` \\|$").FindAllStringSubmatch(string(page), -1) {
		fmt.Fprintf(&want, "%s: %s\n", row[1], row[2])
	}
	check := func(t *testing.T, got string) {
		t.Helper()
		if got != want.String() {
			t.Errorf("the client sees\n%s\nand the page says\n%s", got, want.String())
		}
	}
	t.Run("go", func(t *testing.T) { check(t, goClient(t, new(app).startA2A(t))) })
	for _, name := range []string{"a2a_client.py", "a2a_client.mjs"} {
		t.Run(name, func(t *testing.T) {
			clients := os.Getenv("MODEL_CLIENTS")
			if clients == "" {
				t.Skip("no clients: python3 -m venv V && V/bin/pip install a2a-sdk==1.3.0 && " +
					"npm install --prefix V @a2a-js/sdk@1.3.0 && MODEL_CLIENTS=$PWD/V go test ./serve -run TestA2AClients")
			}
			a := new(app).startA2A(t)
			program, err := os.ReadFile(filepath.Join("testdata", "clients", name))
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir() // node looks for modules from where the program is
			if err := os.Symlink(filepath.Join(clients, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), program, 0o600); err != nil {
				t.Fatal(err)
			}
			interpreter := "node"
			if strings.HasSuffix(name, ".py") {
				interpreter = filepath.Join(clients, "bin", "python")
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, interpreter, name)
			cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "PYTHONUNBUFFERED=1", "SERVER=" + a.url, "TOKEN=ben-token", "OTHER_TOKEN=ada-token"}
			var failed strings.Builder
			cmd.Stderr = &failed
			got, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s%s", err, got, &failed)
			}
			check(t, string(got))
		})
	}
}

// The client of docs/a2a.md runs, and sees a call that waits through to the answer.
func TestA2AExample(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "a2a.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, program, _ := strings.Cut(string(page), "```go\n")
	program, _, _ = strings.Cut(program, "```")
	path := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(path, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	a := new(app).startA2A(t)
	cmd := exec.CommandContext(t.Context(), "go", "run", path, a.url, "read doc_1")
	cmd.Env = append(os.Environ(), "TOKEN=ada-token", "NO_PROXY=*")
	var failed strings.Builder
	cmd.Stderr = &failed
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var seen []string
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		seen = append(seen, lines.Text())
		if lines.Text() == string(wire.TaskStateAuthRequired) {
			a.decide("jit_1", true)
			ada := a.client(t, "ada")
			waits := must(ada.ListTasks(t.Context(), &wire.ListTasksRequest{})).Tasks[0]
			a.send(t, ada, said("go on", to(waits.ID)))
		}
	}
	if err := cmd.Wait(); err != nil || !slices.Contains(seen, "done") || seen[len(seen)-1] != string(wire.TaskStateCompleted) {
		t.Errorf("%v, %q\n%s", err, seen, &failed)
	}
}

// goClient does what the programs in testdata/clients do.
func goClient(t *testing.T, a *app) string {
	var out strings.Builder
	say := func(what string, result any) { fmt.Fprintf(&out, "%s: %v\n", what, result) }
	ben, ada := a.client(t, "ben"), a.client(t, "ada")
	code := func(task wire.SendMessageResult, err error) string {
		for code, known := range map[string]error{
			"-32000": wire.ErrServerError, "-32001": wire.ErrTaskNotFound, "-32004": wire.ErrUnsupportedOperation, "-32602": wire.ErrInvalidParams,
		} {
			if errors.Is(err, known) {
				return code
			}
		}
		if err != nil {
			return err.Error()
		}
		return stateOf(task.(*wire.Task).Status)
	}
	done := a.send(t, ben, said("hi"))
	say("a message", stateOf(done.Status)+" "+answerOf(done))
	say("a message to a task that has ended", code(ben.SendMessage(t.Context(), said("more", to(done.ID)))))
	_, err := ada.GetTask(t.Context(), &wire.GetTaskRequest{ID: done.ID})
	say("another user's task", code(nil, err))

	waits := a.send(t, ben, said("read doc_1"))
	say("a call that waits", stateOf(waits.Status))
	id := asked(t, waits)[0]["id"]
	next, stop := iter.Pull2(ben.SubscribeToTask(t.Context(), &wire.SubscribeToTaskRequest{ID: waits.ID}))
	defer stop()
	first, _, _ := next()
	say("subscribed to it, first", stateOf(first.(*wire.Task).Status))
	say("words", code(ben.SendMessage(t.Context(), said("approved", to(waits.ID)))))
	for _, d := range []struct {
		what         string
		id, approved any
	}{{"a decision that is null", id, nil}, {"an id that is a large number", 12345678901234567, true}, {"a decision, by the task's id alone", id, true}} {
		say(d.what, code(ben.SendMessage(t.Context(), said("-", deciding(waits, map[string]any{"id": d.id, "approved": d.approved})))))
	}
	last := ""
	for {
		ev, err, more := next()
		if !more || err != nil {
			break
		}
		if s, ok := ev.(*wire.TaskStatusUpdateEvent); ok {
			last = stateOf(s.Status)
		}
	}
	say("subscribed to it, last", last)
	say("a call that somebody else decides", code(ada.SendMessage(t.Context(), said("read doc_2"))))

	held := a.send(t, ben, said("hold", func(r *wire.SendMessageRequest) { r.Config = &wire.SendMessageConfig{ReturnImmediately: true} }))
	say("a message that takes long", stateOf(held.Status))
	say("another message meanwhile", code(ben.SendMessage(t.Context(), said("more", to(held.ID)))))
	canceled, err := ben.CancelTask(t.Context(), &wire.CancelTaskRequest{ID: held.ID})
	say("canceled", code(canceled, err))
	say("listed", must(ben.ListTasks(t.Context(), &wire.ListTasksRequest{})).TotalSize)
	return out.String()
}

func stateOf(s wire.TaskStatus) string { return strings.TrimPrefix(string(s.State), "TASK_STATE_") }
