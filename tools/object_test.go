package tools

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type (
	leaf struct {
		Name  string  `json:"name,omitempty"`
		Count int     `json:"count,omitempty"`
		Share float64 `json:"share"`
	}
	tree struct {
		ID      uint64   `json:"id"`
		Small   int8     `json:"small"`
		Title   string   // without a tag
		Done    bool     `json:"done,omitempty"`
		Leaf    leaf     `json:"leaf,omitempty"`
		Pointer *leaf    `json:"pointer,omitempty"`
		Null    *leaf    `json:"null"`
		Leaves  []leaf   `json:"leaves,omitempty"`
		Words   []string `json:"words"`
		Matrix  [][]int  `json:"matrix"`
		Ignored func()   `json:"-"`
		_       chan int
	}
)

// viaText is what a converter stands in for.
func viaText(t *rapid.T, r any) map[string]any {
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

// numeric makes float64 and json.Number comparable: the text has only the latter.
var numeric = cmp.FilterValues(func(a, b any) bool {
	_, x := a.(float64)
	_, y := b.(json.Number)
	_, z := b.(float64)
	_, w := a.(json.Number)
	return x && y || z && w
}, cmp.Comparer(func(a, b any) bool { return asFloat(a) == asFloat(b) }))

func asFloat(v any) float64 {
	switch v := v.(type) {
	case float64:
		return v
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return math.NaN()
		}
		return f
	}
	return math.NaN()
}

func TestConverterIsAsTheText(t *testing.T) {
	if converterOf(reflect.TypeFor[tree]()) == nil {
		t.Fatal("tree has no converter, so nothing is compared")
	}
	leaves := rapid.Custom(func(r *rapid.T) leaf {
		return leaf{rapid.String().Draw(r, "name"), rapid.Int().Draw(r, "count"), rapid.Float64Range(-1e9, 1e9).Draw(r, "share")}
	})
	rapid.Check(t, func(r *rapid.T) {
		v := tree{
			ID: rapid.Uint64().Draw(r, "id"), Small: rapid.Int8().Draw(r, "small"), Title: rapid.String().Draw(r, "title"),
			Done: rapid.Bool().Draw(r, "done"), Leaf: leaves.Draw(r, "leaf"), Pointer: rapid.Ptr(leaves, true).Draw(r, "pointer"),
			Leaves: rapid.SliceOf(leaves).Draw(r, "leaves"), Words: rapid.SliceOf(rapid.String()).Draw(r, "words"),
			Matrix: rapid.SliceOf(rapid.SliceOf(rapid.Int())).Draw(r, "matrix"),
		}
		if rapid.Bool().Draw(r, "nil") {
			v.Words, v.Leaves, v.Matrix = nil, nil, nil
		}
		got, err := object(v, converterOf(reflect.TypeFor[tree]()))
		if err != nil {
			r.Fatal(err)
		}
		if diff := cmp.Diff(viaText(r, v), got, numeric); diff != "" {
			r.Fatalf("object(%+v) (-text +converter):\n%s", v, diff)
		}
	})
}

func TestConverterOfZeroValues(t *testing.T) {
	for _, v := range []tree{{}, {Leaves: []leaf{}, Words: []string{}, Pointer: &leaf{}}} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var want map[string]any
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		got, err := object(v, converterOf(reflect.TypeFor[tree]()))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, numeric); diff != "" {
			t.Errorf("object(%+v) (-text +converter):\n%s", v, diff)
		}
	}
}

type (
	embeds  struct{ leaf }
	mapped  struct{ M map[string]int }
	ownText struct{ T time.Time }
	quoted2 struct {
		N int `json:",string"`
	}
	zeroed struct {
		N int `json:"n,omitzero"`
	}
	raw      struct{ B []byte }
	number_  struct{ N json.Number }
	anyField struct{ V any }
	odd      struct {
		A int `json:"a b"`
	}
	endless struct{ Kids []endless }
	ping    struct{ P *pong }
	pong    struct{ P []ping }
	self    []self
)

// What these mean as JSON is encoding/json's to say.
func TestTypesThatGoThroughTheText(t *testing.T) {
	for _, typ := range []reflect.Type{
		reflect.TypeFor[embeds](), reflect.TypeFor[mapped](), reflect.TypeFor[ownText](), reflect.TypeFor[quoted2](), reflect.TypeFor[zeroed](),
		reflect.TypeFor[raw](), reflect.TypeFor[number_](), reflect.TypeFor[anyField](), reflect.TypeFor[odd](),
		reflect.StructOf([]reflect.StructField{ // one name twice: encoding/json leaves out both
			{Name: "A", Type: reflect.TypeFor[int](), Tag: `json:"x"`}, {Name: "B", Type: reflect.TypeFor[int](), Tag: `json:"x"`},
		}),
		reflect.TypeFor[endless](), reflect.TypeFor[ping](), reflect.TypeFor[self](), reflect.TypeFor[float32](), reflect.TypeFor[error](),
	} {
		if converterOf(typ) != nil {
			t.Errorf("%s has a converter", typ)
		}
	}
}

func TestValuesThatGoThroughTheText(t *testing.T) {
	convert := converterOf(reflect.TypeFor[leaf]())
	got, err := object(leaf{Name: "a\xffb"}, convert)
	if err != nil || got["name"] != "a\ufffdb" {
		t.Errorf("object() of a text that is not UTF-8 = %v, %v", got, err)
	}
	if got, err := object(leaf{Share: math.NaN()}, convert); err == nil {
		t.Errorf("object() of NaN = %v, want an error", got)
	}
}
