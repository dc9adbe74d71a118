package cutover

import "testing"

func TestSwapJudgesEveryEvent(t *testing.T) {
	allowed := map[Phase]map[event]Phase{
		Waiting:  {quiet: Holding, lost: Stopped, broken: Stopped},
		Holding:  {locked: Settling, late: Waiting, refused: Waiting, lost: Stopped, broken: Stopped},
		Settling: {settled: Swapping, late: Waiting, refused: Waiting, lost: Stopped, broken: Stopped},
		Swapping: {renamed: Swapped, late: Waiting, refused: Waiting, lost: Unclear, broken: Stopped},
	}
	for p := Waiting; p <= Stopped; p++ {
		for e := quiet; e <= broken; e++ {
			got, err := next(p, e)
			want, ok := allowed[p][e]
			switch {
			case ok && (err != nil || got != want):
				t.Errorf("%s, event %d: %s, %v; want %s", p, e, got, err, want)
			case !ok && (err == nil || got != p):
				t.Errorf("%s, event %d leads to %s; must not happen", p, e, got)
			}
		}
	}
}
