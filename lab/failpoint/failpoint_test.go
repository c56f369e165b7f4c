package failpoint

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

func TestUnreadableValuesAreRefused(t *testing.T) {
	for _, value := range []string{":1", "a:0", "a:-1", "a:x", "a:", "a:1:2"} {
		if s, err := newSet(value, func() {}); err == nil {
			t.Errorf("newSet(%q) = %+v, want an error", value, s)
		}
	}
}

func TestHit(t *testing.T) {
	for name, test := range map[string]struct {
		value string
		pass  []string
		want  int // of the passes, counted from 1, that kills; 0 for none
	}{
		"nothing armed":  {"", []string{"a", ""}, 0},
		"another point":  {"b", []string{"a", "ab", "b.c", ""}, 0},
		"first pass":     {"a", []string{"b", "a", "a"}, 2},
		"third pass":     {"a:3", []string{"a", "a", "b", "a", "a"}, 4},
		"joined by dots": {"a.b", []string{"a", "b", "a.b"}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			killed := []int{}
			at := 0
			s, err := newSet(test.value, func() { killed = append(killed, at) })
			if err != nil {
				t.Fatal(err)
			}
			for i, point := range test.pass {
				at = i + 1
				s.Hit(strings.Split(point, ".")...)
			}
			if test.want == 0 && len(killed) > 0 || test.want > 0 && (len(killed) != 1 || killed[0] != test.want) {
				t.Errorf("killed at passes %v, want at %d only", killed, test.want)
			}
		})
	}
	var none *Set
	none.Hit("a") // must not panic
}

// Of many at once, one dies.
func TestOnePassCounts(t *testing.T) {
	var mu sync.Mutex
	killed := 0
	s, err := newSet("a:50", func() { mu.Lock(); killed++; mu.Unlock() })
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() { s.Hit("a") })
	}
	group.Wait()
	if killed != 1 {
		t.Errorf("killed %d times, want once", killed)
	}
}

func TestMain(m *testing.M) {
	if os.Getenv("FAILPOINT_CHILD") == "" {
		os.Exit(m.Run())
	}
	defer func() { _, _ = os.Stdout.WriteString("deferred\n") }()
	s, err := New(os.Getenv)
	if err != nil {
		os.Exit(3)
	}
	buffered := bufio.NewWriter(os.Stdout)
	defer func() { _ = buffered.Flush() }()
	_, _ = buffered.WriteString("buffered\n")
	_, _ = os.Stdout.WriteString("before\n")
	s.Hit("child", "point")
	_, _ = os.Stdout.WriteString("after\n")
}

// A process that dies here leaves what kill -9 leaves.
func TestProcessIsKilled(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]string{
		"child.point":   "before\n",
		"child.point:2": "before\nafter\nbuffered\ndeferred\n",
		"":              "before\nafter\nbuffered\ndeferred\n",
	} {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), "FAILPOINT_CHILD=1", Env+"="+value)
		out, err := cmd.Output()
		if string(out) != want {
			t.Errorf("%s=%s: the process wrote %q, want %q", Env, value, out, want)
		}
		if died := err != nil; died != (value == "child.point") {
			t.Errorf("%s=%s: the process ended with %v", Env, value, err)
		}
	}
}
