package challenge_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/rar"
)

const (
	object = `{"type":"file_access","actions":["read"],"identifier":"doc_9982"}`
	bearer = `Bearer error="insufficient_authorization_details"`
	// The base64 of this one has + and / in it, or - and _.
	bothOdd = `{"type":"a","identifier":"~~~???ÿÿÿ>>>"}`
)

func doc(id string) rar.Detail {
	return rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: id}
}

func std(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func hint(value string) string {
	return `{"error":"insufficient_authorization_details","authorization_details_hint":` + value + `}`
}

// header makes a header of names and values in turn; a name may come again.
func header(pairs ...string) http.Header {
	h := make(http.Header)
	for i := 0; i < len(pairs); i += 2 {
		h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
	}
	return h
}

func insufficient(values ...string) http.Header {
	h := make(http.Header)
	h[challenge.Header] = values
	return h
}

// with adds lines to h.
func with(h http.Header, pairs ...string) http.Header {
	for name, lines := range header(pairs...) {
		h[name] = append(h[name], lines...)
	}
	return h
}

// manyDetails is the JSON of n details that differ.
func manyDetails(n int) string {
	var all []rar.Detail
	for i := range n {
		all = append(all, rar.Detail{Type: fmt.Sprint("t", i)})
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// Demands that cannot be read. Each stands beside a perfect body hint: nothing in
// the header may be papered over by it.
func TestParseMalformedHeader(t *testing.T) {
	// Its encoding has + and / in the standard alphabet: with one of them replaced
	// it is in both alphabets at once, and otherwise right.
	mixed := strings.Replace(std(bothOdd), "/", "_", 1)
	if !strings.Contains(mixed, "+") || !strings.Contains(mixed, "_") {
		t.Fatalf("the test's own text shows nothing: %s", mixed)
	}
	for name, h := range map[string]http.Header{
		"empty":                   insufficient(""),
		"spaces":                  insufficient(" \t "),
		"commas":                  insufficient(" ,, , "),
		"JSON as it is":           insufficient(object),
		"quoted":                  insufficient(`"` + std(object) + `"`),
		"not base64":              insufficient("!!!!"),
		"base64 of no JSON":       insufficient(std("hello")),
		"base64 of null":          insufficient(std("null")),
		"base64 of a string":      insufficient(std(`"file_access"`)),
		"empty object":            insufficient(std(`{}`)),
		"empty array":             insufficient(std(`[]`)),
		"no type":                 insufficient(std(`{"actions":["read"]}`)),
		"duplicate members":       insufficient(std(`{"type":"a","type":"b"}`)),
		"case variant":            insufficient(std(`{"type":"a","Actions":["delete"]}`)),
		"text after the object":   insufficient(std(object + "x")),
		"two objects in one":      insufficient(std(object + object)),
		"cut short":               insufficient(std(object)[:20]),
		"one padding of two":      insufficient(strings.TrimSuffix(twoPads(object), "=")),
		"too much padding":        insufficient(strings.TrimRight(std(object), "=") + "===="),
		"space inside":            insufficient(std(object)[:8] + " " + std(object)[8:]),
		"line end inside":         insufficient(std(object)[:8] + "\n" + std(object)[8:]),
		"text after the padding":  insufficient(std(object+"  ") + "x"),
		"stray bits":              insufficient(strayBits(object)),
		"both alphabets":          insufficient(mixed),
		"base64 twice":            insufficient(std(std(object))),
		"semicolon":               insufficient(std(object) + ";" + std(object)),
		"second value bad":        insufficient(std(object) + ", nonsense!"),
		"second line bad":         insufficient(std(object), "nonsense!"),
		"first line bad":          insufficient("nonsense!", std(object)),
		"bad in another case":     with(insufficient(std(object)), "insufficient-authorization-details", "!"),
		"too many in an array":    insufficient(std(manyDetails(rar.MaxDetails + 1))),
		"too many over lines":     insufficient(std(manyDetails(rar.MaxDetails)), std(`{"type":"more"}`)),
		"too long":                insufficient(std(object + strings.Repeat(" ", challenge.MaxHeader*3/4))),
		"too long over lines":     insufficient(strings.Repeat(std(object)+",", 100), strings.Repeat(std(object)+",", 100)),
		"1 MiB":                   insufficient(strings.Repeat("A", 1<<20)),
		"1 MiB of commas":         insufficient(strings.Repeat(",", 1<<20)),
		"deep":                    insufficient(std(`{"type":"a","x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}")),
		"insufficient_scope":      with(insufficient(std(object)), "Www-Authenticate", `Bearer error="insufficient_scope"`),
		"invalid_token":           with(insufficient(std(object)), "WWW-AUTHENTICATE", `bearer realm=x, ERROR=invalid_token`),
		"demand without a header": header("Www-Authenticate", bearer+` error_description="no comma"`),
		"demand, quote open":      header("Www-Authenticate", bearer+`, error_description="`),
		"demand, twice error":     header("Www-Authenticate", bearer+`, error="x"`),
		"1 MiB of challenges":     header("Www-Authenticate", bearer+strings.Repeat(",x=1", 1<<18)),
		"1 MiB of something":      header("Www-Authenticate", strings.Repeat("x", 1<<20)),
		"odd, beside the hint":    header("Www-Authenticate", `Bearer realm="`),
	} {
		t.Run(name, func(t *testing.T) {
			h.Set("Content-Type", "application/json")
			got, err := challenge.Parse(http.StatusForbidden, h, []byte(hint(object)))
			checkMalformed(t, got, err, challenge.SourceHeader)
			if name == "odd, beside the hint" {
				return // an ordinary refusal by itself
			}
			got, err = challenge.Parse(http.StatusUnauthorized, h, nil)
			checkMalformed(t, got, err, challenge.SourceHeader)
		})
	}
}

// twoPads returns the encoding of text, with as many spaces after it as make the
// padding two long.
func twoPads(text string) string {
	for !strings.HasSuffix(std(text), "==") {
		text += " "
	}
	return std(text)
}

// strayBits sets the unused bits in front of the padding of text's encoding.
func strayBits(text string) string {
	s := []byte(twoPads(text))
	s[len(s)-3]++
	return string(s)
}

func checkMalformed(t *testing.T, got *challenge.Challenge, err error, source challenge.Source) {
	t.Helper()
	malformed, ok := errors.AsType[*challenge.MalformedError](err)
	if got != nil || !ok {
		t.Fatalf("Parse = %v, %v, want a *MalformedError", got, err)
	}
	if malformed.Source != source || malformed.Reason == "" || errors.Is(err, challenge.ErrNone) {
		t.Errorf("Parse: source %q, reason %q, want source %q", malformed.Source, malformed.Reason, source)
	}
	if s := err.Error(); !strings.HasPrefix(s, "challenge: malformed ") || strings.Count(s, "challenge: ") != 1 || len(s) > 400 {
		t.Errorf("Parse: error %q", s)
	}
	if s := err.Error(); strings.Contains(s, "doc_9982") || strings.Contains(s, std(object)[:16]) {
		t.Errorf("Parse: error %q quotes what was sent", s)
	}
}

func TestParseMalformedBody(t *testing.T) {
	demand := header("Www-Authenticate", bearer, "Content-Type", "application/json")
	jsonOnly := header("Content-Type", "application/json")
	for name, tt := range map[string]struct {
		h    http.Header
		body string
	}{
		"no body":                  {demand, ""},
		"no hint":                  {demand, `{"error":"insufficient_authorization_details"}`},
		"hint in another case":     {demand, `{"Authorization_Details_Hint":` + object + `}`},
		"both cases":               {demand, `{"authorization_details_hint":` + object + `,"AUTHORIZATION_DETAILS_HINT":{"type":"b"}}`},
		"hint null":                {demand, hint("null")},
		"hint a string":            {demand, hint(`"` + std(object) + `"`)},
		"hint empty":               {demand, hint("[]")},
		"hint, variant":            {demand, hint(`{"type":"a","Actions":["b"]}`)},
		"hint, duplicates":         {demand, hint(`{"type":"a","type":"b"}`)},
		"hint, too many":           {demand, hint(manyDetails(rar.MaxDetails + 1))},
		"two hints":                {demand, hint(object + `,"authorization_details_hint":` + object)},
		"other error":              {demand, `{"error":"insufficient_scope","authorization_details_hint":` + object + `}`},
		"error in another case":    {demand, `{"Error":"insufficient_authorization_details","authorization_details_hint":` + object + `}`},
		"error true":               {demand, `{"error":true,"authorization_details_hint":` + object + `}`},
		"an array":                 {demand, `[` + hint(object) + `]`},
		"null":                     {demand, `null`},
		"text after it":            {demand, hint(object) + "x"},
		"too long":                 {demand, hint(object) + strings.Repeat(" ", challenge.MaxBody)},
		"deep":                     {demand, `{"x":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`},
		"HTML":                     {with(header("Content-Type", "text/html"), "Www-Authenticate", bearer), hint(object)},
		"two types":                {with(header("Content-Type", "application/json", "Content-Type", "text/html"), "Www-Authenticate", bearer), hint(object)},
		"compressed":               {with(header("Content-Encoding", "gzip"), "Www-Authenticate", bearer), hint(object)},
		"compressed, another case": {with(header("content-encoding", "br"), "Www-Authenticate", bearer), hint(object)},
		"by the body alone":        {jsonOnly, hint(`[]`)},
		"alone, no hint":           {jsonOnly, `{"error":"insufficient_authorization_details"}`},
		"alone, two errors":        {jsonOnly, `{"error":"insufficient_authorization_details","error":"x","authorization_details_hint":` + object + `}`},
		"alone, cut short":         {jsonOnly, hint(object)[:100]},
		"alone, another error": {
			with(header("Content-Type", "application/json"), "Www-Authenticate", `Bearer error="invalid_token"`), hint(object),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := challenge.Parse(http.StatusForbidden, tt.h, []byte(tt.body))
			checkMalformed(t, got, err, challenge.SourceBody)
		})
	}
}

func TestParseNone(t *testing.T) {
	jsonOnly := header("Content-Type", "application/json")
	for name, tt := range map[string]struct {
		status int
		h      http.Header
		body   string
	}{
		"200 with a demand":      {200, insufficient(std(object)), hint(object)},
		"400 with a demand":      {400, insufficient(std(object)), hint(object)},
		"404 with a demand":      {404, insufficient(std(object)), hint(object)},
		"407 with a demand":      {407, insufficient(std(object)), hint(object)},
		"500 with a bad one":     {500, insufficient("!"), ""},
		"nothing":                {403, nil, ""},
		"401, other error":       {401, header("Www-Authenticate", `Bearer error="invalid_token"`), ""},
		"hint without error":     {403, jsonOnly, `{"authorization_details_hint":` + object + `}`},
		"error in capitals":      {403, header("Www-Authenticate", `Bearer error="INSUFFICIENT_AUTHORIZATION_DETAILS"`), ""},
		"error as a realm":       {403, header("Www-Authenticate", `Bearer realm="insufficient_authorization_details"`), ""},
		"of another scheme":      {403, header("Www-Authenticate", `UMA error="insufficient_authorization_details"`), ""},
		"legacy error":           {403, jsonOnly, `{"error":true,"message":"no","status":403}`},
		"problem details":        {403, header("Content-Type", "application/problem+json"), `{"title":"Forbidden"}`},
		"HTML":                   {403, header("Content-Type", "text/html"), "<html>no</html>"},
		"a long page":            {403, header("Content-Type", "text/html"), strings.Repeat("no ", 1<<18)},
		"compressed":             {403, header("Content-Encoding", "gzip"), "\x1f\x8b"},
		"array":                  {403, jsonOnly, `[1]`},
		"no UTF-8":               {403, jsonOnly, "{\"a\":\"\xff\"}"},
		"deep":                   {403, jsonOnly, strings.Repeat("[", 10_000)},
		"odd WWW-Authenticate":   {401, header("Www-Authenticate", `Basic realm=my site`), ""},
		"parameter of that name": {403, header("Www-Authenticate", `Bearer authorization_details="`+std(object)+`"`), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := challenge.Parse(tt.status, tt.h, []byte(tt.body))
			if got != nil || !errors.Is(err, challenge.ErrNone) {
				t.Errorf("Parse = %v, %v, want ErrNone", got, err)
			}
		})
	}
}

// The rows of the reference's decoder matrix, and its list of what a client
// should accept.
func TestParseDecoderMatrix(t *testing.T) {
	const odd = bothOdd
	oddDetail := rar.Detail{Type: "a", Identifier: "~~~???ÿÿÿ>>>"}
	raw := base64.RawStdEncoding.EncodeToString
	url := base64.URLEncoding.EncodeToString
	rawURL := base64.RawURLEncoding.EncodeToString
	if !strings.Contains(std(odd), "/") || !strings.Contains(std(odd), "+") ||
		!strings.Contains(url([]byte(odd)), "_") || !strings.Contains(url([]byte(odd)), "-") || !strings.HasSuffix(std(odd), "=") {
		t.Fatalf("the test's own text shows nothing: %s", std(odd))
	}
	one := []rar.Detail{doc("doc_9982")}
	two := []rar.Detail{doc("doc_9982"), {Type: "b"}}
	twoKeys := `{"type":"file_access","identifier":"doc_1"}`
	for name, tt := range map[string]struct {
		h    http.Header
		want []rar.Detail
	}{
		"standard, padded, object":       {insufficient(std(odd)), []rar.Detail{oddDetail}},
		"standard, no padding":           {insufficient(raw([]byte(odd))), []rar.Detail{oddDetail}},
		"URL alphabet, padded":           {insufficient(url([]byte(odd))), []rar.Detail{oddDetail}},
		"URL alphabet, no padding":       {insufficient(rawURL([]byte(odd))), []rar.Detail{oddDetail}},
		"array, 3 keys":                  {insufficient(std("[" + object + "]")), one},
		"array, 2 keys":                  {insufficient(std("[" + twoKeys + "]")), []rar.Detail{{Type: "file_access", Identifier: "doc_1"}}},
		"two values, comma":              {insufficient(std(object) + "," + std(`{"type":"b"}`)), two},
		"two values, comma and space":    {insufficient(std(object) + " ,\t" + std(`{"type":"b"}`)), two},
		"array of two":                   {insufficient(std("[" + object + `,{"type":"b"}]`)), two},
		"two lines":                      {insufficient(std(object), std(`{"type":"b"}`)), two},
		"two lines, mixed shapes":        {insufficient(std("["+object+"]"), rawURL([]byte(`{"type":"b"}`))), two},
		"two lines, two cases":           {with(insufficient(std(object)), "insufficient-authorization-details", std(`{"type":"b"}`)), two},
		"surrounding space":              {insufficient(" \t" + std(object) + "  "), one},
		"empty elements":                 {insufficient("," + std(object) + ",,"), one},
		"empty line beside it":           {insufficient("", std(object)), one},
		"name in lower case":             {header("insufficient-authorization-details", std(object)), one},
		"name in upper case":             {header("INSUFFICIENT-AUTHORIZATION-DETAILS", std(object)), one},
		"spaces in the JSON":             {insufficient(std(" [ " + object + " ] ")), one},
		"the same twice":                 {insufficient(std(object), std("["+object+","+object+"]")), one},
		"the same in another spelling":   {insufficient(std(object) + "," + std(`{"identifier":"doc_9982", "actions":["read"], "type":"file_access"}`)), one},
		"as many as there may be":        {insufficient(std(manyDetails(rar.MaxDetails)) + "," + std(`{"type":"t3"}`)), manyParsed(t)},
		"beside WWW-Authenticate":        {with(insufficient(std(object)), "Www-Authenticate", bearer), one},
		"beside another scheme":          {with(insufficient(std(object)), "Www-Authenticate", `Basic realm="x"`), one},
		"beside a Bearer without error":  {with(insufficient(std(object)), "Www-Authenticate", `Bearer realm="x"`), one},
		"beside two Bearers, one ours":   {with(insufficient(std(object)), "Www-Authenticate", `Bearer error="insufficient_scope", `+bearer), one},
		"beside what cannot be read":     {with(insufficient(std(object)), "Www-Authenticate", `Bearer realm="`), one},
		"beside a long WWW-Authenticate": {with(insufficient(std(object)), "Www-Authenticate", strings.Repeat("x", 1<<20)), one},
	} {
		for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				// A body that says something else, to show which one counts.
				tt.h.Set("Content-Type", "application/json")
				got, err := challenge.Parse(status, tt.h, []byte(hint(`{"type":"of the body"}`)))
				want := &challenge.Challenge{Details: tt.want, Error: challenge.ErrorCode, Source: challenge.SourceHeader}
				if err != nil {
					t.Fatalf("Parse: %v", err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("Parse (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func manyParsed(t *testing.T) []rar.Detail {
	t.Helper()
	all, err := rar.Parse([]byte(manyDetails(rar.MaxDetails)))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestParseBody(t *testing.T) {
	one := []rar.Detail{doc("doc_9982")}
	jsonType := []string{"Content-Type", "application/json"}
	for name, tt := range map[string]struct {
		h    http.Header
		body string
		want []rar.Detail
	}{
		"all by itself":          {header(jsonType...), hint(object), one},
		"no Content-Type":        {nil, hint(object), one},
		"charset":                {header("Content-Type", "Application/JSON; charset=utf-8"), hint(object), one},
		"problem+json":           {header("content-type", "application/problem+json"), hint(object), one},
		"identity coding":        {header("Content-Encoding", "Identity"), hint(object), one},
		"array":                  {header(jsonType...), hint("[" + object + `,{"type":"b"},` + object + "]"), append(slices.Clone(one), rar.Detail{Type: "b"})},
		"beside other challenge": {with(header(jsonType...), "Www-Authenticate", `Basic realm="x"`), hint(object), one},
		"demanded by the header": {with(header(jsonType...), "Www-Authenticate", bearer), hint(object), one},
		"header, body silent":    {with(header(jsonType...), "Www-Authenticate", bearer), `{"authorization_details_hint":` + object + `}`, one},
		"scheme in lower case":   {with(header(jsonType...), "www-authenticate", `bearer ERROR=insufficient_authorization_details`), hint(object), one},
		"other members":          {header(jsonType...), `{"status":403,"x":null,` + hint(object)[1:], one},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := challenge.Parse(http.StatusForbidden, tt.h, []byte(tt.body))
			want := &challenge.Challenge{Details: tt.want, Error: challenge.ErrorCode, Source: challenge.SourceBody}
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
		})
	}
}

// A caller may pass no body first: what Parse says then must hold with any body.
func TestParseWithoutBodyFirst(t *testing.T) {
	bodies := []string{"", hint(object), hint(`{"type":"b"}`), `{"error":"x"}`, "text"}
	headers := map[string]http.Header{
		"good": insufficient(std(object)), "bad": insufficient("!"), "none": {}, "demand": header("Www-Authenticate", bearer),
		"odd": header("Www-Authenticate", `Bearer x="`), "odd demand": header("Www-Authenticate", bearer+` x`),
	}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		first, err := challenge.Parse(http.StatusForbidden, headers[name], nil)
		malformed, ok := errors.AsType[*challenge.MalformedError](err)
		if errors.Is(err, challenge.ErrNone) || ok && malformed.Source == challenge.SourceBody {
			continue // the body decides
		}
		for _, body := range bodies {
			then, errThen := challenge.Parse(http.StatusForbidden, headers[name], []byte(body))
			if !cmp.Equal(first, then) || fmt.Sprint(err) != fmt.Sprint(errThen) {
				t.Errorf("%s: Parse = %v, %v without a body, and %v, %v with %s", name, first, err, then, errThen, body)
			}
		}
	}
}

func TestDescription(t *testing.T) {
	body := func(description string) string {
		text, err := json.Marshal(description)
		if err != nil {
			t.Fatal(err)
		}
		return `{"error_description":` + string(text) + `,` + hint(object)[1:]
	}
	long := strings.Repeat("é", challenge.MaxDescription)
	for name, tt := range map[string]struct {
		h    http.Header
		body string
		want string
	}{
		"controls":            {nil, body("a\x1b[2K\x00b\u009bc\x7f"), "a [2K b c"},
		"bidi and invisible":  {nil, body("a\u202eb\u200bc\u2066\ufe0f\u3164d\ufeff"), "abcd"},
		"lines become spaces": {nil, body(" one\r\n\ttwo\u2028three\u00a0 "), "one two three"},
		"long":                {nil, body(long), long[:challenge.MaxDescription-4] + "…"},
		"very long":           {nil, body(strings.Repeat("x ", 10_000)), strings.Repeat("x ", 10_000)[:challenge.MaxDescription-3] + "…"},
		"not a string":        {nil, `{"error_description":["a"],` + hint(object)[1:], ""},
		"bytes in the header": {header("Www-Authenticate", bearer+", error_description=\"a\xffb\x80\tc\""), hint(object), "ab c"},
		"escapes":             {header("Www-Authenticate", bearer+`, error_description="say \"please\\\""`), hint(object), `say "please\"`},
		"header wins":         {header("Www-Authenticate", bearer+`, error_description="h"`), body("b"), "h"},
		"body alone":          {header("Www-Authenticate", bearer), body("b"), "b"},
		"of another scheme":   {header("Www-Authenticate", `UMA error_description="x"`), hint(object), ""},
		"header, body's text": {insufficient(std(object)), body("b"), "b"},
		"header, odd body":    {insufficient(std(object)), "<html>", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := challenge.Parse(http.StatusForbidden, tt.h, []byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if got.Description != tt.want {
				t.Errorf("Description = %q, want %q", got.Description, tt.want)
			}
		})
	}
}
