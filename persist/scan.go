package persist

import (
	"bytes"
	"container/heap"
	"errors"
	"fmt"
	"path"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// A scan reads a store without Pebble's help, where Pebble stops at the first thing that is wrong: every block of every
// table and every batch of every log, each on its own. What belongs to the store is asked of Pebble if it can read its
// manifest; else all files count, and the price is that what was deleted shortly before may be there again.
//
// All that was ever written about a key has a sequence number. The newest counts, unless a deletion of a range is newer still.
// So the sources, each sorted, are merged.
//
// Owned by one goroutine.
type scan struct {
	fsys     vfs.FS
	dir      string
	progress Progress
	lock     *dirLock
	contents contents

	all      bool // every file counts
	tables   []*table
	sources  sources
	spans    []span
	problems []Problem
	passed   []span // ranges that may cover the key, see deleted
	bytes    int64  // of tables, checked
}

// maxProblems is how many a Report names.
const maxProblems = 10000

// Problem is one thing that is wrong with a store, for an operator.
type Problem struct {
	File string // in the directory; "" if no file is to blame
	What string
	Lost string // if it is repaired: what is not in the store then
}

// openScan locks a store that no process has open and finds all its files. The error is ErrInUse, ErrNoStore, ErrNewer, or that
// the disk cannot be read.
func openScan(fsys vfs.FS, dir string, progress Progress) (s *scan, err error) {
	s = &scan{fsys: fsys, dir: dir, progress: progress}
	if s.lock, s.contents, err = lockExisting(fsys, dir); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// rewind lets all be read again.
func (s *scan) rewind() error {
	if err := s.closeTables(); err != nil {
		return err
	}
	*s = scan{fsys: s.fsys, dir: s.dir, progress: s.progress, lock: s.lock, contents: s.contents}
	return s.open()
}

func (s *scan) closeTables() (err error) {
	for _, t := range s.tables {
		err = errors.Join(err, t.Close())
	}
	s.tables = nil
	return err
}

func (s *scan) Close() error {
	return errors.Join(s.closeTables(), s.lock.Close())
}

func (s *scan) problem(file, what, lost string) {
	if len(s.problems) < maxProblems {
		s.problems = append(s.problems, Problem{file, oneLine(what), lost})
	}
}

func (s *scan) open() error {
	live, firstLog, err := s.catalog()
	if err != nil {
		return err
	}
	if err := s.openTables(live); err != nil {
		return err
	}
	if err := s.openLogs(firstLog); err != nil {
		return err
	}
	slices.SortFunc(s.spans, func(a, b span) int { return bytes.Compare(a.start, b.start) })
	return nil
}

// liveTable is a table that belongs to the store, with the keys that it has by the manifest.
type liveTable struct {
	name     string
	from, to []byte // to is in it
	size     int64
}

// catalog asks Pebble for the tables of the store, and the number of the first log that counts.
func (s *scan) catalog() (live []liveTable, firstLog uint64, err error) {
	exists, err := s.contents.check()
	if err == nil && !exists {
		return nil, 0, nil
	}
	if err == nil {
		err = checkManifest(s.fsys, s.dir, &s.contents)
	}
	if err != nil {
		s.everything(cause(err))
		return s.tablesThere(), 0, nil
	}
	s.progress.tell("opening", 0, 0)
	view := &viewFS{FS: s.fsys}
	levels, openErr := s.levels(view)
	if openErr != nil && isNewer(openErr) {
		return nil, 0, fmt.Errorf("%w: %w", ErrNewer, openErr)
	}
	if openErr != nil {
		if levels, err = s.levels(&viewFS{FS: s.fsys, bare: true}); err != nil {
			s.everything(err.Error())
			return s.tablesThere(), 0, nil
		}
	}
	for _, level := range levels {
		for _, t := range level {
			live = append(live, liveTable{fmt.Sprintf("%06d.sst", uint64(t.BackingSSTNum)), bytes.Clone(t.Smallest.UserKey),
				bytes.Clone(t.Largest.UserKey), int64(t.Size)})
		}
	}
	firstLog = view.firstLog()
	if openErr != nil && !s.explains(live, openErr) {
		s.problem("", "cannot be opened: "+openErr.Error(), "nothing but what the other lines say")
	}
	return live, firstLog, nil
}

// levels asks Pebble for the tables.
func (s *scan) levels(view *viewFS) ([][]pebble.SSTableInfo, error) {
	for {
		levels, err := s.levelsOf(view)
		if err == nil || !view.bare || !view.pretend(err) {
			return levels, err
		}
	}
}

func (s *scan) levelsOf(view *viewFS) (levels [][]pebble.SSTableInfo, err error) {
	o := readOnlyOptions(view, s.lock)
	o.DisableConsistencyCheck = view.bare
	db, err := openPebble(s.dir, o)
	if err != nil {
		return nil, err
	}
	defer closeInto(&err, db)
	return db.SSTables()
}

// explains tells whether what Pebble complains of is what reading the files will find as well.
func (s *scan) explains(live []liveTable, err error) bool {
	for _, t := range live {
		if !slices.Contains(s.contents.tables, t.name) {
			return true
		}
	}
	return pebble.IsCorruptionError(err)
}

// everything takes all files for the store's.
func (s *scan) everything(why string) {
	s.all = true
	s.problem(s.contents.manifest, why, "nothing that is in the tables and logs; what was deleted shortly before may be there again")
}

func (s *scan) tablesThere() (all []liveTable) {
	for _, name := range s.contents.tables {
		all = append(all, liveTable{name: name})
	}
	return all
}

// orDeletion is said of entries that cannot be read: some may have been deletions.
const orDeletion = ", or their deletion"

func (s *scan) openTables(live []liveTable) error {
	var total int64
	for i := range live {
		if info, err := s.fsys.Stat(s.fsys.PathJoin(s.dir, live[i].name)); err == nil {
			live[i].size = info.Size()
			total += info.Size()
		}
	}
	for _, l := range live {
		s.progress.tell("checking tables (bytes)", s.bytes, total)
		bounds := describe(l.from, append(bytes.Clone(l.to), 0))
		if l.to == nil {
			bounds = "what it holds"
		}
		bounds += orDeletion
		t, err := openTable(s.fsys, s.fsys.PathJoin(s.dir, l.name), func(what string, from, to []byte) {
			if to == nil {
				s.problem(l.name, what, "its deletions of ranges: sessions that ended may be there again")
				return
			}
			if from == nil {
				from = l.from
			}
			s.problem(l.name, what, describe(from, to)+orDeletion)
		})
		switch {
		case err == nil:
			s.tables = append(s.tables, t)
			s.sources = append(s.sources, head{source: t})
			s.spans = append(s.spans, t.spans...)
		case s.all && l.size == 0: // one that was begun
		case s.all:
			s.problem(l.name, err.Error(), bounds+", unless it was being written and its records are in others")
		default:
			s.problem(l.name, err.Error(), bounds)
		}
		s.bytes += l.size
	}
	return nil
}

func (s *scan) openLogs(first uint64) error {
	var entries []entry
	var before *logReader
	logs := slices.DeleteFunc(slices.Clone(s.contents.logs), func(name string) bool {
		_, number, _ := fileKind(name)
		return number < first
	})
	for i, name := range logs {
		s.progress.tell("reading logs", int64(i), int64(len(logs)))
		_, number, _ := fileKind(name)
		l, err := readLog(s.fsys, s.fsys.PathJoin(s.dir, name), number)
		if err != nil {
			s.problem(name, err.Error(), "the records in it: what was done last")
			continue
		}
		if l.lost > 0 {
			s.problem(name, fmt.Sprintf("about %d bytes in the middle are unreadable", l.lost), "the records in these: some of what was done last")
		}
		if older := i < len(logs)-1; older && l.end != logClosed && !s.all {
			s.problem(name, "it ends too early", "the records that followed, if there were any")
		} else if l.end == logTorn {
			s.problem(name, fmt.Sprintf("the end is torn: about %d bytes", l.cut), "the records in these: the very last, or what was being written when the broker ended")
		}
		if !s.all && before != nil && before.next > 0 && l.next > 0 && l.first > before.next {
			s.problem(name, fmt.Sprintf("%d records before it are missing", l.first-before.next), "these: some of what was done last")
		}
		if l.next > 0 {
			before = l
		}
		entries = append(entries, l.entries...)
		s.spans = append(s.spans, l.spans...)
	}
	s.sources = append(s.sources, head{source: newMemory(entries)})
	return nil
}

// each visits what the store holds, in the order of keys. Key and value are good until visit returns. It can be done once.
func (s *scan) each(visit func(key, value []byte) error) (err error) {
	defer recoverAll(&err)
	live := s.sources[:0]
	for _, h := range s.sources {
		if h.advance() {
			live = append(live, h)
		}
	}
	s.sources = live
	heap.Init(&s.sources)
	var key, buf []byte
	for n := int64(0); len(s.sources) > 0; n++ {
		if n%tellEvery == 0 {
			s.progress.tell("keys", n, 0)
		}
		e := s.sources[0].entry
		key = append(key[:0], e.key...)
		value, put, err := s.newest(e, buf)
		if err != nil {
			s.problem("", fmt.Sprintf("key %x: %v", key, err), describe(key, append(bytes.Clone(key), 0)))
		} else if put {
			buf = append(buf[:0], value...)
		}
		for len(s.sources) > 0 && bytes.Equal(s.sources[0].key, key) {
			if s.sources[0].advance() {
				heap.Fix(&s.sources, 0)
			} else {
				heap.Pop(&s.sources)
			}
		}
		if !put || err != nil {
			continue
		}
		if err := visit(key, buf); err != nil {
			return err
		}
	}
	return nil
}

// newest is what the newest entry of a key says: its value, or that there is none.
func (s *scan) newest(e entry, buf []byte) (value []byte, put bool, err error) {
	if s.deleted(e.key, e.seq) {
		return nil, false, nil
	}
	switch e.kind {
	case pebble.InternalKeyKindSet, pebble.InternalKeyKindSetWithDelete:
		value, _, err = e.value.Value(buf[len(buf):])
		return value, err == nil, err
	case pebble.InternalKeyKindDelete, pebble.InternalKeyKindSingleDelete, pebble.InternalKeyKindDeleteSized:
		return nil, false, nil
	}
	return nil, false, fmt.Errorf("entry of kind %s", e.kind)
}

// deleted tells whether a range that holds key was deleted after seq. Keys ascend from call to call.
func (s *scan) deleted(key []byte, seq uint64) bool {
	for len(s.spans) > 0 && bytes.Compare(s.spans[0].start, key) <= 0 {
		s.passed = append(s.passed, s.spans[0])
		s.spans = s.spans[1:]
	}
	s.passed = slices.DeleteFunc(s.passed, func(x span) bool { return bytes.Compare(x.end, key) <= 0 })
	return slices.ContainsFunc(s.passed, func(x span) bool { return x.seq > seq })
}

// head is a source with its next entry.
type head struct {
	entry
	source source
}

func (h *head) advance() (ok bool) {
	h.entry, ok = h.source.next()
	return ok
}

// sources is a heap of them: least key first, and of one key the newest.
type sources []head

func (s sources) Len() int { return len(s) }
func (s sources) Less(i, j int) bool {
	c := bytes.Compare(s[i].key, s[j].key)
	return c < 0 || c == 0 && s[i].seq > s[j].seq
}
func (s sources) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *sources) Push(x any)   { *s = append(*s, x.(head)) }
func (s *sources) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

// viewFS shows Pebble the files, and notes which logs it reads.
type viewFS struct {
	vfs.FS
	bare  bool     // no logs and options
	extra []string // tables that are missing, which it has to believe are there before it tells of the others

	mu    sync.Mutex
	first uint64
}

func (v *viewFS) List(dir string) ([]string, error) {
	names, err := v.FS.List(dir)
	if v.bare {
		names = slices.DeleteFunc(names, func(name string) bool {
			kind, _, ok := fileKind(name)
			return ok && (kind == ".log" || kind == "OPTIONS-")
		})
	}
	return append(names, v.extra...), err
}

// pretend adds the table to the list that err says is missing. false if it does not say so.
func (v *viewFS) pretend(err error) bool {
	name, ok := missingTable(err)
	if ok && !slices.Contains(v.extra, name) {
		v.extra = append(v.extra, name)
		return true
	}
	return false
}

func (v *viewFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if kind, number, ok := fileKind(path.Base(name)); ok && kind == ".log" {
		v.mu.Lock()
		if v.first == 0 || number < v.first {
			v.first = number
		}
		v.mu.Unlock()
	}
	return v.FS.Open(name, opts...)
}

func (v *viewFS) firstLog() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.first
}
