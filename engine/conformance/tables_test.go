package conformance

import (
	"embed"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gannetmq/gannet/codec"
)

//go:embed testdata
var testdata embed.FS

// tables is testdata, read.
type tables struct {
	rows       map[statement]*row
	order      []statement
	properties map[byte]propertyRule
	codes      map[codec.ReasonCode][]string
	reasons    map[statement]string
}

// statement is a normative statement of one version of the specification.
type statement struct {
	version codec.Version
	id      string
}

func (s statement) String() string { return s.version.String() + " " + s.id }

// row is what a table of statements says about one.
type row struct {
	requirement string
	testable    string // yes, config or no
	expect      string
}

type propertyRule struct {
	name, kind string
	packets    []string
	repeats    string
}

// theTables is read only.
var theTables = readTables()

func readTables() *tables {
	t := &tables{
		rows: map[statement]*row{}, properties: map[byte]propertyRule{},
		codes: map[codec.ReasonCode][]string{}, reasons: map[statement]string{},
	}
	for _, version := range []codec.Version{codec.V5, codec.V311} {
		for _, f := range readTSV(map[codec.Version]string{codec.V5: "mqtt5-normative.tsv", codec.V311: "mqtt311-normative.tsv"}[version]) {
			s := statement{version, f[0]}
			t.rows[s] = &row{requirement: f[3], testable: f[4], expect: f[5]}
			t.order = append(t.order, s)
		}
	}
	for _, f := range readTSV("properties.tsv") {
		t.properties[parseHex(f[0])] = propertyRule{f[1], f[2], strings.Split(f[3], ", "), f[4]}
	}
	for _, f := range readTSV("reason-codes.tsv") {
		c := codec.ReasonCode(parseHex(f[0]))
		t.codes[c] = append(t.codes[c], strings.Split(f[2], ", ")...)
	}
	for _, f := range readTSV("reasons.tsv") {
		version := codec.V5
		if f[0] == codec.V311.String() {
			version = codec.V311
		}
		t.reasons[statement{version, f[1]}] = f[2]
	}
	return t
}

func (t *tables) codeAllowed(c codec.ReasonCode, kind codec.PacketType) bool {
	return slices.Contains(t.codes[c], kind.String())
}

// readTSV returns the fields of each line below the heading.
func readTSV(name string) (lines [][]string) {
	text, err := testdata.ReadFile("testdata/" + name)
	if err != nil {
		panic(err)
	}
	all := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	columns := strings.Count(all[0], "\t") + 1
	for n, line := range all[1:] {
		f := strings.Split(line, "\t")
		if len(f) != columns {
			panic(fmt.Sprintf("testdata/%s:%d: %d fields, not %d", name, n+2, len(f), columns))
		}
		lines = append(lines, f)
	}
	return lines
}

func parseHex(s string) byte {
	n, err := strconv.ParseUint(s, 0, 8)
	if err != nil {
		panic(err)
	}
	return byte(n)
}
