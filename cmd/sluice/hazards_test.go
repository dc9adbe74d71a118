package main

import (
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// writer changes a table (id PRIMARY KEY, u UNIQUE) while it is altered, alone,
// and knows what it must hold.
type writer struct {
	t      *testing.T
	conn   *sql.Conn
	model  map[int]int // id → u
	ids    []int
	next   int // a value that u never had
	random *rand.Rand
}

func newWriter(t *testing.T, w *world, rows int) *writer {
	t.Helper()
	execute(t, w.direct, "CREATE TABLE h (id INT PRIMARY KEY, u INT UNIQUE, pad CHAR(100) NOT NULL)")
	conn := connection(t, w.direct, "SET cte_max_recursion_depth = 1000000")
	execute(t, conn, fmt.Sprintf("INSERT INTO h WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < %d) SELECT n, n, 'x' FROM s", rows))
	x := &writer{t: t, conn: conn, model: map[int]int{}, next: rows, random: rand.New(rand.NewPCG(1, 2))}
	for i := 1; i <= rows; i++ {
		x.model[i] = i
	}
	x.ids = slices.Sorted(maps.Keys(x.model))
	return x
}

func (x *writer) pick() int { return x.ids[x.random.IntN(len(x.ids))] }

// handOver gives the value of one row to another: the first takes a new value,
// then the second takes the old one.
func (x *writer) handOver() {
	from, to := x.pick(), x.pick()
	if from == to {
		return
	}
	x.next++
	value := x.model[from]
	execute(x.t, x.conn, "UPDATE h SET u = ? WHERE id = ?", x.next, from)
	execute(x.t, x.conn, "UPDATE h SET u = ? WHERE id = ?", value, to)
	x.model[from], x.model[to] = x.next, value
}

// swap exchanges the values of two rows in one transaction.
func (x *writer) swap() {
	a, b := x.pick(), x.pick()
	if a == b {
		return
	}
	for _, s := range []string{"BEGIN", fmt.Sprintf("UPDATE h SET u = NULL WHERE id = %d", a), fmt.Sprintf("UPDATE h SET u = %d WHERE id = %d", x.model[a], b),
		fmt.Sprintf("UPDATE h SET u = %d WHERE id = %d", x.model[b], a), "COMMIT"} {
		execute(x.t, x.conn, s)
	}
	x.model[a], x.model[b] = x.model[b], x.model[a]
}

// move gives a row a key at the other end of the table, across the copy's front.
func (x *writer) move() {
	i := x.random.IntN(len(x.ids))
	id := x.ids[i]
	to := 10_000_000 - id
	execute(x.t, x.conn, "UPDATE h SET id = ? WHERE id = ?", to, id)
	x.model[to] = x.model[id]
	delete(x.model, id)
	x.ids[i] = to
}

// replace deletes a row and inserts another one with its value.
func (x *writer) replace() {
	i := x.random.IntN(len(x.ids))
	id := x.ids[i]
	to := 20_000_000 + x.random.IntN(1_000_000)
	if _, taken := x.model[to]; taken {
		return
	}
	execute(x.t, x.conn, "DELETE FROM h WHERE id = ?", id)
	execute(x.t, x.conn, "INSERT INTO h VALUES (?, ?, 'x')", to, x.model[id])
	x.model[to] = x.model[id]
	delete(x.model, id)
	x.ids[i] = to
}

func (x *writer) compare() {
	x.t.Helper()
	wrong := 0
	rows := table(x.t, x.conn, "SELECT id, u FROM h")
	for _, row := range rows {
		id, u, _ := strings.Cut(row, "|")
		n, _ := strconv.Atoi(id)
		if want, ok := x.model[n]; !ok || strconv.Itoa(want) != u {
			if wrong++; wrong < 10 {
				x.t.Errorf("row %s holds %s, want %d (%t)", id, u, want, ok)
			}
		}
	}
	if len(rows) != len(x.model) {
		x.t.Errorf("%d rows, want %d", len(rows), len(x.model))
	}
}

func TestValuesThatMoveWhileTheTableIsCopiedArrive(t *testing.T) {
	for name, step := range map[string]func(*writer){
		"unique value handed from row to row":    (*writer).handOver,
		"unique values swapped":                  (*writer).swap,
		"primary key changed across the front":   (*writer).move,
		"row replaced by another with its value": (*writer).replace,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			x := newWriter(t, w, 60_000)
			ended := start(t, w.client("SET @sluice_mode = 'online'"), "ALTER TABLE h MODIFY pad CHAR(110) NOT NULL")
			w.untilCopying("h")
			steps := 0
			for done := false; !done && steps < 50_000; steps++ {
				step(x)
				select {
				case err := <-ended:
					if err != nil {
						t.Fatal(err)
					}
					done = true
				default:
				}
			}
			t.Logf("%d steps", steps)
			if steps < 100 {
				t.Error("hardly a step was made meanwhile: the test shows nothing")
			}
			x.compare()
			if got := definition(t, w.direct, "h"); !strings.Contains(got, "char(110)") {
				t.Errorf("the table ends as %s", got)
			}
		})
	}
}

func TestDuplicateThatArrivesDuringTheCopyIsTheNativeError(t *testing.T) {
	w := newWorld(t, nil)
	w.bigTable("t", 100_000)
	execute(t, w.direct, "UPDATE t SET k = id")
	before := definition(t, w.direct, "t")
	ended := start(t, w.client("SET @sluice_mode = 'online'"), "ALTER TABLE t ADD UNIQUE KEY only_one (k), MODIFY c CHAR(130) NOT NULL")
	w.untilCopying("t")
	execute(t, w.direct, "UPDATE t SET k = 100000 WHERE id = 1")
	if err := <-ended; errorText(err) != "1062 (23000) Duplicate entry '100000' for key 't.only_one'" {
		t.Errorf("the client got %s", errorText(err))
	}
	if got := definition(t, w.direct, "t"); got != before {
		t.Errorf("the table was changed to %s", got)
	}
	w.assertNoTrace("t")
}
