package offline

// What a prompt is understood by. All in lower case.
var (
	// documentCues announce an identifier.
	documentCues = set("document documents doc docs file files id ids identifier identifiers")
	pluralCues   = set("documents docs files ids identifiers")
	cueFillers   = set("id ids identifier number no nr called named titled entitled")
	greetings    = set("hello hi hey")
	determiners  = set("the this that my your our each every these those which what any no said how many")
	connectors   = set("and or & + plus also with together")

	// titleCues announce a title.
	titleCues   = set("titled entitled called named title heading headline name as it")
	strictCues  = set("titled entitled called named")
	titleNouns  = set("title heading headline name")
	titleBefore = set("with under give giving set use using having")
	titleGlue   = set("is as be should must shall it to simply just")

	reportNouns = set("report reports write-up writeup briefing memo dossier")
	// foreignReports are reports in other languages, which come without English
	// verbs; reportStems are those of scripts without spaces or with prefixes.
	foreignReports = set("bericht informe rapport relatório rapporto raport отчет отчёт отчета отчёта звіт αναφορά रिपोर्ट")
	reportStems    = []string{"レポート", "報告書", "报告", "報告", "보고서", "تقرير"}
	articles       = set("a an one the this that my our new short full single combined joint common final summary brief")

	fillers = set(`please kindly now also then next first second finally lastly and can could would will you i we want
		need needs to like i'd let's lets let just after that afterwards again help try should must have id ok okay so well
		hi hello hey there me us im i'm go ahead and, but once done thanks`)

	readWords = set(`fetch get read load open retrieve pull download look check view see show access obtain bring grab
		use take consult scan study find`)
	sumWords = set(`summarise summarize summarised summarized summary summaries summarising summarizing sum condense
		outline recap digest describe explain analyse analyze review compare overview highlight list extract tl;dr tldr
		boil gist synopsis abstract distil distill cover`)
	makeWords = set(`create make write produce generate draft prepare compile build file save compose turn assemble put
		record store add give want need combine merge do publish like`)
	askWords = set(`what which who whom whose when where why how is are was were does did has tell answer any whether`)

	// negations keep what follows them, within a clause, from being done.
	negations = set(`don't dont not never without except excluding no neither nor skip ignore omit avoid instead`)

	againWords = set("again retry continue proceed resume approved granted rerun redo")
	freshWords = set("again refetch re-fetch reload refresh refreshed re-read reread latest current anew retry")
	allWords   = set("all both them these those everything every each together combined")

	// effects are requests beyond this model, by the verb that a clause begins with.
	effects = set(`delete erase destroy purge translate email e-mail mail send share forward upload overwrite approve deny
		reject revoke grant purchase buy schedule tweet execute install hack bypass sing draw paint play calculate compute
		convert encrypt decrypt subscribe browse google deploy`)
	// changes are effects only when done to a document or report: "remove doc_1", not
	// "remove the jargon".
	changes = set("remove drop rename edit modify change update replace move copy archive sign print post")
	objects = set("it them this that these those everything all report reports")
	// givesToMe makes harmless sense of "send me", "share with us", "update me".
	givesToMe = set("me us back with")
	// works are what a writer of reports does not write.
	works = set(`poem poems song songs story stories code program script email e-mail letter joke jokes essay tweet novel
		haiku limerick recipe app website`)
	// focusCues announce what a summary is to dwell on.
	focusCues = set("focus focusing focused focussing emphasis emphasise emphasize emphasising emphasizing especially particularly about regarding concerning")

	// generic words carry no question of their own.
	generic = set(`document documents doc docs file files text page content contents say says said state states mention
		mentions mentioned contain contains include includes tell talk talks describe describes explain summary summarise
		summarize summarised summarized summaries main key point points important thing things anything something
		everything information info detail details give know find show look read fetch get report reports title titled
		please thanks thank hello hi hey question answer create make write need want like help according exactly briefly
		short quick brief overview gist regarding concerning respect earlier previous retrieve open load analyse analyze
		review compare list see check tl;dr tldr word words sentence sentences bullet bullets first next finally combine
		combined one two three new single highlight use takeaway takeaways go good great well okay ok also additionally available exist existing there in into focus focusing
		focused emphasis especially particularly covers cover covered search wrote written
		keep share send stop wait`)
)

// numbers are the counts that a person writes out.
var numbers = map[string]int{
	"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
	"1": 1, "2": 2, "3": 3, "4": 4, "5": 5, "6": 6, "7": 7, "8": 8, "9": 9, "10": 10, "single": 1,
}
