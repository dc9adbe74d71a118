// Package cutover swaps two tables under the server's own lock, or leaves
// things as they were, or reports that it does not know.
//
// A swap waits for a quiet moment, in which no old transaction holds the table
// and nobody is held back; closes the Gate, so that clients behind the proxy
// wait between two statements; waits, for milliseconds, for the transactions
// that are under way; takes LOCK TABLES … WRITE; lets its caller apply the last
// changes and prove that nothing is left; and renames both tables across schemas
// in one statement, on the connection that holds the lock (MySQL 8.0.13, WL#9826).
// When a step does not succeed in its time, everything is let go at once and
// tried again later. No client is failed and none is killed.
//
// Safety rests on LOCK TABLES and on the caller's Settle under it, never on the
// gate: clients that bypass the proxy wait at the server's lock like everybody
// else.
//
// A Swap runs on one goroutine; while LOCK TABLES waits a second one watches
// the clock, and is gone when Run returns.
package cutover
