package rar_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/rar"
)

// FuzzParse holds, for whatever Parse accepts: the limits, the way back through
// the canonical form, and that the lenient decoder of the standard library reads
// the same text as the same details.
func FuzzParse(f *testing.F) {
	for _, tt := range refusals() {
		if len(tt.text) < 4<<10 {
			f.Add([]byte(tt.text))
		}
	}
	f.Add([]byte(`{"type":"file_access","actions":["read"],"identifier":"doc_9982"}`))
	f.Add([]byte(`[{"type":"a","locations":["https://a.test"]},{"type":"b","datatypes":["x"],"privileges":["y"]}]`))
	f.Add([]byte(`{"type":"a","x":{"b":[1e20,-0,0.1,null,true,"\u20ac\ud83d\ude00"]},"\u00f6":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		details, err := rar.Parse(data)
		if !bytes.Equal(data, before) {
			t.Fatal("Parse changed its input")
		}
		if err != nil {
			if details != nil || len(err.Error()) > 1000 {
				t.Errorf("Parse: %d details and an error of %d bytes", len(details), len(err.Error()))
			}
			return
		}
		if len(details) == 0 || len(details) > rar.MaxDetails || len(data) > rar.MaxBytes {
			t.Fatalf("Parse: %d details from %d bytes", len(details), len(data))
		}
		for _, d := range details {
			checkRoundTrip(t, d)
		}
		if got := lenient(t, data); !cmp.Equal(got, details) {
			t.Errorf("encoding/json reads it differently:\n%s", cmp.Diff(details, got))
		}
	})
}

func checkRoundTrip(t *testing.T, d rar.Detail) {
	t.Helper()
	if _, err := d.Check(); err != nil {
		t.Fatalf("Parse gave %v, which is not valid: %v", d, err)
	}
	text, err := d.Canonical()
	if err != nil {
		t.Fatalf("Canonical: %v", err)
	}
	back, err := rar.ParseOne(text)
	if err != nil {
		t.Fatalf("the canonical form %s is refused: %v", text, err)
	}
	if diff := cmp.Diff(d, back); diff != "" || !rar.Equal(d, back) {
		t.Errorf("round trip through %s (-want +got):\n%s", text, diff)
	}
	again, err := back.Canonical()
	if err != nil || !bytes.Equal(text, again) {
		t.Errorf("canonical form of the canonical form: %s, %v, want %s", again, err, text)
	}
	if err := rar.Within(d, back); err != nil {
		t.Errorf("Within its own round trip: %v", err)
	}
	if line := d.String(); len(line) > 512 {
		t.Errorf("String() of %d bytes", len(line))
	}
}

// lenient reads data as a careless peer would: a struct for encoding/json.
func lenient(t *testing.T, data []byte) []rar.Detail {
	t.Helper()
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		data = append(append([]byte("["), data...), ']')
	}
	var known []struct {
		Type       string   `json:"type"`
		Locations  []string `json:"locations"`
		Actions    []string `json:"actions"`
		DataTypes  []string `json:"datatypes"`
		Identifier string   `json:"identifier"`
		Privileges []string `json:"privileges"`
	}
	var all []map[string]json.RawMessage
	if err := json.Unmarshal(data, &known); err != nil {
		t.Fatalf("encoding/json refuses it: %v", err)
	}
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatalf("encoding/json refuses it: %v", err)
	}
	var details []rar.Detail
	for i, k := range known {
		d := rar.Detail{
			Type: k.Type, Locations: k.Locations, Actions: k.Actions,
			DataTypes: k.DataTypes, Identifier: k.Identifier, Privileges: k.Privileges,
		}
		for name, value := range all[i] {
			switch name {
			case "type", "locations", "actions", "datatypes", "identifier", "privileges":
				continue
			}
			if d.Extra == nil {
				d.Extra = make(map[string]json.RawMessage)
			}
			d.Extra[name] = sameAs(t, value, name, data)
		}
		details = append(details, d)
	}
	return details
}

// sameAs returns the canonical form of value when encoding/json reads both as the
// same tree, and value itself when not.
func sameAs(t *testing.T, value json.RawMessage, name string, data []byte) json.RawMessage {
	t.Helper()
	d, err := rar.ParseOne([]byte(`{"type":"a","x":` + string(value) + `}`))
	if err != nil {
		t.Fatalf("member %q of %s is refused by itself: %v", name, data, err)
	}
	var a, b any
	if json.Unmarshal(value, &a) != nil || json.Unmarshal(d.Extra["x"], &b) != nil || !reflect.DeepEqual(a, b) {
		return value
	}
	return d.Extra["x"]
}
