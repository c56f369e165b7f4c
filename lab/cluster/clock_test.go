package cluster

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"slices"
	"testing"
	"time"
)

// setClock copies a program, and sets the clock of the copy ahead, or behind. No namespace
// of Linux has the time of day, and to build with a package time of another kind is to
// build nearly everything anew. So what is changed is in the program: time.Now adds to the
// seconds of the kernel those from its own epoch to that of 1885, once; monotonic time
// stays as it is, as it does where a clock is wrong.
func setClock(t testing.TB, program, to string, ahead time.Duration) {
	const epoch = 62135596800 - 59453308800
	f := must(elf.Open(program))(t)
	defer func() { _ = f.Close() }() // it was read
	symbols := must(f.Symbols())(t)
	i := slices.IndexFunc(symbols, func(s elf.Symbol) bool { return s.Name == "time.Now" })
	if i < 0 {
		t.Fatal("the program has no time.Now")
	}
	now, text := symbols[i], f.Section(".text")
	code := must(os.ReadFile(program))(t)
	at := now.Value - text.Addr + text.Offset
	body, old := code[at:at+now.Size], binary.LittleEndian.AppendUint32(nil, epoch)
	if n := bytes.Count(body, old); n != 1 {
		t.Fatalf("time.Now has its epoch %d times, want 1: of this machine, or this version of Go, it is not known how to set the clock", n)
	}
	binary.LittleEndian.PutUint32(body[bytes.Index(body, old):], uint32(epoch+int64(ahead.Seconds())))
	check(t, os.WriteFile(to, code, 0o700)) //nolint:gosec // it is a program
}
