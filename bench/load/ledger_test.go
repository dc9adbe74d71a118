package load

import (
	"math/rand/v2"
	"testing"
)

func TestEveryPreloadedRowBelongsToOneClient(t *testing.T) {
	for _, rows := range []int64{0, 1, 7, 8, 9, 1000} {
		config := Config{Rows: rows, Clients: 8}
		var shares int64
		for number := range config.Clients {
			l := newLedger(number, &config)
			shares += l.share()
			for random := rand.New(rand.NewPCG(1, 2)); l.share() > 0; {
				id, _, ok := l.pick(random, true)
				if !ok || id < 1 || id > rows || owner(id, config.Clients) != number {
					t.Fatalf("client %d of 8 picks row %d of %d (%v)", number, id, rows, ok)
				}
				if random.IntN(100) == 0 {
					break
				}
			}
		}
		if shares != rows {
			t.Errorf("%d rows: the shares add up to %d", rows, shares)
		}
	}
}

func TestDoubtfulAndBrokenRowsAreLeftAlone(t *testing.T) {
	config := Config{Rows: 2, Clients: 1}
	l := newLedger(0, &config)
	l.commit(change{id: 3, token: "inserted"})
	l.doubt(change{id: 3, token: "perhaps"})
	l.doubt(change{id: 4, token: "perhaps inserted"})
	l.abandon(2)
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		if id, _, ok := l.pick(random, true); ok && id != 1 {
			t.Fatalf("picked row %d", id)
		}
	}
	for id, want := range map[int64]entry{
		1: {token: "seed-1"},
		2: {state: broken},
		3: {token: "inserted", state: doubtful, other: "perhaps"},
		4: {token: "", state: doubtful, other: "perhaps inserted"},
	} {
		if got, ok := l.expected(id); !ok || got != want {
			t.Errorf("row %d: expected %+v, want %+v", id, got, want)
		}
	}
	if _, ok := l.expected(5); ok {
		t.Error("a row that nobody made is expected")
	}
}

func TestHalfOfThePreloadedRowsStay(t *testing.T) {
	config := Config{Rows: 10, Clients: 1}
	l := newLedger(0, &config)
	for id := int64(1); l.mayDeletePreloaded(); id++ {
		l.commit(change{id: id})
	}
	if l.gone != 5 {
		t.Errorf("%d of 10 rows may be deleted", l.gone)
	}
}
