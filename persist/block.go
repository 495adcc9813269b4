package persist

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// checkedTable is a table that is read, whose damaged blocks are told from sound ones before Pebble sees them. Pebble, at each look at a
// block with a wrong checksum, tries for each of its bits whether that one alone was flipped, which takes seconds for a block of 32 KiB;
// a repair looks several times, and a damaged table may have thousands of blocks. Safe for concurrent use, as its File is.
//
// Every read of a table is of one block with the five bytes behind it, a kind and a checksum of all before:
//
//	| block ... | kind 1 | CRC-32C, rotated and shifted, 4 |
//
// except that of the footer, which alone reaches the end of the file.
type checkedTable struct {
	vfs.File
	name string
	size int64
	skip func() bool // leave the judgement to Pebble now; nil: never
}

const blockTrailerBytes = 5

// checkTable returns a table that checks its blocks. It takes over f, which is closed if there is an error.
func checkTable(f vfs.File, name string, skip func() bool) (*checkedTable, error) {
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &checkedTable{File: f, name: path.Base(name), size: info.Size(), skip: skip}, nil
}

// ReadAt reads one block or the footer. The error of a damaged block is a pebble.ErrCorruption.
func (t *checkedTable) ReadAt(p []byte, at int64) (n int, err error) {
	n, err = t.File.ReadAt(p, at)
	if err != nil || at+int64(n) >= t.size || n <= blockTrailerBytes || t.skip != nil && t.skip() {
		return n, err
	}
	body := n - 4
	if want, got := binary.LittleEndian.Uint32(p[body:n]), blockChecksum(p[:body]); want != got {
		return 0, fmt.Errorf("%w: %s: block %d/%d: checksum mismatch %x != %x", pebble.ErrCorruption, t.name, at, n-blockTrailerBytes, want, got)
	}
	return n, nil
}

// blockChecksum is that of the format: CRC-32C, made unlike one of data that holds checksums.
func blockChecksum(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli())
	return (c>>15 | c<<17) + 0xa282ead8
}

// castagnoli returns the table, which the library makes once.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }
