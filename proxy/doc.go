// Package proxy lets a MySQL client talk to a MySQL server as if nothing stood
// between, and notices ALTER TABLE. A byte that it need not understand it does
// not change. It knows sessions, not migrations.
//
//	server, err := proxy.New(proxy.Config{Listen: ":3307", Backend: "db:3306", Alterer: migrator})
//	…
//	err = server.Run(ctx) // until ctx is cancelled and the sessions have left
//
// Every client connection has one server connection of its own. The server's
// greeting, and with it the salt and the connection id, is relayed, so accounts,
// passwords and KILL are the server's business alone.
//
// A statement that may be an ALTER is handed to the [Alterer] together with the
// [Session] it came on; everything else is forwarded. [Server.Hold] keeps
// statements on one table back for an instant: it is a courtesy to clients, not
// a lock, since clients that bypass the proxy pass it.
//
// # Concurrency
//
// A session logs in on a goroutine, then a loop of [eventloop] calls it when one
// of its two connections can be read or written. An event is dealt with under
// the session's mutex to the end of all that it allows, and nothing in that may
// block: see [Session] and do. Others who bring events, such as the gate that
// lets a statement pass, do the same. The Alterer runs on a goroutine of its own,
// and the methods of Session may be called only within Alterer.Alter. Server's
// methods may be called at any time.
package proxy
