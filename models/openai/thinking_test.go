package openai

import "testing"

// Each family's tags mark thoughts, however the stream cuts them.
func TestThoughtTags(t *testing.T) {
	for start, end := range tags {
		var s splitter
		var text, thought string
		whole := start + "hidden" + end + "\nshown"
		for i := range len(whole) {
			more, hidden := s.split(whole[i:i+1], false)
			text, thought = text+more, thought+hidden
		}
		more, hidden := s.split("", true)
		if text, thought = text+more, thought+hidden; text != "shown" || thought != "hidden" {
			t.Errorf("%s: got text %q, thought %q", start, text, thought)
		}
	}
	for _, start := range []string{"<THINK>", "<reasoning>", "◁think▷", "<|START_THINKING|>"} {
		if tags[start] == "" {
			t.Errorf("%s marks no thoughts", start)
		}
	}
}
