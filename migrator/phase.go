package migrator

import "fmt"

// Phase is where a migration stands. Phases are compared for equality only.
type Phase string

const (
	Queued    Phase = "queued"    // waits for its turn: another migration has the table
	Preparing Phase = "preparing" // the shadow table is being made
	Copying   Phase = "copying"   // rows are copied in chunks; changes are applied
	Verifying Phase = "verifying" // every chunk is compared, shadow against original
	Ready     Phase = "ready"     // verified; waits for a quiet moment to swap
	Swapping  Phase = "swapping"  // the RENAME is on its way, or its answer was lost
	Cleaning  Phase = "cleaning"  // the new table is in place; the old one is being dropped

	Done      Phase = "done"      // terminal: the table has its new shape
	Declined  Phase = "declined"  // terminal: left to the server, which alters the table natively
	Failed    Phase = "failed"    // terminal: ended with an error; the table is as it was
	Cancelled Phase = "cancelled" // terminal: stopped by KILL QUERY or sluice cancel; the table is as it was
	Unclear   Phase = "unclear"   // terminal until somebody looks: it cannot be told whether the tables are swapped
)

// Terminal reports whether the migration has come to its end.
func (p Phase) Terminal() bool {
	switch p {
	case Done, Declined, Failed, Cancelled, Unclear:
		return true
	}
	return false
}

// Event is what happens to a migration.
type Event string

const (
	Owned     Event = "owned"     // this process has the table's lock
	Built     Event = "built"     // shadow and first checkpoint stand
	Copied    Event = "copied"    // the last chunk is in the shadow
	Verified  Event = "verified"  // every chunk was compared
	Locked    Event = "locked"    // the last change is applied under the lock; the RENAME follows
	Refused   Event = "refused"   // the server refused the RENAME, or it was never executed
	Renamed   Event = "renamed"   // the new table carries the name
	Cleaned   Event = "cleaned"   // nothing of the migration is left but its record
	Decline   Event = "decline"   // the planner leaves it to the server
	Fail      Event = "fail"      // an error that trying again cannot mend
	Cancel    Event = "cancel"    // somebody wants it no more
	Ambiguous Event = "ambiguous" // what stands on the server is neither before nor after the swap
	Adopted   Event = "adopted"   // a new run takes it up where its checkpoint says
	Restart   Event = "restart"   // a new run must begin again: no checkpoint was written yet
)

// next is all of a migration's judgement about phases. It does no I/O.
func next(p Phase, e Event) (Phase, error) {
	switch {
	case p.Terminal():
	case p == Queued && e == Owned:
		return Preparing, nil
	case p == Preparing && e == Built:
		return Copying, nil
	case p == Copying && e == Copied:
		return Verifying, nil
	case p == Verifying && e == Verified:
		return Ready, nil
	case p == Ready && e == Locked:
		return Swapping, nil
	case p == Swapping && e == Refused:
		return Ready, nil
	case p == Swapping && e == Renamed:
		return Cleaning, nil
	case p == Swapping && e == Ambiguous:
		return Unclear, nil
	case p == Cleaning && e == Cleaned:
		return Done, nil
	case e == Decline && (p == Preparing || p == Queued):
		return Declined, nil
	case e == Adopted && (p == Verifying || p == Ready):
		return Verifying, nil // the comparison begins again: it is what the swap rests on
	case e == Adopted && p == Copying:
		return Copying, nil
	case e == Restart && (p == Queued || p == Preparing):
		return Queued, nil
	case e == Fail && p != Swapping && p != Cleaning:
		return Failed, nil
	case e == Cancel && p != Swapping && p != Cleaning:
		return Cancelled, nil
	}
	return p, fmt.Errorf("migrator: %q cannot happen to a migration that is %s", e, p)
}
