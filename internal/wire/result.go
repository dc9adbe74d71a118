package wire

// Result is one whole answer of the server, held in memory. It is for the few
// short statements that Sluice itself sends on a client's session and for the
// answers that Sluice gives in the server's place; a client's own results are
// relayed as bytes and never become a Result.
type Result struct {
	AffectedRows uint64
	LastInsertID uint64
	Status       uint16 // SERVER_STATUS_ flags as the server sent them
	Warnings     uint16
	Info         string // the human-readable part of an OK packet

	// Columns is nil for an answer without rows (an OK packet).
	Columns []string
	// Rows holds the text form of each value; a nil value is SQL NULL.
	Rows [][]*string
}
