package migrator

import (
	"slices"
	"testing"
)

var (
	allPhases = []Phase{Queued, Preparing, Copying, Verifying, Ready, Swapping, Cleaning, Done, Declined, Failed, Cancelled, Unclear}
	allEvents = []Event{Owned, Built, Copied, Verified, Locked, Refused, Renamed, Cleaned, Decline, Fail, Cancel, Ambiguous, Adopted, Restart}
)

func TestEveryPhaseAllowsItsEventsOnly(t *testing.T) {
	allowed := map[Phase]map[Event]Phase{
		Queued:    {Owned: Preparing, Decline: Declined, Restart: Queued, Fail: Failed, Cancel: Cancelled},
		Preparing: {Built: Copying, Decline: Declined, Restart: Queued, Fail: Failed, Cancel: Cancelled},
		Copying:   {Copied: Verifying, Adopted: Copying, Fail: Failed, Cancel: Cancelled},
		Verifying: {Verified: Ready, Adopted: Verifying, Fail: Failed, Cancel: Cancelled},
		Ready:     {Locked: Swapping, Adopted: Verifying, Fail: Failed, Cancel: Cancelled},
		Swapping:  {Renamed: Cleaning, Refused: Ready, Ambiguous: Unclear},
		Cleaning:  {Cleaned: Done},
	}
	for _, p := range allPhases {
		for _, e := range allEvents {
			got, err := next(p, e)
			want, ok := allowed[p][e]
			switch {
			case ok && (err != nil || got != want):
				t.Errorf("%s, %s: %s, %v; want %s", p, e, got, err, want)
			case !ok && (err == nil || got != p):
				t.Errorf("%s, %s leads to %s; must not happen", p, e, got)
			}
		}
	}
}

func TestOnlyTerminalPhasesAllowNothing(t *testing.T) {
	for _, p := range allPhases {
		moves := slices.ContainsFunc(allEvents, func(e Event) bool { _, err := next(p, e); return err == nil })
		if moves == p.Terminal() {
			t.Errorf("%s: terminal is %t, and something can happen is %t", p, p.Terminal(), moves)
		}
	}
}
