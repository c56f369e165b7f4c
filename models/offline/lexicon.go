package offline

import (
	_ "embed"
	"strings"
)

//go:embed lexicon.txt
var lexiconText string

// A class is a set of the sections of lexicon.txt, which says what each is for.
type class uint64

// lexicon holds the classes of each word, and sections the class of each name.
var lexicon, sections = readLexicon(lexiconText)

func readLexicon(text string) (words, names map[string]class) {
	words, names = make(map[string]class), make(map[string]class)
	var c class
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			c = 1 << len(names)
			names[strings.Trim(line, "[]\n")] = c
		default:
			for w := range strings.FieldsSeq(line) {
				words[w] |= c
			}
		}
	}
	return words, names
}

// section returns the class of a name. It panics where lexicon.txt has no such
// section, as a test sees.
func section(name string) class {
	c, ok := sections[name]
	if !ok {
		panic("offline: lexicon.txt has no section " + name)
	}
	return c
}

// is reports whether a word in lower case is of any of the classes.
func (c class) is(word string) bool { return lexicon[word]&c != 0 }

// What a prompt is understood by.
var (
	documentCue   = section("documentCue")
	pluralCue     = section("pluralCue")
	cueFiller     = section("cueFiller")
	greeting      = section("greeting")
	determiner    = section("determiner")
	connector     = section("connector")
	titleCue      = section("titleCue")
	strictCue     = section("strictCue")
	titleNoun     = section("titleNoun")
	titleBefore   = section("titleBefore")
	titleGlue     = section("titleGlue")
	reportNoun    = section("reportNoun")
	foreignReport = section("foreignReport")
	article       = section("article")
	filler        = section("filler")
	readWord      = section("read")
	sumWord       = section("sum")
	makeWord      = section("make")
	askWord       = section("ask")
	negation      = section("not")
	againWord     = section("again")
	freshWord     = section("fresh")
	allWord       = section("all")
	effect        = section("effect")
	change        = section("change")
	objectOfIt    = section("object")
	toMe          = section("toMe")
	otherWork     = section("work")
	focusCue      = section("focus")
	generic       = section("generic")

	anyVerb = readWord | sumWord | makeWord | effect
	// common words tell of no document in particular.
	common = functionWord | generic | filler | readWord | sumWord | makeWord | askWord | documentCue | reportNoun | titleCue | determiner |
		negation | focusCue | againWord | freshWord | allWord
	// noID are the words that are no identifier unless "document" stands right before.
	noID = functionWord | generic | anyVerb | askWord | change | reportNoun | titleCue | filler | negation
)

// What documents and tools are understood by.
var (
	functionWord = section("function")
	abbreviation = section("abbreviation")
	weighty      = section("weighty")
	abstract     = section("abstract")
	subjectKey   = section("subjectKey")
	pronoun      = section("pronoun")

	fetchVerb    = section("fetchVerb")
	writeVerb    = section("writeVerb")
	otherVerb    = section("otherVerb")
	searchVerb   = section("searchVerb")
	documentWord = section("documentWord")
	reportWord   = section("reportWord")
	idWord       = section("idWord")
	titleWord    = section("titleWord")
	contentWord  = section("contentWord")
	sourceWord   = section("sourceWord")
	queryWord    = section("queryWord")

	deniedStatus  = section("deniedStatus")
	pendingStatus = section("pendingStatus")
	missingStatus = section("missingStatus")
	failedStatus  = section("failedStatus")
)
