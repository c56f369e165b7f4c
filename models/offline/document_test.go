package offline

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestReadDocument(t *testing.T) {
	tests := []struct {
		name, title, body string
		wantTitle         string
		want              []string
	}{
		{"nothing", "", "", "id", nil},
		{"only marks", "", "---\n***\n| | |\n", "id", nil},
		{"given title wins", "Given", "# Heading\n\nA pump.", "Given", []string{"A pump."}},
		{"front matter", "", "---\ntitle: \"Front\"\nkey: v\n---\n# Heading\n\nA pump.", "Front", []string{"A pump."}},
		{"unclosed front matter is text", "", "---\ntitle: Front\n\nA pump.", "id", []string{"title: Front", "A pump."}},
		{"windows line ends and a byte order mark", "", "\uFEFF# H\r\n\r\nA pump.\r\n", "H", []string{"A pump."}},
		{"markup is taken off", "", "**Bold** and _it_ [link](http://x.test) `code_1` <b>raw</b> &amp; \\* ![alt](i.png)", "id",
			[]string{"Bold and it link code_1 raw & * alt"}},
		{"list items stay whole", "", "- One. Two.\n- Three\n  - Four\n", "id", []string{"One. Two.", "Three", "Four"}},
		{"a table", "", "| Q | Rev | |\n|-|-|-|\n| Q1 | 4.2 | up |\n| | 3 | |\n", "id", []string{"Q1: Rev 4.2; up", "Rev 3"}},
		{"abbreviations", "", "Dr. Ada met J. Smith at 5 p.m. on Friday. It cost approx. 4.2 m.", "id",
			[]string{"Dr. Ada met J. Smith at 5 p.m. on Friday.", "It cost approx. 4.2 m."}},
		{"lines of a memo", "", "From: A\nSubject: Pumps\n\nA pump.", "Pumps", []string{"From: A", "Subject: Pumps", "A pump."}},
		{"japanese lines join without a space", "", "売上高は\n48億円です。次です。", "id", []string{"売上高は48億円です。", "次です。"}},
		{"lines that begin alike", "", "2026-03-04 10:00:07 INFO worker-1 request 5185 took 50 ms\n2026-03-04 10:01:07 ERROR worker-1 disk /var is full\n", "id",
			[]string{"2026-03-04 10:00:07 INFO worker-1 request 5185 took 50 ms", "2026-03-04 10:01:07 ERROR worker-1 disk /var is full"}},
		{"lines that end early", "", "Opening hours\nMonday 9 to 17\nTuesday 9 to 17", "id", []string{"Opening hours", "Monday 9 to 17", "Tuesday 9 to 17"}},
		{"lines of an item", "", "1. Roof\n   Three offers came.\n   DECISION: the first.\n", "id", []string{"Roof", "Three offers came.", "DECISION: the first."}},
		{"wrapped text", "", "The pump of the second floor was taken out in March and\nJonas brought it to the works, where it is being mended,\nand comes back in May.", "id",
			[]string{"The pump of the second floor was taken out in March and Jonas brought it to the works, where it is being mended, and comes back in May."}},
		{"comma-separated values", "", "id,name,note\n1,\"Lund, Bo\",\"likes\ntea\"\n2,\"Pires, Cy\",plain\n", "id", []string{"1: name Lund, Bo; note likes tea", "2: name Pires, Cy; note plain"}},
		{"hidden text", "", "<!--\nThe draft.\n\nIts rest.\n-->\n\nA pump. <!-- not this -->\n\n<p hidden>nor this</p>\n\n<style>\nnor { this }\n</style>\n", "id", []string{"A pump."}},
		{"a heading in HTML", "", "<h1 align=\"center\">Boat <i>house</i></h1>\n\nA pump.", "Boat house", []string{"A pump."}},
		{"code when there is nothing else", "", "```\nlet x be 1.\n```", "id", []string{"let x be 1."}},
		{"code beside text is left out", "", "A pump.\n\n```\ncode\n```", "id", []string{"A pump."}},
		{"html", "", "<div>\n<p>A pump.</p>\n<script>evil()</script>\n</div>", "id", []string{"A pump."}},
		{"control characters", "", "A\x1b[31m pu\x00mp\u202e.", "id", []string{"A[31m pump."}},
		{"invalid utf-8", "", "A \xff pump.", "id", []string{"A \ufffd pump."}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := readDocument("id", tt.title, tt.body, false, maxText)
			var got []string
			for _, u := range d.units {
				got = append(got, u.text)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("units (-want +got):\n%s", diff)
			}
			if d.title != tt.wantTitle {
				t.Errorf("title %q, want %q", d.title, tt.wantTitle)
			}
		})
	}
}

func TestTextsTogetherAreBounded(t *testing.T) {
	for n := 1; n <= maxIDs; n++ {
		if got := textLimit(n); got > maxText || got*n > maxTexts || got < maxTexts/maxIDs {
			t.Errorf("%d documents may have %d bytes each", n, got)
		}
	}
}

func TestReadDocumentSaysWhenItStopped(t *testing.T) {
	d := readDocument("id", "", strings.Repeat("四半期。", 100), false, 100)
	if !d.partial || len(d.units) == 0 {
		t.Errorf("partial %v, %d units", d.partial, len(d.units))
	}
	for _, u := range d.units {
		if !utf8.ValidString(u.text) || strings.Contains(u.text, "\ufffd") {
			t.Errorf("a character was cut: %q", u.text)
		}
	}
}

// Whatever the document, the summary is made of its words, without control
// characters, and no longer than its bounds.
func FuzzSummarize(f *testing.F) {
	files, err := filepath.Glob("testdata/docs/*")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b), "churn risk")
	}
	f.Add("| |\n|-|\n|", "")
	f.Add("- \n  - \n    > |", "a")
	f.Fuzz(func(t *testing.T, body, question string) {
		d := readDocument("id", "", body, false, maxText)
		s := summarize(d, terms(question), lengths{})
		if len(s.lead) > 2 || len(s.points) > 8 || len(s.figures) > maxFigures {
			t.Errorf("%d, %d and %d lines", len(s.lead), len(s.points), len(s.figures))
		}
		for _, line := range append(append(s.lead, s.points...), append(s.figures, search(d, terms(question))...)...) {
			if line == "" || len(line) > maxQuote+len("…") || !utf8.ValidString(line) || strings.ContainsFunc(line, unicode.IsControl) {
				t.Errorf("bad line %q", line)
			}
		}
		if body := (&work{docs: []*document{d}}).reportBody(); strings.Contains(strings.ToLower(body), "\n<script") {
			t.Errorf("markup in %q", body)
		}
	})
}

// Lists and tables of facts survive word for word.
func TestQuotesAreVerbatim(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fact := rapid.StringMatching(`[A-Z][a-z]{3,9} [a-z]{3,9} ((EUR|USD) |€)?[0-9]{1,3}([.,][0-9]{1,2})? ?(%|m|percent) in [A-Z][a-z]{4,9}`).Draw(rt, "fact")
		d := readDocument("id", "", "# Facts\n\nAn introduction that says little.\n\n- "+fact+"\n", false, maxText)
		w := work{docs: []*document{d}}
		for _, s := range []string{w.reportBody(), w.answer()} {
			if !strings.Contains(s, fact) {
				rt.Errorf("%q is not in %q", fact, s)
			}
		}
	})
}

func TestSummaryGrowsWithTheDocument(t *testing.T) {
	last := 0
	for _, n := range []int{1, 3, 10, 60, 600} {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "Pump%d of hall%d lost pressure%d under load%d. ", i, i, i, i)
		}
		s := summarize(readDocument("id", "", b.String(), false, maxText), nil, lengths{})
		got := len(s.lead) + len(s.points)
		if got < last || got > 10 {
			t.Errorf("%d sentences give %d lines, after %d", n, got, last)
		}
		last = got
	}
	if last < 6 {
		t.Errorf("600 sentences give %d lines", last)
	}
}

func TestSummaryDoesNotRepeatItself(t *testing.T) {
	d := readDocument("id", "", strings.Repeat("The pump in hall seven was replaced in May. ", 20)+"Costs were EUR 900 in total.", false, maxText)
	s := summarize(d, nil, lengths{})
	lines := append(append(s.lead, s.points...), s.figures...)
	if len(lines) != 2 || !strings.Contains(strings.Join(lines, " "), "EUR 900") {
		t.Errorf("got %q", lines)
	}
}

// A long table is quoted by its first rows, its totals and its last row.
func TestLongTablesKeepTheirTotals(t *testing.T) {
	var b strings.Builder
	b.WriteString("Sales by shop.\n\n| Shop | Sales |\n|---|---|\n")
	for i := range 40 {
		fmt.Fprintf(&b, "| Shop %d | %d |\n", i, 100+i)
	}
	b.WriteString("| Total | 4780 |\n| Target | 5000 |\n")
	s := summarize(readDocument("id", "", b.String(), false, maxText), nil, lengths{})
	want := []string{"Shop 0: Sales 100", "Shop 1: Sales 101", "Shop 2: Sales 102", "Shop 3: Sales 103", "Total: Sales 4780", "Target: Sales 5000"}
	if diff := cmp.Diff(want, s.figures); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
}

func TestReportTitleOfItsOwn(t *testing.T) {
	long := strings.Repeat("Very ", 40) + "long"
	tests := map[string][]string{
		"Report on A":                {"A"},
		"Report on A, B and C":       {"A", "B", "C"},
		"Report on 2 documents":      {long, long},
		clip("Report on "+long, 120): {long},
	}
	for want, titles := range tests {
		var w work
		for _, title := range titles {
			w.docs = append(w.docs, &document{title: title})
		}
		if got := w.reportTitle(); got != want || len(got) > maxTitle+len("…") {
			t.Errorf("title of %q = %q, want %q", titles, got, want)
		}
	}
}

func TestSummaryOfAGivenLength(t *testing.T) {
	body, err := os.ReadFile("testdata/docs/q4.md")
	if err != nil {
		t.Fatal(err)
	}
	d := readDocument("id", "", string(body), false, maxText)
	if s := summarize(d, nil, lengths{points: 4}); len(s.points) != 4 || len(s.lead)+len(s.figures) > 0 {
		t.Errorf("four points: %+v", s)
	}
	if s := summarize(d, nil, lengths{sentences: 3}); len(s.lead) != 3 || len(s.points)+len(s.figures) > 0 {
		t.Errorf("three sentences: %+v", s)
	}
	if s := summarize(d, terms("engineers hiring"), lengths{points: 1}); len(s.points) != 1 || !strings.Contains(s.points[0], "engineers") {
		t.Errorf("one point about engineers: %q", s.points)
	}
}

func TestSearch(t *testing.T) {
	read := func(name string) *document {
		body, err := os.ReadFile(filepath.Join("testdata/docs", name))
		if err != nil {
			t.Fatal(err)
		}
		return readDocument("id", "", string(body), false, maxText)
	}
	tests := []struct {
		doc, question string
		want          []string
	}{
		{"q4.md", "", nil},
		{"q4.md", "salary of the gardener", nil},
		{"policy.txt", "when does the Dublin contract end", nil},
		{"q4.md", "churn", []string{"Customer churn fell to 2.1%, down from 3.4% in Q3, after the new onboarding programme started in October."}},
		{"q4.md", "Europe Q4 revenue", []string{"Europe: Q3 revenue (EUR m) 1.6; Q4 revenue (EUR m) 1.7; Change +6.3%"}},
		{"policy.txt", "call recordings", []string{"Call recordings are different. They are kept for 90 days only, unless a dispute is open."}},
		{"japanese.md", "解約率", []string{"解約率は3.4%から2.1%に低下しました。"}},
		{"russian.md", "рампы", []string{"Две погрузочные рампы были закрыты с 12 по 19 ноября из-за ремонта.", "Г. Иванова предложила перенести ремонт третьей рампы на февраль."}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, search(read(tt.doc), terms(tt.question))); diff != "" {
			t.Errorf("%s: %q (-want +got):\n%s", tt.doc, tt.question, diff)
		}
	}
}

func TestMarkdownEscapes(t *testing.T) {
	tests := map[string]string{
		"# not a heading":                  `\# not a heading`,
		"- not an item":                    `\- not an item`,
		"1. not a number":                  `\1. not a number`,
		"[x]: http://x":                    `\[x]: http://x`,
		"a <b>c</b> [d](javascript:e) `f`": "a \\<b>c\\</b> [d\\](javascript:e) \\`f\\`",
		"doc_9982 *4.2* % < 5 & > 3":       "doc_9982 *4.2* % < 5 & > 3",
	}
	for in, want := range tests {
		if got := escape(in); got != want {
			t.Errorf("escape(%q) = %q, want %q", in, got, want)
		}
	}
}
