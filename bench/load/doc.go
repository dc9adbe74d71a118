// Package load is an application's write load that checks itself: clients read,
// insert, update, delete and run transactions on one table, remember what the
// server acknowledged, and afterwards compare the whole table with it, row by
// row. Tests, the demo and the measurements use it to show that an ALTER TABLE
// meanwhile lost no write and invented none.
//
//	err := load.Seed(ctx, db, "orders", 200_000)
//	run, err := load.Start(ctx, load.Config{Server: throughSluice, Table: "orders", Rows: 200_000})
//	<-run.Warm()
//	… ALTER TABLE orders …
//	report := run.Stop()
//	verdict, err := run.Verify(ctx, direct)
//
// Every row belongs to one client: a preloaded row by its id, another one to the
// client that inserted it. Nobody else writes it, so what its owner was told last
// is what must be there. Every write has a token of its own, from which the row's
// other columns follow, so a stale or mixed row is recognised. An acknowledged
// write is checked when it is overwritten (the UPDATE and DELETE statements name
// the token that they replace, and must find it), whenever its client reads the
// row, or at the end.
//
// Where the answer to a statement is lost together with the connection, both
// outcomes are right, and the client leaves the row alone from then on.
//
// The clients cause no deadlocks: they write rows of their own only, in the order
// of their ids. (A native ALTER may still make a transaction that has read and
// then writes the victim of one, by its metadata lock.) They name the columns that they use, so an ALTER may add columns
// and indexes, make k wider and token longer.
//
// A [Run] may be used by several goroutines at once.
package load
