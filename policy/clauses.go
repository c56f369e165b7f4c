package policy

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A message is what a person said at once.
type message struct {
	text    string // folded
	clauses [][]token
}

// A token is a word of a message.
type token struct {
	word  string // without the marks around it
	field string // with them
	// ends is the mark behind it that ends a clause: ',' or, with the sentence, '.' or '?'.
	ends rune
	mute bool // it stands in a question, or behind a negation: it asks for nothing
	out  bool // it names what is not meant
}

// listen reads a message. named is its text without what a negation takes out.
func listen(text string) (m message, named string) {
	var all []token
	for line := range strings.Lines(text) {
		at := len(all)
		for field := range strings.FieldsSeq(fold(line)) {
			if strings.HasPrefix(field, "(") && len(all) > at && all[len(all)-1].ends == 0 {
				all[len(all)-1].ends = ','
			}
			word := strings.ReplaceAll(strings.TrimFunc(field, func(r rune) bool { return !isWord(r) }), "’", "'")
			all = append(all, token{word: word, field: field, ends: mark(field, word)})
		}
		if len(all) > at && all[len(all)-1].ends != '?' {
			all[len(all)-1].ends = '.'
		}
	}
	mute(all)
	fields, out := make([]string, 0, len(all)), make([]string, 0, len(all))
	for i, begin := 0, 0; i < len(all); i++ {
		field := all[i].field
		fields = append(fields, field)
		if all[i].out {
			field = ";" // which no name goes across
		}
		out = append(out, field)
		if all[i].ends != 0 {
			m.clauses = append(m.clauses, all[begin:i+1])
			begin = i + 1
		}
	}
	m.text = strings.Join(fields, " ")
	return m, strings.Join(out, " ")
}

func mark(field, word string) rune {
	last, _ := utf8.DecodeLastRuneInString(strings.TrimRight(field, `"'”’“`))
	switch {
	case last == '?':
		return '?'
	case strings.ContainsRune(".!;。", last):
		return '.'
	case strings.ContainsRune(",:)", last), word == "":
		return ','
	}
	return 0
}

func list(s string) map[string]bool { return set(strings.Fields(s)) }

var (
	// negates are words that take back what follows in the clause, some of them only
	// before another word. Words on "n't" do so too.
	negates = map[string]string{
		"not": "", "no": "", "never": "", "nothing": "", "none": "", "nobody": "", "neither": "", "nor": "", "without": "", "dont": "", "cannot": "", "cant": "",
		"avoid": "", "avoiding": "", "refrain": "", "refraining": "", "skip": "", "skipping": "", "omit": "", "ignore": "", "exclude": "", "forbidden": "",
		"forbid": "", "prohibited": "", "unable": "", "stop": "", "instead": "of", "rather": "than", "leave": "out", "leaving": "out", "stay": "away", "keep": "away",
	}
	// excepts are negations behind which, behind another one, something is meant.
	excepts = map[string]string{"but": "", "except": "", "excepting": "", "excluding": "", "besides": "", "other": "than", "apart": "from", "aside": "from"}
	// resumes are words that a negation does not reach past.
	resumes = list("and but then just only instead forget hesitate fail worry")
	// Between a negation and what is not meant stand these: "do not ever read the file".
	fillers = list("you ever even dare want need to from of for than please try go near out away for any anything data content contents or me")
	looks   = list(`access check cite compare consult consider fetch fetching find get include including list load look looking mention mentioning open opening print
		quote read reading search see show summarise summarize summarizing touch touching use using view`)
	objects = list("the this that these those my our your his her their document documents file files id")
	within  = list("in into on at about from of for with which that when where while so because")
	is      = list("is are was were be been am it that there if why or")
	// speakers do not say of themselves what an agent must not do.
	speakers = list("i we they he she it who")
	auxil    = list("do did can could have has had will would")

	questions = list("what who whom whose which why how where when what's who's is are was were does did has had")
	faint     = list("isn't aren't wasn't doesn't didn't haven't hasn't") // these tell, and order nothing
	subjects  = list("i we you they he she it")
	modals    = list("can could would will")
)

// mute marks what asks for nothing and what is not meant.
func mute(all []token) {
	var neg, held, near, hide, question bool
	begins, sentence := true, true
	for i := range all {
		t := &all[i]
		at := func(j int) string {
			if j = i + j; j < 0 || j >= len(all) || j < i && all[j].ends != 0 {
				return ""
			}
			return all[j].word
		}
		before := !sentence && neg // the clause before was negated, where one begins
		if begins {
			neg, near, hide = neg && held, held, false
			question = question && !sentence && asksOn(all[i:]) || questions[t.word] && (!subjects[at(1)] || !strings.HasPrefix(t.word, "w"))
		}
		if t.word == "please" || t.word == "then" || begins && (t.word == "and" || t.word == "also") || (begins || at(-1) == "and") && modals[t.word] && at(1) == "you" {
			question = false
		}
		next, except := excepts[t.word]
		except = except && (next == "" || next == at(1)) && (t.word != "but" || quantified(all[:i]))
		switch {
		case except:
			neg = !neg && !before
			near, hide = neg, false
		case negative(t.word, at(1)):
			neg = true
			held = (t.ends == ',' || asking[at(1)] && all[i+1].ends == ',') && (t.word == "not" || t.word == "never" || strings.HasSuffix(t.word, "n't")) && at(-1) != "if" && at(-1) != "or"
			subject := at(-1)
			if auxil[subject] {
				subject = at(-2)
			}
			near = !is[at(-1)] && !strings.HasSuffix(at(-1), "'s") && !speakers[subject] && !faint[t.word]
		case t.word == "and" && hide && (telltale(at(1)) || objects[at(1)]): // both are not meant
		case resumes[t.word]:
			neg, hide = false, false
		case !neg:
		case near && (looks[t.word] || objects[t.word] || telltale(t.word)):
			hide = true
		case t.word == "you":
			near = true // "I do not want you to"
		case within[t.word] && !looks[at(-1)] && !fillers[at(-1)]:
			hide = false // "the annex of doc_1" is not doc_1
		case !fillers[t.word] && !within[t.word]:
			near = false
		}
		t.mute, t.out = neg || question, hide
		begins, sentence = t.ends != 0, t.ends == '.' || t.ends == '?'
		if sentence {
			held = false
		}
	}
}

// asksOn reports whether a sentence ends with a question mark.
func asksOn(rest []token) bool {
	i := slices.IndexFunc(rest, func(t token) bool { return t.ends == '.' || t.ends == '?' })
	return i >= 0 && rest[i].ends == '?'
}

func negative(word, next string) bool {
	behind, ok := negates[word]
	return ok && (behind == "" || behind == next) || strings.HasSuffix(word, "n't")
}

// quantified reports whether "but" makes an exception: "all documents but this".
func quantified(before []token) bool {
	for i := len(before) - 1; i >= max(0, len(before)-4); i-- {
		switch w := before[i].word; {
		case before[i].ends != 0, w == "of", w == "in":
			return false
		case w == "all", w == "each", strings.HasPrefix(w, "every"), strings.HasPrefix(w, "any"):
			return true
		}
	}
	return false
}

var (
	numerals = map[string]int{"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "couple": 2}
	// distributes are words by which one request stands for several.
	distributes = list("each every both per all separate separately individual individually respectively")

	softly = list("just kindly now quickly simply first only again")
	// leads stand before the verb of a request, some of them only behind another word.
	leads = map[string]map[string]bool{
		"and": nil, "or": nil, "but": nil, "plus": nil, "then": nil, "also": nil, "finally": nil, "next": nil, "please": nil, "to": nil, "us": nil, "help": nil, "let's": nil,
		"do": nil, "go": nil, "so": nil, "possible": nil, "me": list("help let"), "you": list("can could would will and"), "must": agents, "should": agents, "can": agents, "could": agents,
		"will": agents, "would": agents,
	}
	agents = list("you we i agent assistant")
	// begun stand before it where it goes on "-ing".
	begun = list("am i'm mind start begin by try be keep")
	// governs are verbs of which a thing is asked for: "I need a report".
	governs = list(`add arrange as book build compile compose deliver do file generate get give into issue make need place prepare produce provide put
		raise require send set start submit turn update change want like`)
	makes   = list("update change set create make write prepare produce")
	opens   = list("on about for please")                   // "A report on churn, please"
	told    = list("how what when where whether which who") // before "to": an explanation is asked for
	several = list("a an another one single new some my")
	between = list("me us him her them it you up together back out please also doing is")
)

// form says in which form a word is one of a kind: "" in none, else as it is ("="), on
// "s" or "ing", or in another one ("~").
func form(word, kind string) string {
	word = strings.TrimSuffix(word, "-up")
	switch {
	case word == kind:
		return "="
	case !inflected(word, kind):
		return ""
	case strings.HasSuffix(word, "ing"):
		return "ing"
	case strings.HasSuffix(word, "s"):
		return "s"
	}
	return "~"
}

// asked says how many effects of an aim's kind the message asks for; things is how
// many things were named that it could mean by "each".
func (m message) asked(aim Aim, things int) int {
	n, one, each := 0, false, false
	kinds := make([][]string, len(aim.AskedBy))
	for i, kind := range aim.AskedBy {
		kinds[i] = strings.Fields(fold(kind))
	}
	for _, c := range m.clauses {
		for i, t := range c {
			if t.mute {
				continue
			}
			each = each || distributes[t.word] && (n > 0 || i > 0 && c[i-1].word == "for")
			count := 0
			for _, words := range kinds {
				count = max(count, asks(c, i, words, aim))
			}
			if count == 0 {
				continue
			}
			n = max(n, count)
			if i > 0 && slices.Contains([]string{"one", "single", "1"}, c[i-1].word) { // "one report each", but not "one report on all of them"
				rest := c[i+1:]
				one = len(rest) == 0 || !distributes[rest[0].word] && (rest[0].word != "for" || len(rest) < 2 || !distributes[rest[1].word])
			}
		}
	}
	if n > 0 && each && !one {
		n = max(n, things)
	}
	return n
}

// asks says how many effects are asked for by the word of a clause at i, if it begins the
// words of a kind: as a verb that orders, or as the thing that is ordered.
func asks(c []token, i int, words []string, aim Aim) int {
	if len(words) == 0 || i+len(words) > len(c) {
		return 0
	}
	f := form(c[i].word, words[0])
	for k, w := range words[1:] {
		if form(c[i+1+k].word, w) == "" {
			return 0
		}
	}
	rest := c[i+len(words):]
	switch {
	case f == "", len(rest) > 0 && telltale(rest[0].word) && !aim.takesIDs(): // "report doc_1" is a document
		return 0
	case orders(c, i, f, rest):
		return 1
	}
	return ordered(c, i, f, rest, aim)
}

// orders reports whether a word is the verb of a request.
func orders(c []token, i int, form string, rest []token) bool {
	switch {
	case form != "=" && form != "ing":
		return false
	case len(rest) == 0: // "Report!", but not "memo: ..." or "the memo and report"
		return i == 0 && c[i].ends == '.'
	case negative(rest[0].word, ""): // "create nothing"
		return false
	}
	j := i - 1
	for j >= 0 && softly[c[j].word] {
		j--
	}
	if j < 0 {
		return form == "="
	}
	last := c[j].word
	if form == "ing" {
		return begun[last] || (last == "and" || last == "then") && slices.ContainsFunc(c[:j], func(t token) bool { return begun[t.word] })
	}
	if telltale(last) && several[rest[0].word] { // "Based on doc_1 create a report"
		return true
	}
	behind, ok := leads[last]
	return ok && (behind == nil || j == 0 || behind[c[j-1].word]) && (last != "to" || j == 0 || !told[c[j-1].word] && (j < 2 || !several[c[j-2].word]))
}

// ordered says how many of a thing a clause orders: "I need three reports".
func ordered(c []token, i int, as string, rest []token, aim Aim) int {
	verb := func(j int) bool {
		ordered := func(kind string) bool { return orders(c, j, form(c[j].word, kind), c[j+1:]) }
		may := c[j].word == "have" && j > 1 && agents[c[j-1].word] && (modals[c[j-2].word] || c[j-2].word == "may") // "could I have"
		return !c[j].mute && (may || governs[c[j].word] || slices.ContainsFunc(aim.AskedBy, ordered))
	}
	n, indefinite, j := 1, false, i-1
	for ; j >= max(0, i-4); j-- {
		w := c[j].word
		many := numerals[w]
		if digits, err := strconv.Atoi(w); err == nil && digits < 100 {
			many = digits
		}
		if many > 0 || several[w] {
			indefinite = true
			if as == "s" {
				n = max(n, many)
			}
			continue
		}
		if indefinite || verb(j) || w == "and" || w == "in" || between[w] {
			break
		}
		if objects[w] && j > 0 && makes[c[j-1].word] && verb(j-1) { // "update the password"
			return n
		}
		if objects[w] || within[w] || questions[w] || looks[w] {
			return 0
		}
	}
	for j >= 0 && between[c[j].word] {
		j--
	}
	if as != "=" && as != "s" || as == "=" && !indefinite {
		return 0
	}
	if j < 0 { // "A report on churn, please"
		negated := slices.ContainsFunc(rest, func(t token) bool { return t.mute })
		if !negated && (len(rest) == 0 || opens[rest[0].word]) {
			return n
		}
		return 0
	}
	if c[j].word == "and" || c[j].word == "in" { // what governs the one governs the other
		for j > 0 && !verb(j) && !looks[c[j].word] {
			j--
		}
	}
	if verb(j) {
		return n
	}
	return 0
}

// takesIDs reports whether the effect is one on things that go by an id.
func (a Aim) takesIDs() bool {
	for _, t := range a.Targets {
		if t.As != FromWords && t.Type != "number" && t.Type != "url" {
			return true
		}
	}
	return false
}
