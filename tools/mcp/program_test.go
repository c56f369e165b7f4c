package mcp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/tools/mcp"
)

// program is an MCP server that speaks over its standard input and output.
func program() {
	if len(os.Args) > 3 { // as what a program starts, and leaves
		if conn, err := net.Dial("tcp", os.Args[3]); err == nil {
			_, _ = io.Copy(io.Discard, conn)
		}
		return
	}
	if len(os.Args) > 2 { // it does not get so far
		fmt.Fprintln(os.Stderr, "cannot read the configuration\x1b[2J")
		os.Exit(3)
	}
	s := newServer()
	add(s, "env", "shows", func(context.Context, string) (*sdk.CallToolResult, error) {
		return say(strings.Join(os.Environ(), "\n"))(nil, "")
	})
	add(s, "die", "dies", func(_ context.Context, args string) (*sdk.CallToolResult, error) {
		var in struct{ ID string } // a file in which deaths are counted
		if json.Unmarshal([]byte(args), &in) == nil {
			f, _ := os.OpenFile(in.ID, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			_, _ = f.WriteString("died\n")
		}
		os.Exit(1)
		return nil, nil
	})
	add(s, "child", "leaves a process", func(_ context.Context, args string) (*sdk.CallToolResult, error) {
		var to struct{ ID string }
		if err := json.Unmarshal([]byte(args), &to); err != nil {
			return nil, err
		}
		return say("started")(nil, fmt.Sprint(exec.Command(os.Args[0], "serve", "and", to.ID).Start()))
	})
	fmt.Fprintln(os.Stderr, "ready \x1b[2J")
	_ = s.Run(context.Background(), &sdk.StdioTransport{})
}

func self(t testing.TB, more ...string) mcp.Server {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return mcp.Server{Command: append([]string{path, "serve"}, more...), Env: []string{"FILES_TOKEN=given"}}
}

func TestProgramGetsACleanEnvironment(t *testing.T) {
	t.Setenv("AGENT_CLIENT_SECRET", "canary-5b1e")
	t.Setenv("FILES_HOST", "handed on")
	t.Setenv("OPENAI_API_KEY", "canary-77aa")
	ctx := task(t, &fake.Authority{})
	program := self(t)
	program.Env = append(program.Env, "FILES_HOST")
	got, _ := call(ctx, t, find(t, open(ctx, t, program, ""), "files__env"), nil)["text"].(string)
	if strings.Contains(got, "canary") || !strings.Contains(got, "PATH=") || !strings.Contains(got, "FILES_TOKEN=given") || !strings.Contains(got, "FILES_HOST=handed on") {
		t.Errorf("the program's environment is\n%s", got)
	}
}

func TestProgramWantsAVariableThatIsNotSet(t *testing.T) {
	if _, err := mcp.ParseServer("files=$FILES_NONE program"); err == nil || !strings.Contains(err.Error(), "files is to get the variable FILES_NONE, which is not set") {
		t.Errorf("ParseServer() = %v", err)
	}
}

func TestProgramDiesInACall(t *testing.T) {
	ctx := task(t, &fake.Authority{})
	set := open(ctx, t, self(t), "")
	deaths := filepath.Join(t.TempDir(), "deaths")
	for range 2 { // the second is not made: nobody knows what the first did
		if got := call(ctx, t, find(t, set, "files__die"), map[string]any{"id": deaths}); got["status"] != string(jit.CallInDoubt) {
			t.Errorf("a call in which the program dies = %v, want in doubt", got)
		}
	}
	if text, err := os.ReadFile(deaths); string(text) != "died\n" {
		t.Errorf("it died %q (%v), want once", text, err)
	}
	if got := call(ctx, t, find(t, set, "files__env"), nil); got["text"] == nil {
		t.Errorf("the next call = %v, want one of the program begun again", got)
	}
}

func TestProgramThatDoesNotBegin(t *testing.T) {
	_, err := tryOpen(t.Context(), self(t, "badly"), "")
	if err == nil || !strings.Contains(err.Error(), "and said: cannot read the configuration [2J") {
		t.Errorf("Open() = %v, want what the program said", err)
	}
	if _, err := tryOpen(t.Context(), mcp.Server{Command: []string{"/nowhere/program"}}, ""); err == nil {
		t.Error("Open() of a program that is not there = nil")
	}
}

func TestProgramEndsWithTheRun(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	ctx := task(t, &fake.Authority{})
	set := open(ctx, t, self(t), "")
	call(ctx, t, find(t, set, "files__child"), map[string]any{"id": listener.Addr().String()})
	conn, err := listener.Accept() // of what the program started
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); err == nil { // which ends with it, or the test does not
		t.Errorf("read %d bytes", n)
	}
	if got := call(ctx, t, find(t, set, "files__env"), nil); got["status"] != string(jit.CallFailed) {
		t.Errorf("a call after the end = %v", got)
	}
}
