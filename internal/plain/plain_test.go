package plain_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/jitagent/jitagent/internal/plain"
)

func TestLine(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"short", "short"},
		{"a\tb\nc\r", "a b c "},
		{"\x1b[31mred\x7f\u009b", "\uFFFD[31mred\uFFFD\uFFFD"},
		{"left\u202eright\u2066", "left\uFFFDright\uFFFD"},
		{strings.Repeat("ü", 30), strings.Repeat("ü", 20) + "…"},
		{"\xff", "\uFFFD"},
	} {
		if got := plain.Line(tt.in, 20); got != tt.want {
			t.Errorf("Line(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestText(t *testing.T) {
	if got := plain.Text("a\r\n\tb\x1b[31m\u202e"); got != "a\n\tb\uFFFD[31m\uFFFD" {
		t.Errorf("Text() = %q", got)
	}
}

func TestJSONShowsNothingThatDrivesATerminal(t *testing.T) {
	const hostile = "C1 \u009b31m, DEL \x7f, bidi \u202e\u2066, tag \U000E0041, wide 😀, \uFFFD, é\n"
	text, err := json.Marshal(map[string]string{"s": hostile})
	if err != nil {
		t.Fatal(err)
	}
	got := plain.JSON(append(text, '\n'))
	for _, r := range string(got) {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("JSON() has %U: %s", r, got)
		}
	}
	var back map[string]string
	if err := json.Unmarshal(got, &back); err != nil || back["s"] != hostile {
		t.Errorf("JSON() reads as %q, %v, want %q", back["s"], err, hostile)
	}
	if !strings.Contains(string(got), "😀") || !strings.Contains(string(got), "é") {
		t.Errorf("JSON() = %s: what is printable must stay", got)
	}
}

func TestCount(t *testing.T) {
	if one, two, more := plain.Count(1, "entry"), plain.Count(2, "token"), plain.Count(3, "entry"); one != "1 entry" || two != "2 tokens" || more != "3 entries" {
		t.Errorf("Count() = %q, %q, %q", one, two, more)
	}
}

func TestNearest(t *testing.T) {
	words := []string{"quiet", "stream", "json", "debug"}
	for word, want := range map[string]string{"quite": "quiet", "steam": "stream", "jsn": "json", "documents": "", "": ""} {
		if got := plain.Nearest(word, words); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestFold(t *testing.T) {
	for _, tt := range []struct {
		text          string
		width, indent int
		want          string
	}{
		{"one  two three four five six seven", 30, 5, "one two three four five\n     six seven"},
		{"one two https://lumo.test/a/long/address three", 30, 5, "one two\nhttps://lumo.test/a/long/address\n     three"},
		{"https://lumo.test/a/long/address three", 30, 5, "https://lumo.test/a/long/address\n     three"},
		{"世界 世界 世界 世界 世界 世界", 22, 2, "世界 世界 世界 世界\n  世界 世界"},
		{"no  room", 20, 5, "no  room"},
		{"no  terminal", 0, 0, "no  terminal"},
	} {
		if got := plain.Fold(tt.text, tt.width, tt.indent); got != tt.want {
			t.Errorf("Fold(%q, %d, %d) = %q, want %q", tt.text, tt.width, tt.indent, got, tt.want)
		}
	}
}
