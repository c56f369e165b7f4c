package run

import (
	"strings"
	"testing"
)

// TestPage: what a terminal shows of Markdown fits it, and is the same whatever pieces it
// comes in. Nothing in the text drives the terminal, spelled as an entity either, and where
// a link leads is said.
func TestPage(t *testing.T) {
	const text = "# Revenue &amp; costs\nRevenue **rose by a tenth**, says the `review`.\nSee [it](https://api.test/doc).\n\n" +
		"- A list's item is continued under its *text*\n- next\n  1. and so is a numbered one\n\n" +
		"3) loose\n\n4) items\n\n> quoted, and folded to what is left of it\n\n" +
		"| a | long one |\n| --- | --- |\n| has | 列 |\n| longer | x |\n\n```go\nfunc  main() {}\n\nx\n```\n---\n" +
		"https://lumo.test/approve/jit_0123456789 is whole\n\n&#27;[2J &#x202e;<b>x</b> ![p](u) [bank](https://evil.test)\n"
	const want = `Revenue & costs

Revenue rose by a tenth,
says the ` + "`review`" + `.
See it
(https://api.test/doc).

- A list's item is
  continued under its text
- next
  1. and so is a numbered
     one

3) loose

4) items

│ quoted, and folded to
│ what is left of it

a       long one
has     列
longer  x

    func  main() {}

    x

──────────────────────────

https://lumo.test/approve/jit_0123456789
is whole

�[2J �<b>x</b> p (u) bank
(https://evil.test)
`
	for size := 1; size < len(text)+40; size += 13 {
		var out strings.Builder
		p := newPage(&out, 26, false)
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			if _, err := p.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := p.end(); err != nil || out.String() != want {
			t.Fatalf("in pieces of %d: %v\n%s\nwant:\n%s", size, err, &out, want)
		}
	}
}

// TestPageIsShownAsItComes: a block is shown when the next one begins, and not before,
// since it may go on.
func TestPageIsShownAsItComes(t *testing.T) {
	var out strings.Builder
	p := newPage(&out, 80, true)
	for _, step := range []struct{ write, shown string }{
		{"one **bold**\n", ""},
		{"goes on\n\n", ""},
		{"- two", ""},
		{"\n", "one \x1b[1mbold\x1b[22m\ngoes on\n"},
		{"\n  still two\n\n", ""},
		{"```\ncode\n", "\n- two\n\n  still two\n"},
	} {
		out.Reset()
		if _, err := p.Write([]byte(step.write)); err != nil || out.String() != step.shown {
			t.Errorf("Write(%q) shows %q, %v; want %q", step.write, &out, err, step.shown)
		}
	}
}
