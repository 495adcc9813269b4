package router

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"
)

// TestBTreeOfThreeLevels fills a tree high enough that inner nodes lend and
// merge as well, and empties it again, in every order.
func TestBTreeOfThreeLevels(t *testing.T) {
	const n = 12000
	topics := make([]string, n)
	for i := range topics {
		topics[i] = fmt.Sprintf("%06d", i)
	}
	orders := map[string][]int{}
	for i := range n {
		orders["up"] = append(orders["up"], i)
		orders["down"] = append(orders["down"], n-1-i)
	}
	orders["random"] = rand.New(rand.NewSource(1)).Perm(n)
	for filling, fill := range orders {
		for emptying, empty := range orders {
			t.Run(filling+" and "+emptying, func(t *testing.T) {
				var tree btree[int]
				for _, i := range fill {
					tree.set(topics[i], i)
				}
				if got, height := tree.root.check(t, true); height < 3 || !slices.Equal(got, topics) {
					t.Fatalf("%d topics, height %d", len(got), height)
				}
				gone := make([]bool, n)
				for step, i := range empty {
					if v, ok := tree.remove([]byte(topics[i])); !ok || v != i {
						t.Fatalf("removed %d, %v for %d", v, ok, i)
					}
					gone[i] = true
					if step%3000 == 0 {
						verifyWalk(t, &tree, topics, gone)
					}
				}
				if tree.root != nil {
					t.Error("the tree is not empty")
				}
			})
		}
	}
}

// verifyWalk compares a walk, and a seek to every 97th topic, with what is left.
func verifyWalk(t *testing.T, tree *btree[int], topics []string, gone []bool) {
	t.Helper()
	tree.root.check(t, true)
	var left []int
	for i := range topics {
		if !gone[i] {
			left = append(left, i)
		}
	}
	var w btreeWalk[int]
	w.seek(tree, "", false)
	for _, i := range left {
		if !w.valid() || w.item().value != i || w.item().topic != topics[i] {
			t.Fatalf("the walk misses %d", i)
		}
		w.forward()
	}
	if w.valid() {
		t.Fatalf("the walk goes on with %d", w.item().value)
	}
	for i := 0; i < len(topics); i += 97 {
		for _, beyond := range []bool{false, true} {
			at, found := slices.BinarySearch(left, i)
			if found && beyond {
				at++
			}
			w.seek(tree, topics[i], beyond)
			if w.valid() != (at < len(left)) || w.valid() && w.item().value != left[at] {
				t.Fatalf("seek %d, beyond %v, leads elsewhere", i, beyond)
			}
		}
	}
}
