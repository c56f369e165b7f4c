package rar_test

import (
	"testing"

	"github.com/jitagent/jitagent/rar"
)

func BenchmarkParse(b *testing.B) {
	text, err := ceiling().Canonical()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := rar.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWithin(b *testing.B) {
	asked, limit := ceiling(), ceiling()
	for b.Loop() {
		if err := rar.Within(asked, limit); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	d := ceiling()
	for b.Loop() {
		if _, err := d.Digest(); err != nil {
			b.Fatal(err)
		}
	}
}
