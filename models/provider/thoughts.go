package provider

import "strings"

// pairs are the tags between which models write their thoughts, in whatever case. A
// server that knows its model's leaves none in the text; others hand them out, or the
// end tag alone where the chat template wrote the start.
var pairs = [...][2]string{
	{"<think>", "</think>"}, {"<thinking>", "</thinking>"}, {"<thought>", "</thought>"}, {"<reasoning>", "</reasoning>"},
	{"<seed:think>", "</seed:think>"}, {"[THINK]", "[/THINK]"}, {"◁think▷", "◁/think▷"},
	{"<|START_THINKING|>", "<|END_THINKING|>"}, {"<|begin_of_thought|>", "<|end_of_thought|>"},
}

// Thinks reports whether there are thoughts in a text, as [Read] finds them.
func Thinks(text string) bool {
	var s splitter
	s.split(text, true)
	return s.marked
}

// A splitter tells thoughts from the text that they come in. A start tag counts where it
// begins a line. An end tag without a start counts where it begins or ends a line, and
// all before it is a thought. Tags within a fence of Markdown are text.
type splitter struct {
	hold bool // the server has sent thoughts without a start: nothing is told before it is known

	held   string          // not told yet: a tag may begin in it
	kept   string          // not told yet, and text
	said   bool            // text was told
	line   string          // how the line begins that the text is in
	fence  bool            // the text is within a fence
	named  [len(pairs)]int // start tags in the text that are text themselves, of each pair
	within int             // the pair that thoughts are being read between, counted from 1; 0 is text
	nested int             // further start tags of that pair
	trim   bool            // line breaks that come first stand between a tag and what it marks
	marked bool            // there were thoughts
	late   bool            // there was an end tag without a start
}

// split returns what of a further piece is text and what is thought. last says that
// nothing follows.
func (s *splitter) split(piece string, last bool) (text, thought string) {
	s.held += piece
	text, s.kept = s.kept, ""
	for {
		if s.trim {
			s.held = strings.TrimLeft(s.held, "\r\n")
			s.trim = s.held == ""
		}
		at, n, pair, end := s.tag(s.held, last)
		before, tag, rest := s.held[:at], s.held[at:at+n], s.held[at+n:]
		var is meaning
		switch s.held = rest; {
		case s.within > 0:
			thought += before
			is = s.ofThought(tag, rest, end, last)
		default:
			text += before
			s.follow(before)
			is = s.ofText(tag, rest, pair, end, last)
		}
		switch is {
		case begins:
			if !s.said && strings.TrimSpace(text) == "" {
				text = ""
			}
			s.within, s.nested, s.trim, s.marked = pair+1, 0, true, true
		case ends:
			if s.within == 0 {
				text, thought, s.late = "", thought+strings.TrimRight(text, "\r\n"), true
				s.held = strings.TrimLeft(rest, " \t")
			}
			s.within, s.line, s.trim, s.marked = 0, "", true, true
		case itself:
			if s.within > 0 {
				thought += tag
			} else {
				text += tag
				s.follow(tag)
			}
		case unknown:
			s.held = tag + rest
			if !last && (s.hold && !s.marked || !s.said && strings.TrimSpace(text) == "") {
				text, s.kept = "", text
			}
			s.said = s.said || text != ""
			return text, thought
		}
	}
}

// meaning is what a tag is, where it stands.
type meaning uint8

const (
	unknown meaning = iota // there is no tag, or not all of it or of what decides
	begins                 // thoughts
	ends
	itself // a part of the text or thought
)

func (s *splitter) ofText(tag, rest string, pair int, end, last bool) meaning {
	after := strings.TrimLeft(rest, " \t\r")
	alone := strings.TrimSpace(s.line) == ""
	switch {
	case tag == "":
		return unknown
	case s.fence:
		return itself
	case !end && alone:
		return begins
	case !end:
		s.named[pair]++
		return itself
	case s.named[pair] > 0:
		s.named[pair]--
		return itself
	case alone, after != "" && after[0] == '\n', after == "" && last:
		return ends
	case after == "":
		return unknown
	}
	return itself
}

// ofThought ends thoughts at the end tag that has none after it for the same thoughts.
func (s *splitter) ofThought(tag, rest string, end, last bool) meaning {
	// most bounds what is held back to find that out.
	const most = 64 << 10
	switch {
	case tag == "":
		return unknown
	case !end:
		s.nested++
		return itself
	case s.nested == 0:
		return ends
	}
	_, n, _, another := s.tag(rest, last)
	switch {
	case n > 0 && another:
		s.nested--
		return itself
	case n > 0, last, len(rest) > most:
		return ends
	}
	return unknown
}

// follow keeps what is known of the line that the text is in.
func (s *splitter) follow(text string) {
	const enough = 16
	for {
		line, rest, ended := strings.Cut(text, "\n")
		s.line += line[:min(len(line), max(0, enough-len(s.line)))]
		if !ended {
			return
		}
		if strings.HasPrefix(strings.TrimLeft(s.line, " \t"), "```") {
			s.fence = !s.fence
		}
		s.line, text = "", rest
	}
}

// tag finds the first tag in text, within thoughts one of their own pair: where it is,
// how long it is, and which. Where there is none, or not all of it, the length is 0.
func (s *splitter) tag(text string, last bool) (at, n, pair int, end bool) {
	for at = range len(text) {
		if c := text[at]; c != '<' && c != '[' && c != "◁"[0] {
			continue
		}
		rest := text[at:]
		for i, pair := range pairs {
			if s.within > 0 && s.within != i+1 {
				continue
			}
			for j, tag := range pair {
				switch n := min(len(tag), len(rest)); {
				case !strings.EqualFold(rest[:n], tag[:n]):
				case n == len(tag):
					return at, n, i, j == 1
				case !last:
					return at, 0, 0, false
				}
			}
		}
	}
	return len(text), 0, 0, false
}
