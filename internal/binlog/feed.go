package binlog

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// KeyFunc renders the key of a row image as it stands in a SQL statement. The
// values are those of go-mysql's RowsEvent, in the order of the table's
// columns; present tells which of them the image holds.
type KeyFunc func(row []any, present func(column int) bool) (string, error)

// ErrKeyNotLogged is what a KeyFunc returns where the image lacks a column of
// the key (a session with binlog_row_image=MINIMAL and a key that is not the
// primary key).
var ErrKeyNotLogged = errors.New("binlog: the row image does not hold the key")

// maxKeys bounds the memory of one feed. When it is full the reader waits for
// the migration to take keys out.
const maxKeys = 500_000

// A Feed gathers the changes of one table.
type Feed struct {
	schema, table string
	columns       int
	key           KeyFunc
	statement     func(defaultSchema, query string) error
	reader        *Reader

	mu   sync.Mutex
	keys map[string]Position // the position before the first change that is not taken
	err  error
	room chan struct{} // closed when keys were taken out of a full feed
}

// A Batch is what Take took: the keys of the rows that changed, and how far
// the log was read then.
type Batch struct {
	Keys map[string]Position
	Read Position
}

// Take empties the feed. Until the next Take, Batch.Keys belongs to the caller,
// who hands back with Return what could not be applied.
func (f *Feed) Take() (Batch, error) {
	// The position first: what is read between the two lines is then in the
	// batch though its position does not say so, which is harmless.
	read := f.reader.Position()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return Batch{}, f.err
	}
	b := Batch{Keys: f.keys, Read: read}
	f.keys = map[string]Position{}
	if f.room != nil {
		close(f.room)
		f.room = nil
	}
	return b, nil
}

// Return puts keys of a batch back.
func (f *Feed) Return(keys map[string]Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, since := range keys {
		f.keys[k] = since // older than what may have come meanwhile
	}
}

// Len is the number of keys that wait in the feed.
func (f *Feed) Len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.keys)
}

// Applied is the position up to which every change of the table has been taken
// and not returned: where reading must start again after a restart.
func (f *Feed) Applied() Position {
	applied := f.reader.Position()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, since := range f.keys {
		if since.Compare(applied) < 0 {
			applied = since
		}
	}
	return applied
}

// Close ends the subscription.
func (f *Feed) Close() { f.reader.unsubscribe(f) }

// Fail ends the feed with err: every later Take returns it.
func (f *Feed) fail(err error) {
	f.mu.Lock()
	if f.err == nil {
		f.err = err
	}
	f.mu.Unlock()
	f.reader.signal()
}

// add notes the rows of one event, which began after the position since.
func (f *Feed) add(ctx context.Context, rows [][]any, skipped [][]int, updates bool, since Position) error {
	for i, row := range rows {
		if len(row) != f.columns {
			return fmt.Errorf("a logged row of %s.%s has %d columns instead of %d: the table was altered", f.schema, f.table, len(row), f.columns)
		}
		if updates && i%2 == 1 && len(skipped[i]) > 0 {
			// A minimal after-image holds what changed: the rest of the
			// key stands in the image before it.
			row = completed(row, skipped[i], rows[i-1])
			skipped[i] = skipped[i-1]
		}
		key, err := f.key(row, func(column int) bool { return !contains(skipped[i], column) })
		if err != nil {
			return err
		}
		if err := f.put(ctx, key, since); err != nil {
			return err
		}
	}
	return nil
}

func (f *Feed) put(ctx context.Context, key string, since Position) error {
	for {
		f.mu.Lock()
		if _, known := f.keys[key]; known || len(f.keys) < maxKeys {
			if !known {
				f.keys[key] = since
			}
			f.mu.Unlock()
			return nil
		}
		if f.room == nil {
			f.room = make(chan struct{})
		}
		room := f.room
		f.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func completed(row []any, skipped []int, before []any) []any {
	whole := make([]any, len(row))
	copy(whole, row)
	for _, i := range skipped {
		whole[i] = before[i]
	}
	return whole
}

func contains(list []int, n int) bool {
	for _, m := range list {
		if m == n {
			return true
		}
	}
	return false
}
