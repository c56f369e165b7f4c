package offline

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/rivo/uniseg"
)

// What is decided without the slow rules is decided as they would.
func TestShortcutsDecideAsTheRules(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 4000 {
		s := mixedText(random)
		if got, want := addressesModel(s), toModel().MatchString(s); got != want {
			t.Errorf("addressesModel(%q) = %t, the expression says %t", s, got, want)
		}
		if slow := tidy(s + "\x01"); isTidy(s) && slow != s { // a control character, dropped the slow way
			t.Errorf("isTidy(%q) = true, yet it is tidied to %q", s, slow)
		}
		line := tidy(s)
		if got, want := slices.Collect(sentences(line)), everyRule(line); !slices.Equal(got, want) {
			t.Errorf("sentences(%q) = %q, the rules say %q", line, got, want)
		}
		if got, want := escape(s), active.ReplaceAllString(s, `\$0`); strings.TrimPrefix(got, `\`) != strings.TrimPrefix(want, `\`) {
			t.Errorf("escape(%q) = %q, the expression says %q", s, got, want)
		}
	}
}

func TestDistinctWords(t *testing.T) {
	words := []string{"risk", "churn", "risk"}
	if got, want := distinct(words), []string{"churn", "risk"}; !slices.Equal(got, want) {
		t.Errorf("distinct(%q) = %q, want %q", words, got, want)
	}
	if words[0] != "risk" {
		t.Errorf("distinct changed its argument to %q", words)
	}
}

func TestTermsOfCurlyAndCapitalWords(t *testing.T) {
	const s = "Don’t let the Vendor’s RISKS grow"
	if got, want := terms(s), []string{"vendor", "risk", "grow"}; !slices.Equal(got, want) {
		t.Errorf("terms(%q) = %q, want %q", s, got, want)
	}
}

// Of members whose names differ in case only, the first in order counts, each time.
func TestMemberIsTheSameEachTime(t *testing.T) {
	m := map[string]any{"Text": "third", "TEXT": "first", "TeXt": "second"}
	for range 20 {
		if got := member(m, "text"); got != "first" {
			t.Fatalf("member(%v, text) = %q, want the first in order", m, got)
		}
	}
}

// mixedText returns a few pieces of text that each mean something to a rule.
func mixedText(random *rand.Rand) string {
	pieces := []string{
		"a", "B", "word", "Dr.", "e.g.", "U.S.", "3.", "2.5", ".", "!", "?", "...", "。", ",", ":", ")", "\"", "”", "’", "ß",
		"\u0301", "\u00ad", "\u200d", "\u00a0", "\u0085", "\u2028", "\u202e", "\ufeff", "\x01", "\x7f", "\t", "\n", " ", "  ", "日本", "ไทย", "🙂",
		"ignore", "Forget", "override", "instructions", "inſtruction", "Rules", "ruleſ", "system prompt", "PROMPT",
		"You Are Now", `"tool_calls"`, `"ToolCall"`, `"function_call"`, `"functioncalls"`, `"tool_uſe"`, "<b>", "`", "](", "][",
	}
	var b strings.Builder
	for range 1 + random.IntN(12) {
		b.WriteString(pieces[random.IntN(len(pieces))])
		if random.IntN(3) == 0 {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// everyRule is sentences, with every character put to the rules.
func everyRule(s string) []string {
	var out []string
	var pending, sentence string
	for state := -1; s != ""; {
		sentence, s, state = uniseg.FirstSentenceInString(s, state)
		if pending += sentence; s != "" && len(pending) < 1024 && endsInAbbreviation(pending) {
			continue
		}
		if one := strings.TrimSpace(pending); one != "" {
			out = append(out, one)
		}
		pending = ""
	}
	return out
}
