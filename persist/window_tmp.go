package persist

import "github.com/gannetmq/gannet/engine/session"

type window struct {
	all  bool
	left int
	upTo uint64
}

func newWindow(size int, st *session.State) window {
	switch {
	case size <= 0 || st.Group != "":
		return window{all: true}
	case st.Connected:
		return window{left: size}
	}
	return window{upTo: st.SentUpTo}
}

func (w *window) next(seq uint64) bool {
	w.left--
	return w.all || w.left >= 0 || seq <= w.upTo
}
