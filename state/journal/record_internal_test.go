package journal

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
)

// times are odd on purpose: zones, before Christ, after the year 9999.
func anyTime() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		at := time.Unix(rapid.Int64Range(-1<<37, 1<<39).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanos"))
		return rapid.SampledFrom([]time.Time{{}, at, at.In(time.FixedZone("", -3600)), time.Unix(0, 0), time.Time{}.Add(1)}).Draw(t, "time")
	})
}

func anyRecord() *rapid.Generator[Record] {
	return rapid.Custom(func(t *rapid.T) Record {
		text := rapid.OneOf(rapid.Just(""), rapid.String(), rapid.StringMatching(`[\x00-\xff]{0,5}`))
		name := rapid.StringMatching(`[a-z0-9_.:é-]{0,20}`)
		r := Record{
			Seq: rapid.Int64Range(1, 1<<52).Draw(t, "seq"), Owner: name.Draw(t, "owner"), Until: anyTime().Draw(t, "until"),
			Attempt: rapid.IntRange(0, 1000).Draw(t, "attempt"), NextAttempt: anyTime().Draw(t, "next"),
			Entry: jit.Entry{
				Kind: jit.EntryKind(rapid.StringMatching(`[a-z_]{1,20}`).Draw(t, "kind")), Time: anyTime().Draw(t, "time"),
				Run: name.Draw(t, "run"), Digest: name.Draw(t, "digest"), Effect: name.Draw(t, "effect"), TaskID: name.Draw(t, "task"), Status: jit.Status(rapid.IntRange(0, 4).Draw(t, "status")),
				Justification: text.Draw(t, "justification"), Error: text.Draw(t, "error"), URL: text.Draw(t, "url"),
				ExpiresAt: anyTime().Draw(t, "expires"), HTTPStatus: rapid.IntRange(0, 999).Draw(t, "http"),
			},
		}
		if rapid.Bool().Draw(t, "args") {
			r.Args = []byte(`{"n":12345678901234567890, "n":1}`)
		}
		if rapid.Bool().Draw(t, "detail") {
			r.Detail = &rar.Detail{Type: "document", Identifier: rapid.StringMatching(`[a-z]{1,9}`).Draw(t, "id")}
			r.Ceiling = []rar.Detail{}
		}
		if rapid.Bool().Draw(t, "ref") {
			r.Ref = &Head{Seq: rapid.Int64Range(0, 1<<60).Draw(t, "ref seq"), Hash: [32]byte{1, 2, 3}}
		}
		return r
	})
}

func TestWhatIsEncodedIsDecoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyRecord().Draw(t, "record")
		data, err := want.encode()
		if err != nil {
			t.Skip(err)
		}
		sorted := jsontext.Value(slices.Clone(data))
		if err := sorted.Canonicalize(); err != nil || string(sorted) != string(data) {
			t.Fatalf("%s, %v: not as RFC 8785 has it, which is\n%s", data, err, sorted)
		}
		got, err := Decode(data)
		if err != nil {
			t.Fatalf("Decode(%s) = %v", data, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("record (-want +got):\n%s", diff)
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	const sound = `{"kind":"demand","seq":1,"time":"2026-01-01T00:00:00.000000Z"}`
	if _, err := Decode([]byte(sound)); err != nil {
		t.Fatalf("Decode(a sound entry) = %v", err)
	}
	for name, text := range map[string]string{
		"nothing":             "",
		"null":                "null",
		"a list":              "[]",
		"no kind":             strings.Replace(sound, `"kind":"demand",`, "", 1),
		"white space":         strings.Replace(sound, ",", ", ", 1),
		"another order":       `{"seq":1,"kind":"demand","time":"2026-01-01T00:00:00.000000Z"}`,
		"a twin":              strings.Replace(sound, `"seq":1`, `"seq":1,"seq":1`, 1),
		"an unknown member":   strings.Replace(sound, `"seq":1`, `"seq":1,"token":"x"`, 1),
		"another case":        strings.Replace(sound, "seq", "SEQ", 1),
		"an escape":           strings.Replace(sound, "demand", `\u0064emand`, 1),
		"a number like it":    strings.Replace(sound, `:1,`, `:1.0,`, 1),
		"a short time":        strings.Replace(sound, ".000000Z", "Z", 1),
		"a time elsewhere":    strings.Replace(sound, "Z", "+01:00", 1),
		"no time":             strings.Replace(sound, "2026-01-01T00:00:00.000000Z", "x", 1),
		"an empty member":     strings.Replace(sound, `"seq":1`, `"run":"","seq":1`, 1),
		"an unknown status":   strings.Replace(sound, `,"time"`, `,"status":"granted","time"`, 1),
		"a status of nothing": strings.Replace(sound, `,"time"`, `,"status":"unknown","time"`, 1),
		"half a head":         strings.Replace(sound, `"seq":1`, `"ref":"1:ab","seq":1`, 1),
		"more behind":         sound + "{}",
	} {
		if r, err := Decode([]byte(text)); err == nil {
			t.Errorf("%s: Decode(%s) = %+v", name, text, r)
		}
	}
}

// Whatever is accepted is what encode writes, so no two texts mean one entry.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"kind":"demand","seq":1,"time":"2026-01-01T00:00:00.000000Z"}`))
	f.Add([]byte(`{"ceiling":[],"detail":{"type":"t"},"kind":"k","ref":"1:` + strings.Repeat("00", 32) + `","seq":1,"time":"9999-12-31T23:59:59.999999Z"}`))
	f.Add([]byte(`{"args":"{}","attempt":1,"http_status":200,"kind":"k","seq":9007199254740993,"status":"denied","time":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Decode(data)
		if err != nil {
			if len(err.Error()) > 600 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		again, err := r.encode()
		if err != nil || string(again) != string(data) {
			t.Errorf("Decode accepts %s, encode writes %s, %v", data, again, err)
		}
	})
}

func FuzzParseHead(f *testing.F) {
	f.Add("12:" + strings.Repeat("ab", 32))
	f.Add("0:" + strings.Repeat("00", 32))
	f.Fuzz(func(t *testing.T, text string) {
		if h, err := ParseHead(text); err == nil && h.String() != text {
			t.Errorf("ParseHead(%q).String() = %q", text, h)
		}
	})
}

func TestParseHeadRefuses(t *testing.T) {
	hash := strings.Repeat("ab", 32)
	for _, text := range []string{"", ":", "1", "1:", ":" + hash, "-1:" + hash, "+1:" + hash, "01:" + hash, "1:" + hash[2:], "1:" + hash + "00",
		"1:" + strings.ToUpper(hash), " 1:" + hash, "1:" + hash + "\n", "1:" + hash[1:] + "x", "99999999999999999999:" + hash} {
		h := Head{Seq: 7}
		if err := h.UnmarshalText([]byte(text)); err == nil || h.Seq != 7 {
			t.Errorf("UnmarshalText(%q) = %v, %v", text, h, err)
		}
	}
}
