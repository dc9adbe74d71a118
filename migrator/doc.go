// Package migrator owns an ALTER TABLE from plan to terminal phase, and its
// saved state. Kill the process anywhere: the next start goes on, or undoes, or
// says that it cannot tell.
//
// A Migrator serves one MySQL server. Its Run opens what all migrations share
// (the state schema, the reader of the binary log), takes up what an earlier
// process left, and runs one goroutine for each migration until its context
// ends. Alter is the way in for a client's statement: it tries the statement
// with ALGORITHM=INSTANT on the client's own session, which also has the server
// check the account's privileges, hands what needs a copy to a migration,
// and keeps the session alive and visible while it waits.
//
// A migration is driven by one goroutine (drive in run.go): copying, applying
// and verifying never overlap, which is what makes them safe without locks on
// the application's rows. What it has reached stands in the schema sluice on
// the same server; every write there carries the id of the run, so that a run
// that lost its migration changes nothing and stops.
//
// Migrator is safe for concurrent use. It knows no proxy: sessions and gate are
// the small interfaces Session and cutover.Gate.
package migrator
