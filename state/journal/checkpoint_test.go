package journal_test

import (
	"crypto/rand"
	"reflect"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/jitagent/jitagent/state/journal"
)

func TestOpenCheckpoint(t *testing.T) {
	private, public, err := note.GenerateKey(rand.Reader, "audit.example.com")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	want := journal.Checkpoint{
		Time:  time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC),
		Heads: []journal.Head{{Seq: 3, Hash: [32]byte{1}}, {Seq: 7, Hash: [32]byte{2}}}, // of two chains
	}
	signed, err := want.Sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := journal.OpenCheckpoint(signed, verifier); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("it is %v, %v, want %v", got, err, want)
	}
	if _, err := (journal.Checkpoint{Time: want.Time}).Sign(signer); err == nil {
		t.Error("a checkpoint of nothing was signed")
	}
	head := want.Heads[0].String()
	for _, text := range []string{
		"another thing\n2026-01-31T08:00:00Z\n" + head + "\n", // signed for another purpose
		"jitagent journal checkpoint v1\n2026-01-31T08:00:00Z\n",
		"jitagent journal checkpoint v1\nyesterday\n" + head + "\n",
		"jitagent journal checkpoint v1\n2026-01-31T08:00:00Z\n" + head + "\nmore\n",
	} {
		signed, err := note.Sign(&note.Note{Text: text}, signer)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := journal.OpenCheckpoint(signed, verifier); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestCheckpointIsHeld(t *testing.T) {
	head := func(seq int64, hash byte) journal.Head { return journal.Head{Seq: seq, Hash: [32]byte{hash}} }
	c := journal.Checkpoint{Heads: []journal.Head{head(3, 1), head(7, 2)}}
	for _, row := range []struct {
		pruned journal.Head
		want   bool
	}{
		{journal.Head{}, true},
		{head(2, 9), true},
		{head(3, 1), true}, // its own entry is the last that went, and its hash stays
		{head(3, 9), false},
		{head(4, 9), false},
		{head(9, 9), false},
	} {
		if got := c.Held(journal.Report{Pruned: row.pruned}); got != row.want {
			t.Errorf("pruned up to %v: held is %v, want %v", row.pruned, got, row.want)
		}
	}
}
