// Package rows moves the rows of a table into its shadow and compares the two.
//
// Everything here is a statement that the server executes: INSERT … SELECT for
// a chunk of the copy, DELETE and INSERT … SELECT for rows that changed
// meanwhile, a checksum of the same range on both sides. So a value is converted
// by the same server, under the same sql_mode and time zone, that the native
// ALTER would have used; no value passes through this process but those of the
// key that orders the chunks.
//
// The rules that make it safe while applications write (see ARCHITECTURE.md):
//
//   - Copying reads with READ COMMITTED and takes no lock on the source.
//   - A changed row is read again with FOR SHARE NOWAIT: a log event can arrive
//     before its row is visible, and the row's lock is what tells. A locked row
//     is left for later; we never wait for a lock of an application.
//   - A changed row above the front of the copy is read as well, and then left
//     to the copy.
//   - Copying and applying never overlap in time.
//
// The functions take the connection to use and start no goroutine. A Mapping is
// immutable once built and safe for concurrent use.
package rows
