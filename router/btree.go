package router

import "slices"

// btree is an ordered map from topic to value: a B-tree after Bayer and
// McCreight whose nodes hold btreeMin to btreeMax items, the root excepted.
// Beside a hash map it costs no more memory and can be sought. The zero value is
// empty and ready. Not safe for concurrent use; readers may share it.
type btree[V any] struct {
	root *btreeNode[V] // nil when empty
}

const (
	btreeMin = 31
	btreeMax = 2*btreeMin + 1

	// btreeHeightMax is enough for 32^9 items.
	btreeHeightMax = 10
)

type btreeItem[V any] struct {
	topic string
	value V
}

type btreeNode[V any] struct {
	items    []btreeItem[V]
	children []*btreeNode[V] // one more than items, or nil in a leaf
}

// search returns the first place in items that is not before topic.
func search[V any, T Text](items []btreeItem[V], topic T) (place int, found bool) {
	low, high := 0, len(items)
	for low < high {
		middle := (low + high) / 2
		if items[middle].topic < string(topic) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, low < len(items) && items[low].topic == string(topic)
}

// get returns a pointer to the value of topic, valid until the next change, or
// nil.
func (t *btree[V]) get(topic []byte) *V {
	for n := t.root; n != nil; {
		i, found := search(n.items, topic)
		if found {
			return &n.items[i].value
		}
		if n.children == nil {
			return nil
		}
		n = n.children[i]
	}
	return nil
}

// set adds or replaces. The topic of an item that is there already is kept.
func (t *btree[V]) set(topic string, value V) (old V, existed bool) {
	if t.root == nil {
		t.root = new(btreeNode[V])
	}
	old, existed = t.root.set(btreeItem[V]{topic, value})
	if len(t.root.items) > btreeMax {
		middle, right := t.root.split()
		t.root = &btreeNode[V]{
			items:    []btreeItem[V]{middle},
			children: []*btreeNode[V]{t.root, right},
		}
	}
	return old, existed
}

// set may leave n one item too many; the parent splits it.
func (n *btreeNode[V]) set(item btreeItem[V]) (old V, existed bool) {
	i, found := search(n.items, item.topic)
	if found {
		old, n.items[i].value = n.items[i].value, item.value
		return old, true
	}
	if n.children == nil {
		n.items = slices.Insert(n.items, i, item)
		return old, false
	}
	old, existed = n.children[i].set(item)
	if len(n.children[i].items) > btreeMax {
		middle, right := n.children[i].split()
		n.items = slices.Insert(n.items, i, middle)
		n.children = slices.Insert(n.children, i+1, right)
	}
	return old, existed
}

// split moves the upper half of n to a new node. Both halves are cut to size,
// since topics that come in order never fill the lower one again.
func (n *btreeNode[V]) split() (middle btreeItem[V], right *btreeNode[V]) {
	at := len(n.items) / 2
	middle = n.items[at]
	right = &btreeNode[V]{items: slices.Clone(n.items[at+1:])}
	n.items = slices.Clone(n.items[:at])
	if n.children != nil {
		right.children = slices.Clone(n.children[at+1:])
		n.children = slices.Clone(n.children[:at+1])
	}
	return middle, right
}

// remove takes an item out.
func (t *btree[V]) remove(topic []byte) (old V, existed bool) {
	if t.root == nil {
		return old, false
	}
	old, existed = t.root.remove(topic)
	if len(t.root.items) == 0 {
		if t.root.children == nil {
			t.root = nil
		} else {
			t.root = t.root.children[0]
		}
	}
	return old, existed
}

// remove may leave n one item too few; the parent refills it.
func (n *btreeNode[V]) remove(topic []byte) (old V, existed bool) {
	i, found := search(n.items, topic)
	switch {
	case n.children == nil && !found:
		return old, false
	case n.children == nil:
		old = n.items[i].value
		n.items = slices.Delete(n.items, i, i+1)
		return old, true
	case found:
		old, existed = n.items[i].value, true
		n.items[i] = n.children[i].removeLast()
	default:
		old, existed = n.children[i].remove(topic)
	}
	n.refill(i)
	return old, existed
}

func (n *btreeNode[V]) removeLast() btreeItem[V] {
	last := len(n.items) - 1
	if n.children == nil {
		item := n.items[last]
		n.items = slices.Delete(n.items, last, last+1)
		return item
	}
	item := n.children[last+1].removeLast()
	n.refill(last + 1)
	return item
}

// refill gives child i its least number of items back: from a neighbour that
// can spare one, else by merging with a neighbour.
func (n *btreeNode[V]) refill(i int) {
	switch {
	case len(n.children[i].items) >= btreeMin:
	case i > 0 && len(n.children[i-1].items) > btreeMin:
		n.turnRight(i - 1)
	case i < len(n.items) && len(n.children[i+1].items) > btreeMin:
		n.turnLeft(i)
	case i > 0:
		n.merge(i - 1)
	default:
		n.merge(i)
	}
}

// turnRight moves the last item of child i up, and item i down to child i+1.
func (n *btreeNode[V]) turnRight(i int) {
	left, right := n.children[i], n.children[i+1]
	last := len(left.items) - 1
	right.items = slices.Insert(right.items, 0, n.items[i])
	n.items[i] = left.items[last]
	left.items = slices.Delete(left.items, last, last+1)
	if left.children != nil {
		right.children = slices.Insert(right.children, 0, left.children[last+1])
		left.children = slices.Delete(left.children, last+1, last+2)
	}
}

// turnLeft moves the first item of child i+1 up, and item i down to child i.
func (n *btreeNode[V]) turnLeft(i int) {
	left, right := n.children[i], n.children[i+1]
	left.items = append(left.items, n.items[i])
	n.items[i] = right.items[0]
	right.items = slices.Delete(right.items, 0, 1)
	if left.children != nil {
		left.children = append(left.children, right.children[0])
		right.children = slices.Delete(right.children, 0, 1)
	}
}

// merge joins child i, item i and child i+1 in child i.
func (n *btreeNode[V]) merge(i int) {
	left, right := n.children[i], n.children[i+1]
	left.items = append(append(left.items, n.items[i]), right.items...)
	left.children = append(left.children, right.children...)
	n.items = slices.Delete(n.items, i, i+1)
	n.children = slices.Delete(n.children, i+1, i+2)
}

// btreeWalk is a place in a btree, from which it can go forward. It is valid
// until the tree changes.
type btreeWalk[V any] struct {
	stack [btreeHeightMax]btreeStep[V]
	depth int // 0: past the end
}

// btreeStep is a node on the way to the place, and the next item of it.
type btreeStep[V any] struct {
	node *btreeNode[V]
	next int
}

// seek goes to the first item with a topic >= from, or > from if beyond.
func (w *btreeWalk[V]) seek(t *btree[V], from string, beyond bool) {
	w.depth = 0
	for n := t.root; n != nil; {
		i, found := search(n.items, from)
		if found && beyond {
			i++
		}
		w.push(n, i)
		if n.children == nil || found && !beyond {
			break
		}
		n = n.children[i]
	}
	w.climb()
}

// valid reports whether there is an item here.
func (w *btreeWalk[V]) valid() bool { return w.depth > 0 }

func (w *btreeWalk[V]) item() *btreeItem[V] {
	top := &w.stack[w.depth-1]
	return &top.node.items[top.next]
}

// forward goes to the next item.
func (w *btreeWalk[V]) forward() {
	top := &w.stack[w.depth-1]
	top.next++
	if top.node.children != nil {
		for n := top.node.children[top.next]; n != nil; {
			w.push(n, 0)
			if n.children == nil {
				break
			}
			n = n.children[0]
		}
	}
	w.climb()
}

// climb leaves the nodes whose items are all behind.
func (w *btreeWalk[V]) climb() {
	for w.depth > 0 {
		if top := w.stack[w.depth-1]; top.next < len(top.node.items) {
			return
		}
		w.depth--
	}
}

func (w *btreeWalk[V]) push(n *btreeNode[V], next int) {
	w.stack[w.depth] = btreeStep[V]{n, next}
	w.depth++
}
