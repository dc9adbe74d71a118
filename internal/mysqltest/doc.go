// Package mysqltest runs real MySQL servers, for the tests, the demo and the
// benchmarks.
//
// [Find] locates a MySQL of at least 8.0.13 on this machine, or brings one:
//
//  1. the mysqld that the environment variable SLUICE_MYSQLD names;
//  2. mysqld on PATH, unless it is MariaDB or too old;
//  3. the Docker image mysql:8.4, where a Docker engine of this machine answers;
//  4. on Debian, the distribution's own packages, unpacked into a private
//     folder. Nothing is installed, the system's package state stays as it is,
//     and root is not needed.
//
// [Start] gives a server with an empty data folder of its own, ready for
// connections:
//
//	server, err := mysqltest.Start(ctx, mysqltest.Options{})
//	if err != nil { … }
//	defer server.Stop()
//	db, err := sql.Open("mysql", server.DSN(""))
//
// The account root has no password. TLS, row-based binary log and GTIDs are on,
// as in a MySQL that Sluice is to be put in front of.
//
// Everything that outlives a process (the unpacked packages, an initialised data
// folder to copy from) lies in .sluice of the module, or in the user's cache
// folder where no module is around. A server and its data folder do not outlive
// the process that started it, however that process ends.
//
// An [Installation] may be used by several goroutines at once, and so may a
// [Server]; Find and Start may run in several processes at once. The package
// needs a Unix. Helpers that take a testing.TB are in package servertest.
package mysqltest
