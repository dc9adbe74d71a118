// Package wire is the MySQL client/server protocol as a proxy sees it: where a
// packet begins and ends, what a greeting offers, when an answer is complete.
// It turns bytes into values and values into bytes and knows no sockets.
//
// Two halves serve two needs. [Response] follows the answer of a server through
// a stream of bytes of any chunking without keeping them; that is what traffic
// that is only relayed costs. The Parse and Append functions work on whole
// packets and are for the handshake and for the rare answers that we read or
// write ourselves.
//
// Nothing in here trusts a length that came over the wire. Values are not safe
// for use by several goroutines at once.
package wire
