package tools_test

import (
	"encoding/json"
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/tools"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Types whose schema would be wrong, endless, or not what the tags say.
type (
	comma struct {
		ID string `json:"id" jsonschema:"pattern=^[a-z]{1,64}$"`
	}
	escapedComma struct {
		ID string `json:"id" jsonschema:"pattern=^[a-z]{1\\,8}$"`
	}
	badPattern struct {
		ID string `json:"id" jsonschema:"pattern=^[a-z$"`
	}
	misspelt struct {
		ID string `json:"id" jsonschema:"maxlength=8"`
	}
	badNumber struct {
		N *int `json:"n,omitempty" jsonschema:"minimum=one"`
	}
	wrongKind struct {
		N int `json:"n" jsonschema:"maxLength=8"`
	}
	lostEnum struct {
		N int `json:"n" jsonschema:"enum=1,enum=two"`
	}
	lostItemPattern struct {
		IDs []string `json:"ids" jsonschema:"pattern=^a=b$"`
	}
	nested struct {
		Inner []struct {
			ID string `json:"id" jsonschema:"pattern=a{1,2}"`
		} `json:"inner"`
	}
	embedding struct {
		comma
	}
	endless struct {
		Kids []endless `json:"kids"`
	}
	endlessPair struct {
		Other *endlessOther `json:"other"`
	}
	endlessOther struct {
		Pair map[string]endlessPair `json:"pair"`
	}
	duration struct {
		Wait time.Duration `json:"wait"`
	}
	channel struct {
		C chan int `json:"c"`
	}
	function struct {
		F func() `json:"f"`
	}
	iface struct {
		E error `json:"e"`
	}
	boolInText struct {
		B bool `json:"b,string"`
	}
	inlined struct {
		Inner comma `json:",inline"`
	}
	digest struct {
		Sums [][4]byte `json:"sums"`
	}
	twin struct {
		escapedComma
		Other string `json:"id"`
	}
	hidden struct {
		*escapedComma
	}
	everything struct {
		S     string            `json:"s" jsonschema:"required,title=T,description=with = and\\, comma,minLength=0,maxLength=9,pattern=^\\w+$,example=y,enum=x,enum=y"`
		N     float64           `json:"n" jsonschema:"minimum=0,exclusiveMaximum=3,multipleOf=2"`
		L     []string          `json:"l,omitempty" jsonschema:"minItems=1,maxItems=3,uniqueItems=true,enum=a,enum=b"`
		P     *int              `json:"p,omitempty" jsonschema:"maximum=4"`
		B     bool              `json:"b"`
		Text  *int64            `json:"text,omitempty,string"`
		M     map[string]string `json:"m,omitempty"`
		Any   any               `json:"any,omitempty"`
		T     time.Time         `json:"t,omitzero"`
		Inner struct {
			X string `json:"x" jsonschema:"pattern=^x$"`
		} `json:"inner"`
		Skipped chan int `json:"-"`
		_       func()
	}
)

func TestNewRefusesATypeWhoseSchemaWouldLie(t *testing.T) {
	calls := 0
	for name, tt := range map[string]struct {
		build func(*int) (tool.Tool, error)
		want  string
	}{
		"comma in a pattern":   {build[comma], `field id: "64}$" in the jsonschema tag is no keyword: write a comma inside a value as \\,`},
		"pattern":              {build[badPattern], "missing closing ]"},
		"misspelt":             {build[misspelt], `field id: "maxlength=8" in the jsonschema tag has no effect`},
		"no number":            {build[badNumber], `field n: "minimum=one"`},
		"keyword of another":   {build[wrongKind], `field n: "maxLength=8"`},
		"one value of an enum": {build[lostEnum], `field n: "enum=two"`},
		"equals sign in items": {build[lostItemPattern], `field ids: "pattern=^a=b$"`},
		"nested":               {build[nested], `field inner.id: "2}"`},
		"embedded":             {build[embedding], `field id: "64}$"`},
		"contains itself":      {build[endless], "field kids: the type tools_test.endless contains itself"},
		"contains itself, far": {build[endlessPair], "field other.pair: the type tools_test.endlessPair contains itself"},
		"duration":             {build[duration], "field wait: a time.Duration has no agreed JSON form"},
		"channel":              {build[channel], "field c: chan int has no JSON form"},
		"function":             {build[function], "field f: func() has no JSON form"},
		"interface":            {build[iface], "field e: no value can be decoded into the interface error"},
		"a bool as a text":     {build[boolInText], `field b: a schema knows nothing of "string" in the json tag`},
		"an unknown option":    {build[inlined], `field Inner: a schema knows nothing of "inline" in the json tag`},
		"an array of bytes":    {build[digest], "field sums: some decoders take [4]uint8 for a list, and others for a text"},
		"two of one name":      {build[twin], "field id: two fields have this name"},
		"embedded, not seen":   {build[hidden], "nothing can be decoded into an embedded *tools_test.escapedComma"},
		"no struct":            {build[string], "the arguments must be a struct, not string"},
		"pointer":              {build[*none], "the arguments must be a struct, not *tools_test.none"},
		"map":                  {build[map[string]any], "the arguments must be a struct"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tt.build(&calls)
			if err == nil || got != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New() = %v, %v, want an error with %s", got, err, tt.want)
			}
		})
	}
	for name, build := range map[string]func(*int) (tool.Tool, error){"every keyword": build[everything], "escaped comma": build[escapedComma], "nothing": build[none]} {
		if _, err := build(&calls); err != nil {
			t.Errorf("%s: New() = %v", name, err)
		}
	}
}

func TestEscapedCommaBelongsToThePattern(t *testing.T) {
	calls := 0
	act, err := build[escapedComma](&calls)
	if err != nil {
		t.Fatal(err)
	}
	if got := call(t, &fake.Authority{}, act, map[string]any{"id": "abc"}); got["ok"] != true {
		t.Errorf("a matching argument gives %v", got)
	}
	if got := call(t, &fake.Authority{}, act, map[string]any{"id": "abcdefghi"}); got["status"] != "invalid_arguments" || calls != 1 {
		t.Errorf("an argument that is too long gives %v after %d calls", got, calls)
	}
}

func analystsTools(t testing.TB, api *url.URL) map[string]tool.Tool {
	t.Helper()
	all := map[string]tool.Tool{}
	for _, build := range []func(*url.URL, tools.Options) (tool.Tool, error){tools.FetchDocument, tools.CreateReport, tools.SearchDocuments} {
		tool, err := build(api, tools.Options{})
		if err != nil {
			t.Fatal(err)
		}
		all[tool.Name()] = tool
	}
	return all
}

func TestSchemasAreWhatModelsAreTold(t *testing.T) {
	for name, tool := range analystsTools(t, &url.URL{Scheme: "https", Host: "api.example.com"}) {
		t.Run(name, func(t *testing.T) {
			decl := runnable(t, tool).Declaration()
			got, err := json.MarshalIndent(decl.ParametersJsonSchema, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			golden := filepath.Join("testdata", name+".schema.json")
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("run with -update if this is meant (-want +got):\n%s", diff)
			}
			for _, keyword := range []string{"$ref", "$defs", "$schema", "$id"} {
				if strings.Contains(string(got), keyword) {
					t.Errorf("the schema has %s, which some providers refuse", keyword)
				}
			}
			var schema struct {
				Type                 string
				AdditionalProperties *bool
			}
			if err := json.Unmarshal(got, &schema); err != nil || schema.Type != "object" || schema.AdditionalProperties == nil || *schema.AdditionalProperties {
				t.Errorf("the schema %s allows more than the tool reads, %v", got, err)
			}
			if decl.Name != name || decl.Description == "" || tool.Description() != decl.Description || tool.IsLongRunning() {
				t.Errorf("the declaration is %+v", decl)
			}
		})
	}
}
