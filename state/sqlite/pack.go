package sqlite

import (
	"bufio"
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"

	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/state/journal"
)

// packSize is how many entries are packed together. So many at least, and twice as many
// at most, are loose: what is asked for most.
const packSize = 512

// pack packs the oldest loose entries if there are enough of them.
func (x *rows) pack(last journal.Head) error {
	if last.Seq-x.j.packed < 2*packSize {
		return nil
	}
	err := x.c.Query(func(r sqldb.Row) error { // others may have packed
		x.j.packed = r.Int(0) - 1
		return nil
	}, "SELECT min(seq) FROM entries")
	for err == nil && last.Seq-x.j.packed >= 2*packSize {
		var rows []row
		err = x.c.Query(func(r sqldb.Row) error {
			rows = append(rows, row{r.Int(0), r.Bytes(1), r.Bytes(2)})
			return nil
		}, "SELECT seq, data, hash FROM entries ORDER BY seq LIMIT ?", packSize)
		if err == nil {
			err = x.savePack(rows)
		}
		if err == nil {
			x.j.packed = rows[len(rows)-1].seq
			err = x.c.Exec("DELETE FROM entries WHERE seq <= ?", x.j.packed)
		}
	}
	return err
}

// savePack writes rows as a pack.
func (x *rows) savePack(rows []row) error {
	var data bytes.Buffer
	var hashes []byte
	if x.j.deflate == nil { // it is large, and made once
		x.j.deflate, _ = flate.NewWriter(nil, flate.BestSpeed) // which is a level
	}
	w := x.j.deflate
	w.Reset(&data)
	for _, r := range rows {
		_, err := w.Write(r.data)
		if err == nil {
			_, err = w.Write([]byte{'\n'}) // which no entry has within
		}
		if err != nil {
			return err
		}
		hashes = append(hashes, r.hash...)
	}
	if err := w.Close(); err != nil {
		return err
	}
	return x.c.Exec("INSERT INTO packs VALUES (?, ?, ?, ?)", rows[len(rows)-1].seq, rows[0].seq, data.Bytes(), hashes)
}

// unpack returns the rows of a pack that are wanted of a span, which it moves on. An
// error comes with those before it, and names the entry.
func unpack(first, last int64, data, hashes []byte, s *span) (rows []row, err error) {
	lines := bufio.NewReader(flate.NewReader(bytes.NewReader(data)))
	var line []byte
	for seq := first; seq <= min(last, s.last); seq++ {
		if line, err = readLine(lines, line[:0]); err != nil || len(hashes) < 32 {
			return rows, &journal.EntryError{Seq: seq, Reason: fmt.Sprintf("the pack of entries %d to %d cannot be read", first, last)}
		}
		if seq > s.after && s.wants(line) {
			rows = append(rows, row{seq, bytes.Clone(line), hashes[:32]})
		}
		hashes = hashes[32:]
	}
	if s.after = min(last, s.last); s.after < last {
		return rows, nil
	}
	if _, err := lines.ReadByte(); err != io.EOF || len(hashes) > 0 {
		return rows, &journal.EntryError{Seq: last + 1, Reason: "it is in a pack, out of its place"}
	}
	return rows, nil
}

// readLine appends a line of an entry's length at most.
func readLine(from *bufio.Reader, line []byte) ([]byte, error) {
	for {
		part, err := from.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull) || len(line) > journal.MaxEntry:
			return nil, io.ErrUnexpectedEOF
		}
	}
}
