// Package binlog follows the server's binary log and tells which rows of which
// tables have changed, and up to where it has read.
//
// One Reader serves every migration of a process. A migration subscribes to
// its table and gets a Feed, in which the keys of changed rows gather, each
// key once however often its row changes. The feed holds keys only: what the
// row looks like now is read from the table itself, on the server, so that no
// value is ever decoded, converted and encoded again on its way.
//
// Positions are those of the log's files, which every server with a binary log
// has, GTIDs or not. A position that this package hands out is always the end
// of a transaction; a stream can be taken up there.
//
// Reader and Feed are safe for concurrent use. The goroutine that reads the log
// belongs to the caller of Reader.Run, which returns when it has ended.
package binlog
