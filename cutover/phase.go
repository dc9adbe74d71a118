package cutover

import "fmt"

// Phase is where a swap stands.
type Phase int

const (
	Waiting  Phase = iota + 1 // nothing is locked, nobody is held
	Holding                   // clients are held at the gate; the table's holders are finishing
	Settling                  // the table is locked; the last changes are being applied
	Swapping                  // the RENAME is on its way
	Swapped                   // terminal: the new table carries the name
	Unclear                   // terminal: the RENAME was sent and its answer was lost
	Stopped                   // terminal: given up; the old table still carries the name
)

func (p Phase) String() string {
	names := [...]string{"waiting", "holding", "settling", "swapping", "swapped", "unclear", "stopped"}
	if p < Waiting || p > Stopped {
		return fmt.Sprintf("Phase(%d)", int(p))
	}
	return names[p-1]
}

// Terminal reports whether a swap in this phase has come to its end.
func (p Phase) Terminal() bool { return p == Swapped || p == Unclear || p == Stopped }

// event is what happened to a swap.
type event int

const (
	quiet   event = iota + 1 // no old transaction holds the table
	locked                   // LOCK TABLES was granted
	settled                  // the last change is applied and nothing is left
	renamed                  // the server said OK to the RENAME
	refused                  // the server said no; everything is let go
	late                     // a step took longer than it may; everything is let go
	lost                     // the connection broke and a RENAME may be under way
	broken                   // something that trying again cannot mend
)

// next is all of a swap's judgement. It does no I/O and reads no clock.
func next(p Phase, e event) (Phase, error) {
	switch {
	case p == Waiting && e == quiet:
		return Holding, nil
	case p == Holding && e == locked:
		return Settling, nil
	case p == Settling && e == settled:
		return Swapping, nil
	case p == Swapping && e == renamed:
		return Swapped, nil
	case p == Swapping && e == lost:
		return Unclear, nil
	case !p.Terminal() && e == broken, !p.Terminal() && p != Swapping && e == lost:
		return Stopped, nil
	case (p == Holding || p == Settling || p == Swapping) && (e == late || e == refused):
		return Waiting, nil
	}
	return p, fmt.Errorf("cutover: event %d cannot happen while %s", e, p)
}
