package tools

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type (
	leaf struct {
		Name  string  `json:"name,omitempty"`
		Share float64 `json:"share"`
	}
	loud struct{ Text string } // whose pointers write it in their own way
	tree struct {
		ID      uint64 `json:"id"`
		Title   string // without a tag
		Text    string `json:"text,omitempty"`
		Odd     string `json:"a'b"` //nolint:staticcheck // which is no name
		Quoted  string `json:"quoted,string"`
		Tagged  string `json:"Plain"`
		Plain   string // hidden by the one above
		Ignored string `json:"-"`
		Leaf    *leaf  `json:"leaf,omitempty"`
		Leaves  []leaf `json:"leaves"`
		Loud    loud   `json:"loud"`
		hidden  string
	}
	own  struct{ Text string }
	page struct { // of texts alone
		ID, Title string
		Text      string `json:"text,omitempty"`
	}
)

func (l *loud) MarshalText() ([]byte, error) { return []byte(strings.ToUpper(l.Text)), nil }
func (own) MarshalJSON() ([]byte, error)     { return []byte(`{"Text":"its own"}`), nil }

func objectOf(r any) (map[string]any, error) {
	t := reflect.TypeOf(r)
	if t == nil {
		t = reflect.TypeFor[any]()
	}
	texts, all := textFields(t)
	return object(r, texts, all)
}

// A result is what its JSON text says, however much of it goes around that.
func TestObjectIsAsTheText(t *testing.T) {
	texts := rapid.Custom(func(r *rapid.T) string {
		return strings.Repeat(rapid.StringN(0, 10, -1).Draw(r, "text"), rapid.IntRange(0, 300).Draw(r, "times"))
	})
	leaves := rapid.Custom(func(r *rapid.T) leaf {
		return leaf{texts.Draw(r, "name"), rapid.Float64Range(-1e9, 1e9).Draw(r, "share")}
	})
	rapid.Check(t, func(r *rapid.T) {
		v := tree{
			ID: rapid.Uint64().Draw(r, "id"), Title: texts.Draw(r, "title"), Text: texts.Draw(r, "text"), Odd: texts.Draw(r, "odd"),
			Quoted: texts.Draw(r, "quoted"), Tagged: texts.Draw(r, "tagged"),
			Plain: texts.Draw(r, "plain"), Ignored: texts.Draw(r, "ignored"), Leaf: rapid.Ptr(leaves, true).Draw(r, "leaf"),
			Leaves: rapid.SliceOf(leaves).Draw(r, "leaves"), Loud: loud{texts.Draw(r, "loud")}, hidden: texts.Draw(r, "hidden"),
		}
		p := page{v.Odd, v.Title, v.Text}
		for _, result := range []any{v, &v, own{v.Text}, p, &p} {
			text, err := json.Marshal(result)
			if err != nil {
				r.Fatal(err)
			}
			dec := json.NewDecoder(bytes.NewReader(text))
			dec.UseNumber()
			var want map[string]any
			if err := dec.Decode(&want); err != nil {
				r.Fatal(err)
			}
			got, err := objectOf(result)
			if err != nil {
				r.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				r.Fatalf("object(%T) (-text +got):\n%s", result, diff)
			}
		}
	})
}

func TestObjectOfOddValues(t *testing.T) {
	long := strings.Repeat("a", 500)
	got, err := objectOf(leaf{Name: long + "\xffb"})
	if err != nil || got["name"] != long+"\ufffdb" {
		t.Errorf("object() of a text that is not UTF-8 = %v, %v", got, err)
	}
	if got, err := objectOf(leaf{Share: math.NaN()}); err == nil {
		t.Errorf("object() of NaN = %v, want an error", got)
	}
	for _, v := range []any{nil, "text", (*leaf)(nil), []string{"a"}} {
		if got, err := objectOf(v); err != nil || len(got) != 1 {
			t.Errorf("object(%v) = %v, %v, want it as the result", v, got, err)
		}
	}
}
