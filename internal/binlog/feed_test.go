package binlog

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestPositionsAreOrderedByNumber(t *testing.T) {
	ordered := []Position{{"b.000001", 4}, {"b.000001", 500}, {"b.000002", 4}, {"b.999999", 9}, {"b.1000000", 4}}
	for i, p := range ordered {
		for j, q := range ordered {
			if got := p.Compare(q); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%s against %s: %d", p, q, got)
			}
		}
	}
}

// newFeed is a feed of a reader that has read up to pos. Its rows are their keys.
func newFeed(pos Position) *Feed {
	r := New(Config{})
	r.pos = pos
	f := &Feed{schema: "s", table: "t", columns: 1, reader: r, keys: map[string]Position{}}
	f.key = func(row []any, present func(int) bool) (string, error) {
		if !present(0) {
			return "", ErrKeyNotLogged
		}
		return fmt.Sprint(row[0]), nil
	}
	r.feeds[f] = true
	return f
}

func at(offset uint64) Position { return Position{"b.1", offset} }

func TestAppliedNeverPassesAKeyInTheFeed(t *testing.T) {
	f := newFeed(at(100))
	if got := f.Applied(); got != at(100) {
		t.Errorf("an empty feed: applied up to %s", got)
	}
	if err := f.add(t.Context(), [][]any{{1}, {2}}, [][]int{nil, nil}, false, at(100)); err != nil {
		t.Fatal(err)
	}
	f.reader.pos = at(300)
	if err := f.add(t.Context(), [][]any{{2}, {3}}, [][]int{nil, nil}, false, at(300)); err != nil {
		t.Fatal(err)
	}
	f.reader.pos = at(400)
	if got := f.Applied(); got != at(100) {
		t.Errorf("with keys of 100 and 300 waiting: applied up to %s", got)
	}
	batch, err := f.Take()
	if err != nil || len(batch.Keys) != 3 || batch.Keys["2"] != at(100) || batch.Keys["3"] != at(300) || batch.Read != at(400) {
		t.Fatalf("took %v, %v", batch, err)
	}
	// While they were being applied one of them changed again.
	if err := f.add(t.Context(), [][]any{{2}}, [][]int{nil}, false, at(400)); err != nil {
		t.Fatal(err)
	}
	f.Return(map[string]Position{"2": at(100)})
	if got := f.Applied(); got != at(100) {
		t.Errorf("with a key of 100 returned: applied up to %s", got)
	}
	if f.Len() != 1 {
		t.Errorf("%d keys wait, want 1", f.Len())
	}
}

func TestMinimalAfterImageIsCompletedFromTheImageBeforeIt(t *testing.T) {
	f := newFeed(at(4))
	f.columns = 2
	rows := [][]any{{7, "old"}, {nil, "new"}, {8, "old"}, {9, nil}}
	skipped := [][]int{nil, {0}, nil, {1}}
	if err := f.add(t.Context(), rows, skipped, true, at(4)); err != nil {
		t.Fatal(err)
	}
	batch, _ := f.Take()
	if len(batch.Keys) != 3 || batch.Keys["7"].IsZero() || batch.Keys["8"].IsZero() || batch.Keys["9"].IsZero() {
		t.Errorf("took %v, want 7, 8 and 9", batch.Keys)
	}
	err := f.add(t.Context(), [][]any{{nil, "x"}}, [][]int{{0}}, false, at(4))
	if !errors.Is(err, ErrKeyNotLogged) {
		t.Errorf("an image without its key: %v", err)
	}
}

func TestRowWithAnotherNumberOfColumnsIsRefused(t *testing.T) {
	f := newFeed(at(4))
	if err := f.add(t.Context(), [][]any{{1, 2}}, [][]int{nil}, false, at(4)); err == nil {
		t.Error("a row with a column more was accepted")
	}
}

func TestFullFeedWaitsUntilKeysAreTaken(t *testing.T) {
	f := newFeed(at(4))
	for i := range maxKeys {
		f.keys[fmt.Sprint(i)] = at(4)
	}
	put := make(chan error, 1)
	go func() { put <- f.put(t.Context(), "one more", at(4)) }()
	if err := f.put(t.Context(), "5", at(4)); err != nil { // is in it already
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.put(ctx, "another", at(4)); !errors.Is(err, context.Canceled) {
		t.Errorf("with a full feed and a context that has ended: %v", err)
	}
	if batch, err := f.Take(); err != nil || len(batch.Keys) < maxKeys {
		t.Fatalf("took %d keys, %v", len(batch.Keys), err)
	}
	if err := <-put; err != nil {
		t.Error(err)
	}
}

func TestFailedFeedSaysSo(t *testing.T) {
	f := newFeed(at(4))
	wrong := errors.New("wrong")
	changed := f.reader.Changed()
	f.fail(wrong)
	f.fail(errors.New("later"))
	<-changed
	if _, err := f.Take(); !errors.Is(err, wrong) {
		t.Errorf("took with %v", err)
	}
}
